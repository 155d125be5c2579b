"""`GET /api/models`: which repositories, in which order, one page at a time, and how one of them is written."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dife_scanner.lab.loopback.messages import Request
from dife_scanner.lab.loopback.repositories import Commit, Repositories, Repository

PAGE = 1000
"""Models on a page, where nothing else is requested and at most."""

SORTS: dict[str, Callable[[Repository], Any]] = {
    "lastModified": lambda model: model.last_modified,
    "createdAt": lambda model: model.created_at,
    "downloads": lambda model: model.downloads,
    "likes": lambda model: model.likes,
    "trendingScore": lambda model: model.trending,
}

INFO_ONLY = ("baseModels", "childrenModelCount", "usedStorage")
"""Properties that the Hub expands for one model and refuses in a listing."""

_EMPTY = frozenset(
    {
        "downloadsAllTime",
        "evalResults",
        "gguf",
        "inference",
        "inferenceProviderMapping",
        "mask_token",
        "model-index",
        "resourceGroup",
        "safetensors",
        "spaces",
        "transformersInfo",
        "widgetData",
    }
)
"""Properties that may be requested and that no repository here has: left out of the item, as the Hub does."""


class BadQueryError(ValueError):
    """A parameter the Hub answers with 400."""


def chosen(repositories: Iterable[Repository], request: Request) -> list[Repository]:
    """Those that pass every parameter of the query, several `filter` all together."""
    return [model for model in repositories if _passes(model, request)]


def _passes(model: Repository, request: Request) -> bool:
    wanted = frozenset(request.many("filter"))
    if wanted and not wanted <= labels(model):
        return False
    gated = request.one("gated")
    if gated and (gated == "true") != bool(model.gated):
        return False
    author = request.one("author")
    if author and not model.repo_id.startswith(f"{author}/"):
        return False
    task = request.one("pipeline_tag")
    if task and model.pipeline_tag != task:
        return False
    return request.one("search").lower() in model.repo_id.lower()


def labels(model: Repository) -> frozenset[str]:
    """Everything `filter=` can name."""
    return frozenset((*model.tags, model.library, model.pipeline_tag))


def ordered(
    models: Iterable[Repository],
    sort: str,
    direction: int,
) -> list[Repository]:
    """By the sort field (descending for -1), equal ones by ascending `_id`."""
    value = SORTS.get(sort)
    if value is None:
        raise BadQueryError(f"sort: {sort!r} is not a sort field")
    by_key = sorted(models, key=lambda model: model.key)
    return sorted(by_key, key=value, reverse=direction < 0)


def page(
    models: Sequence[Repository],
    sort: str,
    direction: int,
    limit: int,
    cursor: str,
) -> tuple[list[Repository], str]:
    """At most `limit` of `models` (already ordered) from behind the cursor, and the next cursor or ""."""
    start = 0
    if cursor:
        start = _start(models, sort, direction, cursor)
    found = list(models[start : start + limit])
    if start + limit >= len(models):
        return found, ""
    return found, _cursor(found[-1], sort, direction)


def _cursor(last: Repository, sort: str, direction: int) -> str:
    """The Hub's own form: a condition on the sort field and `_id` that the next models fulfil, base64 of JSON.

    It names no position, so a model that changes between two pages moves to another one or is missed, as on the Hub.
    """
    value = SORTS[sort](last)
    beyond = "$lt" if direction < 0 else "$gt"
    alternatives = [
        {sort: value, "_id": {"$gt": last.key}},
        {sort: {beyond: value}},
        {sort: None},
    ]
    condition = json.dumps({"$or": alternatives})
    return base64.urlsafe_b64encode(condition.encode()).decode()


def _start(
    models: Sequence[Repository],
    sort: str,
    direction: int,
    cursor: str,
) -> int:
    """Index of the first model that the condition lets through (bisection: `models` are in its order)."""
    try:
        same = json.loads(base64.urlsafe_b64decode(cursor))["$or"][0]
        value = same[sort]
        key = same["_id"]["$gt"]
    except (ValueError, KeyError, TypeError, IndexError) as wrong:
        raise BadQueryError("Invalid cursor") from wrong
    low = 0
    high = len(models)
    while low < high:
        middle = (low + high) // 2
        mine = SORTS[sort](models[middle])
        if mine == value:
            is_shown = models[middle].key <= key
        elif direction < 0:
            is_shown = mine > value
        else:
            is_shown = mine < value
        if is_shown:
            low = middle + 1
        else:
            high = middle
    return low


class Order:
    """Keeps the ordered models of one version of the repositories, so that one page of 10,000 models costs a page."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._version = -1
        self._kept: dict[tuple[str, int], list[Repository]] = {}

    def models(self, sort: str, direction: int) -> list[Repository]:
        """All of them in this order."""
        if self._version != self._repositories.version:
            self._version = self._repositories.version
            self._kept = {}
        kept = self._kept  # another thread may put an empty one in its place
        if (sort, direction) not in kept:
            kept[sort, direction] = ordered(self._repositories.all(), sort, direction)
        return kept[sort, direction]


