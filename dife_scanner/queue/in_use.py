"""The models in use: read from the watch-lists, looked up one by one, and queued before everything a listing shows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dife_scanner.checkpoints import first_look
from dife_scanner.errors import (
    BadToken,
    DifeError,
    HubError,
    RepoDisabled,
    RepoGated,
    RepoNotFound,
    RepoPrivate,
    RevisionNotFound,
)
from dife_scanner.hub import in_use as lists
from dife_scanner.hub import listing, scopes
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.history import has_room
from dife_scanner.queue.failures import NOT_FOUND_TO_DELETED
from dife_scanner.records import HubModel, JobState, ModelRef, WatchedModel
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs, watchlist

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

IN_USE = "in use"
_CLOSED = (
    (RepoGated, JobState.GATED),
    (RepoPrivate, JobState.PRIVATE),
    (RepoDisabled, JobState.DISABLED),
)
"""Answers that tell of a state at once. That there is no such repository has to be said several times."""


@dataclass(frozen=True)
class Looked:
    """What one pass over the models in use did."""

    seen: int = 0
    """Those that the hub showed."""
    new: int = 0
    """Revisions not known before."""
    problems: tuple[str, ...] = ()
    error: HubError | None = None
    """What ended it before its end."""


def look_up(
    store: Store,
    hub: Hub,
    settings: Settings,
    deadline: Deadline,
    on_model: Callable[[str], None] = lambda name: None,
) -> Looked:
    """Read the watch-lists again and ask the hub for each model on them, the one first that waited longest.

    A commit that is known already costs no request. The rest waits for the next pass where the hub's window is used up
    to the share that `history.SHARE` states. Raises `BadToken`; a list that cannot be read leaves what was known.
    """
    problems = read_lists(store, settings)
    seen = new = 0
    for one in watchlist.watched(store, hub.endpoint):
        if _is_settled(store, hub.endpoint, one):
            continue
        if not has_room(hub):
            problems.append("models in use: the rest is looked up in the next pass")
            break
        on_model(one.wanted.repo_id)
        try:
            found = hub.info(one.wanted.repo_id, one.wanted.revision or None, deadline=deadline)
        except BadToken:
            raise
        except HubError as error:
            kept = _unanswered(one, error)
            if kept is None:
                problems.append(f"models in use: {error.what}")
                return Looked(seen, new, tuple(problems), error)
            watchlist.keep(store, hub.endpoint, kept)
            continue
        seen += 1
        new += _queue(store, hub, one, found)
    return Looked(seen, new, tuple(problems))


def read_lists(store: Store, settings: Settings) -> list[str]:
    """Make what the watch-lists name the models in use; returns what could not be read, in words."""
    try:
        found = lists.read(settings.watch.list)
    except DifeError as error:
        log.warning("%s", error.what)
        return [error.what]
    watchlist.replace_all(store, settings.endpoint, found.entries)
    for reason, count in sorted(found.skipped.items()):
        log.info("watch-lists: %s × %s", count, reason)
    return []


def _is_settled(store: Store, endpoint: str, one: WatchedModel) -> bool:
    """Whether the model is pinned to a commit that has its job; the job is then told that it is in use."""
    revision = one.wanted.revision
    if not listing.is_sha(revision):
        return False
    name = one.found_as or one.wanted.repo_id
    return jobs.mark_in_use(store, endpoint, ModelRef(name, revision), one.wanted.place)


def _unanswered(one: WatchedModel, error: HubError) -> WatchedModel | None:
    """What an error says of a model in use; `None` where it says something of the hub or the line only."""
    for kind, state in _CLOSED:
        if isinstance(error, kind):
            return replace(one, state=state, reason=error.what, misses=0)
    if not isinstance(error, (RepoNotFound, RevisionNotFound)):
        return None
    misses = one.misses + 1
    if misses >= NOT_FOUND_TO_DELETED:
        reason = f"{error.what} (asked {misses} times)"
        return replace(one, state=JobState.DELETED, reason=reason, misses=misses)
    reason = f"{error.what} (answer {misses} of {NOT_FOUND_TO_DELETED} before it counts as deleted)"
    return replace(one, state=None, reason=reason, misses=misses)


def _queue(store: Store, hub: Hub, one: WatchedModel, model: HubModel) -> int:
    """Record the revision that is in use; 1 where it was not known before."""
    manifest = first_look(model, hub.has_token)
    reason = manifest.reason if manifest.state.is_final else IN_USE
    renamed = ""
    if model.repo_id != one.wanted.repo_id:
        renamed = f"its name is {model.repo_id} now"
    before = jobs.find(store, hub.endpoint, ModelRef(model.repo_id, model.sha))
    jobs.discover(
        store,
        ModelRef(model.repo_id, model.sha),
        endpoint=hub.endpoint,
        state=manifest.state,
        reason=reason,
        model=model,
        # A job that is known may have a closer look's manifest, which says more than names do.
        manifest=manifest if before is None else None,
        pinned=bool(one.wanted.revision),
        in_use=one.wanted.place or "a watch-list",
    )
    kept = replace(
        one,
        found_as=model.repo_id,
        sha=model.sha,
        state=None,
        reason=renamed,
        misses=0,
        bases=scopes.bases_of(model.tags),
    )
    watchlist.keep(store, hub.endpoint, kept)
    return int(before is None)
