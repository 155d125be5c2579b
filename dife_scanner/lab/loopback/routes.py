"""The routes of the Hub that a scanner uses, as functions from a request to a response. No sockets here."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from dife_scanner.lab.loopback import git, listing
from dife_scanner.lab.loopback.access import Access
from dife_scanner.lab.loopback.messages import Body, Request, Response, as_json, error, ranged, redirect
from dife_scanner.lab.loopback.repositories import Blob, Commit, Repositories, Repository

TREE_PAGE = 1000
TREE_PAGE_EXPANDED = 50
COMMITS_PAGE = 50
HEADER_LIMIT = 25_000_000

NOT_FOUND = error(404, "Sorry, we can't find the page you are looking for.")

Handler = Callable[[Request, Repository, list[str]], Response]


class Routes:
    """Answers requests of both ports from one shelf. `cdn` is the origin of the second port, once it is known."""

    def __init__(self, shelf: Repositories, access: Access) -> None:
        self.shelf = shelf
        self.access = access
        self.cdn = ""
        self._order = listing.Order(shelf)
        self._key = secrets.token_bytes(16)
        self._verbs: dict[str, Handler] = {
            "": self._info,
            "revision": self._info,
            "refs": self._refs,
            "commits": self._commits,
            "tree": self._tree,
            "paths-info": self._paths_info,
            "scan": lambda request, model, rest: as_json(dict(model.scan)),
            "auth-check": self._auth_check,
            "safetensors-metadata": self._safetensors_metadata,
        }

    def answer(self, request: Request) -> Response:
        if request.port == "cdn":
            return self._content(request)
        if refused := self.access.bad_token(request):
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
                verb, *rest = rest or [""]
                handler = self._verbs.get(verb)
                return self._with_repository(request, f"{org}/{name}", rest, handler, kind) if handler else NOT_FOUND
            case ["api", "resolve-cache", "models" | "datasets" as kind, org, name, sha, *path]:
                return self._with_repository(request, f"{org}/{name}", [sha, *path], self._resolve_cache, kind)
            case ["datasets", org, name, "resolve", revision, *path] if path:
                return self._with_repository(request, f"{org}/{name}", [revision, *path], self._resolve, "datasets")
            case [org, name, "raw", revision, *path] if org != "api" and path:
                return self._with_repository(request, f"{org}/{name}", [revision, *path], self._raw)
            case [org, name, "resolve", revision, *path] if org != "api" and path:
                return self._with_repository(request, f"{org}/{name}", [revision, *path], self._resolve)
        return NOT_FOUND

    def _with_repository(
        self, request: Request, repo_id: str, rest: list[str], handler: Handler, kind: str = "models"
    ) -> Response:
        model = self.shelf.find(repo_id)
        if model is not None and model.kind != kind:
            return self.access.missing(request)
        if model is None and (new := self.shelf.moved(repo_id)):
            return redirect(307, request.target.replace(repo_id, new, 1))
        if model is None or not self.access.sees(request, model):
            return self.access.missing(request)
        if model.disabled:
            return error(403, "Access to this resource is disabled.")
        return handler(request, model, rest)

    # --- whole hub --------------------------------------------------------------------------------------------

    def _whoami(self, request: Request) -> Response:
        if not self.access.known(request):
            return error(401, "Invalid username or password.")
        return as_json(
            {"type": "user", "id": "0" * 24, "name": "loopback", "orgs": [], "auth": {"type": "access_token"}}
        )

    def _models(self, request: Request) -> Response:
        sort, direction = request.one("sort", "trendingScore"), 1 if request.one("direction", "-1") == "1" else -1
        limit = _number(request, "limit", listing.PAGE, listing.PAGE)
        models = (model for model in self._order.models(sort, direction) if model.kind == "models")
        visible = (model for model in models if self.access.sees(request, model))
        found, cursor = listing.page(listing.chosen(visible, request), sort, direction, limit, request.one("cursor"))
        response = as_json([listing.item(model, request, sort) for model in found])
        return _next(request, response, cursor=cursor)

    # --- one repository ---------------------------------------------------------------------------------------

    def _info(self, request: Request, model: Repository, rest: list[str]) -> Response:
        commit = model.at(_joined(rest) or "main")
        if commit is None:
            return _no_revision(_joined(rest))
        if expand := request.many("expand"):
            return as_json(listing.expanded(model, commit, expand, single=True))
        names = (
            "author baseModels cardData disabled downloads gated lastModified library_name likes pipeline_tag private"
        )
        found = listing.expanded(model, commit, f"{names} createdAt sha tags usedStorage".split(), single=True)
        found["modelId"] = model.repo_id
        found["siblings"] = [_sibling(path, blob, request.flag("blobs")) for path, blob in sorted(commit.blobs.items())]
        if request.flag("securityStatus"):
            found["securityRepoStatus"] = dict(model.scan)
        return as_json(found)

    def _refs(self, request: Request, model: Repository, rest: list[str]) -> Response:
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": sha} for n, sha in model.git_tags.items()]
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": model.head.sha}]
        requests: dict[str, Any] = {"pullRequests": []} if request.flag("include_prs") else {}
        return as_json({"branches": branches, "converts": [], "tags": tags, **requests})

    def _commits(self, request: Request, model: Repository, rest: list[str]) -> Response:
        newest = model.at(_joined(rest))
        if newest is None:
            return _no_revision(_joined(rest))
        history = list(reversed(model.commits[: model.commits.index(newest) + 1]))
        limit, number = _number(request, "limit", COMMITS_PAGE, 1000), _number(request, "p", 0, 10**6, least=0)
        shown = history[number * limit : (number + 1) * limit]
        more = str(number + 1) if (number + 1) * limit < len(history) else ""
        formatted = "formatted" in request.many("expand")
        response = as_json([_commit(commit, formatted) for commit in shown], X_Total_Count=str(len(history)))
        return _next(request, response, p=more)

    def _tree(self, request: Request, model: Repository, rest: list[str]) -> Response:
        revision, *folders = rest or ["main"]
        commit = model.at(revision)
        if commit is None:
            return _no_revision(revision)
        folder, expand = _joined(folders).strip("/"), request.flag("expand")
        entries = _entries(commit, folder, recursive=request.flag("recursive"))
        if folder and not entries:
            return _no_entry(folder, commit)
        size = _number(request, "limit", TREE_PAGE_EXPANDED if expand else TREE_PAGE, TREE_PAGE)
        after = request.one("cursor")
        ahead = [entry for entry in entries if entry["path"] > after]
        shown = [_expanded_entry(model, commit, entry) if expand else entry for entry in ahead[:size]]
        return _next(request, as_json(shown), cursor=shown[-1]["path"] if len(ahead) > size else "")

    def _paths_info(self, request: Request, model: Repository, rest: list[str]) -> Response:
        commit = model.at(_joined(rest))
        if commit is None:
            return _no_revision(_joined(rest))
        paths, expand = _asked_paths(request)
        known = {entry["path"]: entry for entry in _entries(commit, "", recursive=True)}
        found = [known[path] for path in paths if path in known]
        return as_json([_expanded_entry(model, commit, entry) if expand else entry for entry in found])

    def _auth_check(self, request: Request, model: Repository, rest: list[str]) -> Response:
        return self.access.shut(request, model) or as_json({})

    def _safetensors_metadata(self, request: Request, model: Repository, rest: list[str]) -> Response:
        if refused := self.access.shut(request, model):
            return refused
        index_path = _joined(rest)
        blob = model.head.blobs.get(index_path)
        if blob is None:
            return _no_entry(index_path, model.head)
        folder = index_path.rpartition("/")[0]
        try:
            index = json.loads(self.shelf.path(blob.object_id).read_bytes())
            shards = sorted(set(index["weight_map"].values()))
            headers = {shard: self._header(model.head.blobs[f"{folder}/{shard}".lstrip("/")]) for shard in shards}
        except (ValueError, KeyError, TypeError, AttributeError):
            return error(400, "Failed to parse the safetensors index or one of its shards")
        return as_json({"index": {"metadata": index.get("metadata")}, "headers": headers})

    def _header(self, blob: Blob) -> Any:
        with self.shelf.path(blob.object_id).open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > HEADER_LIMIT:
                raise ValueError("header too long")
            return json.loads(stream.read(length))

    # --- file contents ----------------------------------------------------------------------------------------

    def _resolve(self, request: Request, model: Repository, rest: list[str]) -> Response:
        revision, *folders = rest
        commit, path = model.at(revision), _joined(folders)
        if commit is None:
            return _no_revision(revision)
        if refused := self.access.shut(request, model):
            return refused.with_headers(X_Repo_Commit=commit.sha)
        blob = commit.blobs.get(path)
        if blob is None or not self.shelf.path(blob.object_id).exists():
            return _no_entry(path, commit)
        if blob.sha256 is None:
            cached = f"/api/resolve-cache/{model.kind}/{model.repo_id}/{commit.sha}/{quote(path)}"
            query = urlencode({request.path: "", "etag": f'"{blob.oid}"'})
            return redirect(307, f"{cached}?{query}", X_Repo_Commit=commit.sha)
        size, etag = str(blob.size), f'"{blob.sha256}"'
        location = f"{self.cdn}{self._signed(blob, path)}"
        return redirect(302, location, X_Repo_Commit=commit.sha, X_Linked_Size=size, X_Linked_ETag=etag)

    def _raw(self, request: Request, model: Repository, rest: list[str]) -> Response:
        """What git itself holds: of a large file, the pointer."""
        commit, path = model.at(rest[0]), _joined(rest[1:])
        if commit is None:
            return _no_revision(rest[0])
        if refused := self.access.shut(request, model):
            return refused
        blob = commit.blobs.get(path)
        if blob is None:
            return _no_entry(path, commit)
        large = Body.of(git.pointer(blob.sha256, blob.size)) if blob.sha256 else None
        body = large or Body.file(self.shelf.path(blob.object_id), blob.size)
        headers = {"Content-Type": "text/plain; charset=utf-8", "ETag": f'"{blob.oid}"', "X-Repo-Commit": commit.sha}
        return ranged(request, Response(200, headers, body))

    def _resolve_cache(self, request: Request, model: Repository, rest: list[str]) -> Response:
        commit, path = model.at(rest[0]), _joined(rest[1:])
        blob = commit.blobs.get(path) if commit else None
        if commit is None or blob is None or blob.sha256 is not None:
            return NOT_FOUND
        if refused := self.access.shut(request, model):
            return refused
        body = Body.file(self.shelf.path(blob.object_id), blob.size)
        response = Response(200, {"Content-Type": "text/plain; charset=utf-8"}, body)
        return ranged(request, response.with_headers(ETag=f'"{blob.oid}"', X_Repo_Commit=commit.sha))

    def _signed(self, blob: Blob, path: str) -> str:
        where = f"/repos/lfs/{blob.sha256}"
        name = path.rpartition("/")[2]
        query = {"response-content-disposition": f"inline; filename={name}", "Signature": self._signature(where)}
        return f"{where}?{urlencode(query)}"

    def _content(self, request: Request) -> Response:
        """The second port: large files under signed addresses, and it wants no token."""
        if not hmac.compare_digest(request.one("Signature"), self._signature(request.path)):
            return error(403, "Access denied")
        object_id = request.path.rpartition("/")[2]
        path = self.shelf.path(object_id)
        body = Body.file(path, path.stat().st_size)
        response = Response(200, {"Content-Type": "application/octet-stream", "ETag": f'"{object_id}"'}, body)
        return ranged(request, response)

    def _signature(self, path: str) -> str:
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()


# --- how things are written ------------------------------------------------------------------------------------


def _joined(parts: Iterable[str]) -> str:
    return "/".join(parts)


def _number(request: Request, name: str, default: int, most: int, *, least: int = 1) -> int:
    text = request.one(name) or str(default)
    if not text.isdecimal() or len(text) > 9:
        raise listing.BadQueryError(f"{name}: {text!r} is not a number")
    return max(least, min(int(text), most))


def _next(request: Request, response: Response, **changed: str) -> Response:
    """Add the absolute `Link` to the next page, unless the changed parameter is empty."""
    if not all(changed.values()):
        return response
    query = {**request.query, **{name: (value,) for name, value in changed.items()}}
    address = f"{request.origin}{request.path}?{urlencode(query, doseq=True)}"
    return response.with_headers(Link=f'<{address}>; rel="next"')


def _no_revision(revision: str) -> Response:
    return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def _no_entry(path: str, commit: Commit) -> Response:
    return error(404, "Entry not found", "EntryNotFound").with_headers(X_Repo_Commit=commit.sha)


def _sibling(path: str, blob: Blob, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    found: dict[str, Any] = {"rfilename": path, "size": blob.size, "blobId": blob.oid}
    if blob.sha256:
        pointer = len(git.pointer(blob.sha256, blob.size))
        found["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": pointer}
    return found


def _commit(commit: Commit, formatted: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": commit.sha,
        "title": commit.title.partition("\n")[0],
        "message": commit.title.partition("\n")[2].strip(),
        "authors": [{"user": commit.author, "avatar": ""}],
        "date": commit.date,
    }
    if formatted:
        found["formatted"] = {"title": found["title"], "message": found["message"]}
    return found


def _entries(commit: Commit, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Files and directories below `folder`, by path."""
    prefix = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    trees = git.trees({path: blob.oid for path, blob in commit.blobs.items()})
    for path in (path for path in trees if path and path.startswith(prefix)):
        found[path] = {"type": "directory", "oid": trees[path], "size": 0, "path": path}
    for path, blob in commit.blobs.items():
        if path.startswith(prefix):
            found[path] = _file_entry(path, blob)
    shown = (path for path in sorted(found) if recursive or "/" not in path[len(prefix) :])
    return [found[path] for path in shown]