def item(model: Repository, request: Request, sort: str) -> dict[str, Any]:
    """One entry of a listing: the default fields, `full`, or exactly what `expand` names."""
    expand = request.many("expand")
    if expand:
        return expanded(model, model.head, expand, single=False)
    found = _basic(model)
    if sort == "lastModified":
        found["lastModified"] = model.last_modified
    if request.flag("full"):
        for name in ("author", "gated", "disabled", "lastModified", "sha", "siblings"):
            found[name] = _PROPERTIES[name](model, model.head)
    if request.flag("cardData") and model.card:
        found["cardData"] = model.card
    return found


def _basic(model: Repository) -> dict[str, Any]:
    """What the Hub lists of a model by default: no date, no commit and no files."""
    found: dict[str, Any] = {
        "_id": model.key,
        "id": model.repo_id,
        "modelId": model.repo_id,
        "likes": model.likes,
        "trendingScore": model.trending,
        "private": model.private,
        "downloads": model.downloads,
        "tags": list(model.tags),
        "createdAt": model.created_at,
    }
    if model.pipeline_tag:
        found["pipeline_tag"] = model.pipeline_tag
    if model.library:
        found["library_name"] = model.library
    return found


def siblings(commit: Commit) -> list[dict[str, Any]]:
    """The names of a commit's files."""
    return [{"rfilename": path} for path in sorted(commit.blobs)]


_NO_CHILDREN = {
    "adapter": 0,
    "finetune": 0,
    "merge": 0,
    "quantized": 0,
}
_PROPERTIES: dict[str, Callable[[Repository, Commit], Any]] = {
    "author": lambda model, _: model.repo_id.partition("/")[0],
    "baseModels": lambda model, _: _base_models(model),
    "cardData": lambda model, _: dict(model.card) or None,
    "childrenModelCount": lambda model, _: dict(_NO_CHILDREN),
    "config": lambda model, _: {},
    "createdAt": lambda model, _: model.created_at,
    "disabled": lambda model, _: model.disabled,
    "downloads": lambda model, _: model.downloads,
    "gated": lambda model, _: model.gated or False,
    "lastModified": lambda model, _: model.last_modified,
    "library_name": lambda model, _: model.library or None,
    "likes": lambda model, _: model.likes,
    "pipeline_tag": lambda model, _: model.pipeline_tag or None,
    "private": lambda model, _: model.private,
    "sha": lambda _, commit: commit.sha,
    "siblings": lambda _, commit: siblings(commit),
    "tags": lambda model, _: list(model.tags),
    "trendingScore": lambda model, _: model.trending,
    "usedStorage": lambda model, _: _used_storage(model),
}


def expanded(
    model: Repository,
    commit: Commit,
    names: Iterable[str],
    *,
    single: bool,
) -> dict[str, Any]:
    """`_id`, `id` and the named properties; `single` where one model was requested, and not in a listing.

    Raises `BadQueryError` for a name the Hub does not know.
    """
    found: dict[str, Any] = {"_id": model.key, "id": model.repo_id}
    for name in names:
        if name in _EMPTY:
            continue
        if name not in _PROPERTIES or (not single and name in INFO_ONLY):
            raise BadQueryError(f"expand: {name!r} is not an expandable property")
        value = _PROPERTIES[name](model, commit)
        if value is not None:
            found[name] = value
    return found


def _base_models(model: Repository) -> dict[str, Any] | None:
    """From the tags, as `base_model:finetune:org/name`; the Hub derives the same list its own way."""
    for tag in model.tags:
        if not tag.startswith("base_model:"):
            continue
        relation, _, base = tag.removeprefix("base_model:").partition(":")
        if base:
            return {"relation": relation, "models": [{"_id": "0" * 24, "id": base}]}
    return None


def _used_storage(model: Repository) -> int:
    """Bytes of everything that any revision holds, each content once."""
    sizes: dict[str, int] = {}
    for commit in model.commits:
        for blob in commit.blobs.values():
            sizes[blob.object_id] = blob.size
    return sum(sizes.values())
