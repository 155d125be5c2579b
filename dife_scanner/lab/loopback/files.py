"""The routes of file contents, and the second port that large files come from."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

from dife_scanner.lab.loopback import git
from dife_scanner.lab.loopback.access import Access
from dife_scanner.lab.loopback.messages import (
    Body,
    Request,
    Response,
    error,
    ranged,
    redirect,
)
from dife_scanner.lab.loopback.repositories import Blob, Commit, Repositories, Repository

NOT_FOUND = error(404, "Sorry, we can't find the page you are looking for.")

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"


class Files:
    """Answers requests for contents. `cdn` is the origin of the second port, once it is known.

    Each handler gets the request, the repository, and the rest of the path: a revision and the parts of a file's path.
    """

    def __init__(self, repositories: Repositories, access: Access) -> None:
        self.repositories = repositories
        self.access = access
        self.cdn = ""
        self._key = secrets.token_bytes(16)

    def resolve(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        """Where a file is: 307 to a small one on this port, 302 to a large one on the other."""
        commit = model.at(rest[0])
        path = "/".join(rest[1:])
        if commit is None:
            return no_revision(rest[0])
        refused = self.access.shut(request, model)
        if refused:
            return refused.with_headers(X_Repo_Commit=commit.sha)
        blob = commit.blobs.get(path)
        if blob is None or not self.repositories.path(blob.object_id).exists():
            return no_entry(commit)
        if blob.sha256 is None:
            cached = f"/api/resolve-cache/{model.kind}/{model.repo_id}/{commit.sha}/{quote(path)}"
            query = urlencode({request.path: "", "etag": f'"{blob.oid}"'})
            return redirect(307, f"{cached}?{query}", X_Repo_Commit=commit.sha)
        return redirect(
            302,
            f"{self.cdn}{self._signed(blob, path)}",
            X_Repo_Commit=commit.sha,
            X_Linked_Size=str(blob.size),
            X_Linked_ETag=f'"{blob.sha256}"',
        )

    def resolve_cache(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        """A small file, where `resolve` sent the client."""
        commit = model.at(rest[0])
        if commit is None:
            return NOT_FOUND
        blob = commit.blobs.get("/".join(rest[1:]))
        if blob is None or blob.sha256 is not None:
            return NOT_FOUND
        refused = self.access.shut(request, model)
        if refused:
            return refused
        return ranged(request, self._text(commit, blob, self._stored(blob)))

    def raw(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        """What git itself holds: of a large file, the pointer."""
        commit = model.at(rest[0])
        if commit is None:
            return no_revision(rest[0])
        refused = self.access.shut(request, model)
        if refused:
            return refused
        blob = commit.blobs.get("/".join(rest[1:]))
        if blob is None:
            return no_entry(commit)
        body = self._stored(blob)
        if blob.sha256:
            body = Body.of(git.pointer(blob.sha256, blob.size))
        return ranged(request, self._text(commit, blob, body))

    def content(self, request: Request) -> Response:
        """The second port: large files under signed addresses, and it wants no token."""
        if not hmac.compare_digest(request.one("Signature"), self._signature(request.path)):
            return error(403, "Access denied")
        object_id = request.path.rpartition("/")[2]
        path = self.repositories.path(object_id)
        response = Response(
            status=200,
            headers={"Content-Type": _BYTES, "ETag": f'"{object_id}"'},
            body=Body.file(path, path.stat().st_size),
        )
        return ranged(request, response)

    def _text(
        self,
        commit: Commit,
        blob: Blob,
        body: Body,
    ) -> Response:
        headers = {
            "Content-Type": _TEXT,
            "ETag": f'"{blob.oid}"',
            "X-Repo-Commit": commit.sha,
        }
        return Response(200, headers, body)

    def _stored(self, blob: Blob) -> Body:
        return Body.file(self.repositories.path(blob.object_id), blob.size)

    def _signed(self, blob: Blob, path: str) -> str:
        """The address of a large file on the second port, path and query."""
        address = f"/repos/lfs/{blob.sha256}"
        name = path.rpartition("/")[2]
        query = {
            "response-content-disposition": f"inline; filename={name}",
            "Signature": self._signature(address),
        }
        return f"{address}?{urlencode(query)}"

    def _signature(self, path: str) -> str:
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()


def no_revision(revision: str) -> Response:
    """A revision that the repository does not have."""
    return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_entry(commit: Commit) -> Response:
    """A path that the commit does not have."""
    response = error(404, "Entry not found", "EntryNotFound")
    return response.with_headers(X_Repo_Commit=commit.sha)