def _file_entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.sha256:
        pointer = len(git.pointer(blob.sha256, blob.size))
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": pointer}
    return entry


def _expanded_entry(model: Repository, commit: Commit, entry: Mapping[str, Any]) -> dict[str, Any]:
    """With the last commit that touched it and, for files, the scanners' word."""
    last = _last_commit(model, commit, str(entry["path"]))
    found = {**entry, "lastCommit": {"id": last.sha, "title": last.title, "date": last.date}}
    if entry["type"] == "file":
        issues = {issue["path"]: issue["level"] for issue in model.scan.get("filesWithIssues", ())}
        level = issues.get(entry["path"], "safe" if model.scan.get("scansDone") else "queued")
        found["securityFileStatus"] = {
            "status": level,
            "avScan": {"status": level, "message": "", "reportLink": "", "reportLabel": ""},
            "pickleImportScan": {"status": level, "pickleImports": [], "message": ""},
        }
    return found


def _last_commit(model: Repository, commit: Commit, path: str) -> Commit:
    def below(at: Commit) -> dict[str, str]:
        return {p: blob.oid for p, blob in at.blobs.items() if p == path or p.startswith(f"{path}/")}

    position = model.commits.index(commit)
    while position and below(model.commits[position - 1]) == below(commit):
        position -= 1
    return model.commits[position]


def _asked_paths(request: Request) -> tuple[list[str], bool]:
    """From a form (Python client) or JSON (JavaScript client)."""
    try:
        if "json" in request.headers.get("content-type", ""):
            asked = json.loads(request.body)
            paths = asked["paths"]
            return [str(path) for path in ([paths] if isinstance(paths, str) else paths)], bool(asked.get("expand"))
        form = parse_qs(request.body.decode(), keep_blank_values=True)
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise listing.BadQueryError("paths-info: the body is neither a form nor JSON with `paths`") from wrong
    return form.get("paths", []), form.get("expand", [""])[-1].lower() == "true"
