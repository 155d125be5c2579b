"""The routes of the Hub that a scanner uses, as functions from a request to a response. No sockets here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

from dife_scanner.lab.loopback import listing
from dife_scanner.lab.loopback.access import DISABLED, Access
from dife_scanner.lab.loopback.entries import (
    commit_entry,
    expanded_entry,
    sibling,
    tree_entries,
)
from dife_scanner.lab.loopback.files import NOT_FOUND, Files, no_entry, no_revision
from dife_scanner.lab.loopback.messages import (
    Request,
    Response,
    as_json,
    error,
    redirect,
)
from dife_scanner.lab.loopback.repositories import Blob, Commit, Repositories, Repository

# What the Hub puts on a page where the client does not say; more than TREE_PAGE or MOST_COMMITS it never does.
TREE_PAGE = 1000
TREE_PAGE_EXPANDED = 50
COMMITS_PAGE = 50
MOST_COMMITS = 1000
MOST_PAGES = 10**6
HEADER_LIMIT = 25_000_000
"""Bytes of a safetensors header, as in the Hub's own client."""
_MOST_DIGITS = 9
"""Of a number in a query."""

_INFO = (
    "author",
    "baseModels",
    "cardData",
    "disabled",
    "downloads",
    "gated",
    "lastModified",
    "library_name",
    "likes",
    "pipeline_tag",
    "private",
    "createdAt",
    "sha",
    "tags",
    "usedStorage",
)
"""What `model_info` returns by default."""
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading JSON of another shape raises."""

Handler = Callable[[Request, Repository, list[str]], Response]
"""Gets the parts of the path behind the repository and the verb."""


class Routes:
    """Answers requests of both ports from one set of repositories."""

    def __init__(self, repositories: Repositories, access: Access) -> None:
        self.repositories = repositories
        self.access = access
        self.files = Files(repositories, access)
        self._order = listing.Order(repositories)
        self._verbs: dict[str, Handler] = {
            "": self._info,
            "revision": self._info,
            "refs": self._refs,
            "commits": self._commits,
            "tree": self._tree,
            "paths-info": self._paths_info,
            "scan": self._scan,
            "auth-check": self._auth_check,
            "safetensors-metadata": self._safetensors_metadata,
        }

    def answer(self, request: Request) -> Response:
        """The answer to one request; never raises for what a client sends."""
        if request.port == "cdn":
            return self.files.content(request)
        refused = self.access.bad_token(request)
        if refused:
            return refused
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        try:
            return self._route(request, parts)
        except listing.BadQueryError as wrong:
            return error(400, str(wrong))

    def _route(self, request: Request, parts: list[str]) -> Response:
        match parts:
            case ["api", "whoami-v2"]:
                return self._whoami(request)
            case ["api", "models"]:
                return self._models(request)
            case ["api", "models" | "datasets" as kind, org, name, *rest]:
                verb = rest[0] if rest else ""
                handler = self._verbs.get(verb)
                if handler is None:
                    return NOT_FOUND
                return self._with_repository(request, f"{org}/{name}", rest[1:], handler, kind)
            case ["api", "resolve-cache", "models" | "datasets" as kind, org, name, *rest] if rest:
                return self._with_repository(
                    request, f"{org}/{name}", rest, self.files.resolve_cache, kind
                )
            case ["datasets", org, name, "resolve", *rest] if len(rest) > 1:
                return self._with_repository(
                    request, f"{org}/{name}", rest, self.files.resolve, "datasets"
                )
            case [org, name, "raw", *rest] if org != "api" and len(rest) > 1:
                return self._with_repository(request, f"{org}/{name}", rest, self.files.raw)
            case [org, name, "resolve", *rest] if org != "api" and len(rest) > 1:
                return self._with_repository(request, f"{org}/{name}", rest, self.files.resolve)
        return NOT_FOUND

    def _with_repository(
        self,
        request: Request,
        repo_id: str,
        rest: list[str],
        handler: Handler,
        kind: str = "models",
    ) -> Response:
        """What `handler` answers for a repository that the request may see."""
        model = self.repositories.find(repo_id)
        if model is None:
            new = self.repositories.moved(repo_id)
            if new:
                return redirect(307, request.target.replace(repo_id, new, 1))
            return self.access.missing(request)
        if model.kind != kind or not self.access.sees(request, model):
            return self.access.missing(request)
        if model.disabled:
            return error(403, DISABLED)
        return handler(request, model, rest)

    # --- whole hub --------------------------------------------------------------------------------------------

    def _whoami(self, request: Request) -> Response:
        if not self.access.known(request):
            return error(401, "Invalid username or password.")
        user = {
            "type": "user",
            "id": "0" * 24,
            "name": "loopback",
            "orgs": [],
            "auth": {"type": "access_token"},
        }
        return as_json(user)

    def _models(self, request: Request) -> Response:
        sort = request.one("sort", "trendingScore")
        direction = 1 if request.one("direction", "-1") == "1" else -1
        limit = _number(request, "limit", listing.PAGE, listing.PAGE)
        visible: list[Repository] = []
        for model in self._order.models(sort, direction):
            if model.kind == "models" and self.access.sees(request, model):
                visible.append(model)
        chosen = listing.chosen(visible, request)
        found, cursor = listing.page(chosen, sort, direction, limit, request.one("cursor"))
        response = as_json([listing.item(model, request, sort) for model in found])
        return _with_next(request, response, cursor=cursor)

    # --- one repository ---------------------------------------------------------------------------------------

    def _info(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        revision = "/".join(rest)
        commit = model.at(revision or "main")
        if commit is None:
            return no_revision(revision)
        expand = request.many("expand")
        if expand:
            return as_json(listing.expanded(model, commit, expand, single=True))
        found = listing.expanded(model, commit, _INFO, single=True)
        found["modelId"] = model.repo_id
        blobs = request.flag("blobs")
        found["siblings"] = []
        for path, blob in sorted(commit.blobs.items()):
            found["siblings"].append(sibling(path, blob, blobs=blobs))
        if request.flag("securityStatus"):
            found["securityRepoStatus"] = dict(model.scan)
        return as_json(found)

    def _scan(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        return as_json(dict(model.scan))

    def _refs(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        tags: list[dict[str, str]] = []
        for name, sha in model.git_tags.items():
            tags.append({"name": name, "ref": f"refs/tags/{name}", "targetCommit": sha})
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": model.head.sha}
        found: dict[str, Any] = {
            "branches": [main],
            "converts": [],
            "tags": tags,
        }
        if request.flag("include_prs"):
            found["pullRequests"] = []
        return as_json(found)

    def _commits(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        revision = "/".join(rest)
        newest = model.at(revision)
        if newest is None:
            return no_revision(revision)
        until = model.commits.index(newest) + 1
        history = list(reversed(model.commits[:until]))
        limit = _number(request, "limit", COMMITS_PAGE, MOST_COMMITS)
        page = _number(request, "p", 0, MOST_PAGES, least=0)
        end = (page + 1) * limit
        formatted = "formatted" in request.many("expand")
        shown = [
            commit_entry(commit, formatted=formatted) for commit in history[page * limit : end]
        ]
        response = as_json(shown, X_Total_Count=str(len(history)))
        if end >= len(history):
            return response
        return _with_next(request, response, p=str(page + 1))

    def _tree(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        revision = rest[0] if rest else "main"
        commit = model.at(revision)
        if commit is None:
            return no_revision(revision)
        folder = "/".join(rest[1:]).strip("/")
        entries = tree_entries(commit, folder, recursive=request.flag("recursive"))
        if folder and not entries:
            return no_entry(commit)
        expand = request.flag("expand")
        size = _number(request, "limit", TREE_PAGE_EXPANDED if expand else TREE_PAGE, TREE_PAGE)
        after = request.one("cursor")
        ahead = [entry for entry in entries if entry["path"] > after]
        shown = _expanded(model, commit, ahead[:size], expand)
        if len(ahead) <= size:
            return as_json(shown)
        return _with_next(request, as_json(shown), cursor=shown[-1]["path"])

    def _paths_info(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        revision = "/".join(rest)
        commit = model.at(revision)
        if commit is None:
            return no_revision(revision)
        paths, expand = _wanted_paths(request)
        known = {entry["path"]: entry for entry in tree_entries(commit, "", recursive=True)}
        found = [known[path] for path in paths if path in known]
        return as_json(_expanded(model, commit, found, expand))

    def _auth_check(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        return self.access.shut(request, model) or as_json({})

    def _safetensors_metadata(
        self,
        request: Request,
        model: Repository,
        rest: list[str],
    ) -> Response:
        refused = self.access.shut(request, model)
        if refused:
            return refused
        index_path = "/".join(rest)
        blob = model.head.blobs.get(index_path)
        if blob is None:
            return no_entry(model.head)
        folder = index_path.rpartition("/")[0]
        headers: dict[str, Any] = {}
        try:
            index = json.loads(self.repositories.path(blob.object_id).read_bytes())
            for shard in sorted(set(index["weight_map"].values())):
                path = f"{folder}/{shard}".lstrip("/")
                headers[shard] = self._header(model.head.blobs[path])
            metadata = index.get("metadata")
        except _UNREADABLE:
            return error(400, "Failed to parse the safetensors index or one of its shards")
        return as_json({"index": {"metadata": metadata}, "headers": headers})

    def _header(self, blob: Blob) -> Any:
        """The header of a safetensors file. Raises `ValueError` for one that is too long or no JSON."""
        with self.repositories.path(blob.object_id).open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > HEADER_LIMIT:
                raise ValueError("header too long")
            return json.loads(stream.read(length))


# --- what requests say and answers need ------------------------------------------------------------------------


def _expanded(
    model: Repository,
    commit: Commit,
    entries: list[dict[str, Any]],
    expand: bool,
) -> list[dict[str, Any]]:
    if not expand:
        return entries
    return [expanded_entry(model, commit, entry) for entry in entries]


def _number(
    request: Request,
    name: str,
    default: int,
    most: int,
    *,
    least: int = 1,
) -> int:
    """A parameter as a number from `least` to `most`. Raises `BadQueryError` for what is none."""
    text = request.one(name) or str(default)
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise listing.BadQueryError(f"{name}: {text!r} is not a number")
    return max(least, min(int(text), most))


def _with_next(request: Request, response: Response, **changed: str) -> Response:
    """Add the absolute `Link` to the next page, unless the changed parameter is empty."""
    if not all(changed.values()):
        return response
    query = dict(request.query)
    for name, value in changed.items():
        query[name] = (value,)
    address = f"{request.origin}{request.path}?{urlencode(query, doseq=True)}"
    return response.with_headers(Link=f'<{address}>; rel="next"')


def _wanted_paths(request: Request) -> tuple[list[str], bool]:
    """Paths, and whether to expand them, from a form (Python client) or JSON (JavaScript client)."""
    try:
        if "json" in request.headers.get("content-type", ""):
            return _paths_from_json(request.body)
        form = parse_qs(request.body.decode(), keep_blank_values=True)
    except _UNREADABLE as wrong:
        raise listing.BadQueryError(
            "paths-info: the body is neither a form nor JSON with `paths`"
        ) from wrong
    expand = form.get("expand", [""])[-1].lower() == "true"
    return form.get("paths", []), expand


def _paths_from_json(body: bytes) -> tuple[list[str], bool]:
    wanted = json.loads(body)
    paths = wanted["paths"]
    if isinstance(paths, str):
        paths = [paths]
    return [str(path) for path in paths], bool(wanted.get("expand"))
