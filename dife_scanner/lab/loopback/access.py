"""Who may see what, worded and coded as the Hub does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dife_scanner.lab.loopback.messages import Request, Response, error
from dife_scanner.lab.loopback.repositories import Repository

EVERYTHING = "*"
"""In place of ids: a token that opens every repository."""
DISABLED = "Access to this resource is disabled."
"""Word for word: clients compare it, as there is no code for it."""


@dataclass(frozen=True)
class Access:
    """Valid tokens, each with the ids of private and gated repositories it opens (`*`: all)."""

    tokens: Mapping[str, Collection[str]]

    def bad_token(self, request: Request) -> Response | None:
        """401 for a token nobody issued, on whatever route."""
        if "authorization" not in request.headers or self.known(request):
            return None
        return error(401, "Invalid credentials in Authorization header")

    def known(self, request: Request) -> bool:
        """Whether it carries a valid token."""
        return _token(request) in self.tokens

    def opens(self, request: Request, model: Repository) -> bool:
        """Whether its token opens this repository."""
        granted = self.tokens.get(_token(request), ())
        return EVERYTHING in granted or model.repo_id in granted

    def sees(self, request: Request, model: Repository) -> bool:
        """Whether it may know that this repository exists; a gated one is listed for everybody."""
        return not model.private or self.opens(request, model)

    def missing(self, request: Request) -> Response:
        """What private and absent repositories alike answer: nobody learns which of the two it is."""
        if self.known(request):
            return error(404, "Repository not found", "RepoNotFound")
        return error(401, "Invalid username or password.", "RepoNotFound")

    def shut(self, request: Request, model: Repository) -> Response | None:
        """Why the files of a visible repository cannot be had, if they cannot."""
        if model.disabled:
            return error(403, DISABLED)
        if not model.gated or self.opens(request, model):
            return None
        restricted = f"Access to model {model.repo_id} is restricted"
        if self.known(request):
            page = f"{request.origin}/{model.repo_id}"
            message = f"{restricted} and you are not in the authorized list. Visit {page}."
            return error(403, message, "GatedRepo")
        message = f"{restricted}. You must have access to it and be authenticated to access it. Please log in."
        return error(401, message, "GatedRepo")


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return ""
    return token.strip()
