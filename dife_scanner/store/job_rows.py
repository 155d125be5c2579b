"""The one place where the state of a job changes: its row, its event, and the older revisions that it overtakes."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from typing import Any

from dife_scanner.durable.clock import later, now
from dife_scanner.errors import NotFound
from dife_scanner.records import HubModel, JobState, Manifest
from dife_scanner.store.codec import to_json
from dife_scanner.store.db import Store
from dife_scanner.store.rows import placeholders, state_values

RECHECK_SECONDS = 7 * 24 * 3600.0
"""When a gated, private or disabled repository is looked at again."""

HELD = (JobState.DOWNLOADING, JobState.AUDITING)
"""A worker has the job."""
WAITING = (JobState.QUEUED, JobState.RETRY_WAIT, JobState.PAUSED)
"""A worker may take it, now or later."""
RECHECKED = (JobState.GATED, JobState.PRIVATE, JobState.DISABLED)
"""Ended, and looked at again after a while."""


def next_recheck(state: JobState) -> str | None:
    """When a job that ends in `state` now is looked at again; `None` for never."""
    if state not in RECHECKED:
        return None
    return later(RECHECK_SECONDS)


def read_row(store: Store, job_id: int) -> dict[str, Any]:
    """The row of a job. Raises `NotFound`."""
    rows = store.read("SELECT * FROM jobs WHERE id = ?", (job_id,))
    if not rows:
        raise NotFound(f"there is no job {job_id}", "`dife queue` lists them")
    return rows[0]


def set_state(
    store: Store,
    job_id: int,
    state: JobState,
    reason: str,
    *,
    worker: str | None = None,
    lease_until: str | None = None,
    next_check_at: str | None = None,
) -> None:
    """Change a job's state, which nothing else does, and leave an event."""
    store.write(
        "UPDATE jobs SET state = ?, reason = ?, updated_at = ?, worker = ?, lease_until = ?, next_check_at = ?"
        " WHERE id = ?",
        (
            state.value,
            reason,
            now(),
            worker,
            lease_until,
            next_recheck(state) or next_check_at,
            job_id,
        ),
    )
    add_event(store, job_id, state, reason, worker)


def add_event(store: Store, job_id: int, state: JobState, reason: str, worker: str | None) -> None:
    """Record that a job entered a state."""
    store.write(
        "INSERT INTO job_events (job_id, at, state, reason, worker) VALUES (?, ?, ?, ?, ?)",
        (job_id, now(), state.value, reason, worker),
    )


def requeue_afresh(store: Store, job_id: int, reason: str) -> None:
    """Queue a job with all its counts at zero."""
    store.write(
        "UPDATE jobs SET attempts = 0, deaths = 0, lost_leases = 0, repeats = 0, last_error = '',"
        " reserved_bytes = 0, ahead_at = NULL WHERE id = ?",
        (job_id,),
    )
    set_state(store, job_id, JobState.QUEUED, reason)


def description(model: HubModel | None, manifest: Manifest | None) -> dict[str, Any]:
    """What a hub or a folder showed of a revision, by column."""
    found = {}
    if model:
        found["model"] = to_json(model)
        found["last_modified"] = model.last_modified
    if manifest:
        found["manifest"] = to_json(manifest)
        found["layout"] = manifest.layout.value
    return found


def keep_description(
    store: Store, job_id: int, model: HubModel | None, manifest: Manifest | None
) -> None:
    """Keep what a hub or a folder showed of a revision that is known already."""
    values = description(model, manifest)
    if values:
        changes = ", ".join(f"{column} = ?" for column in values)
        store.write(f"UPDATE jobs SET {changes} WHERE id = ?", (*values.values(), job_id))


def newest_listed(store: Store, endpoint: str, repo_id: str) -> dict[str, Any] | None:
    """`id` and `revision` of the newest job of a repository that a listing showed."""
    rows = store.read(
        "SELECT id, revision FROM jobs WHERE endpoint = ? AND repo_id = ? AND listed = 1"
        " ORDER BY last_modified DESC, id DESC LIMIT 1",
        (endpoint, repo_id),
    )
    if not rows:
        return None
    return rows[0]


def supersede_older(store: Store, endpoint: str, repo_id: str) -> None:
    """End the jobs that wait with an older revision of a repository than its newest, unless somebody requested them."""
    newest = newest_listed(store, endpoint, repo_id)
    if newest is None:
        return
    waiting = store.read(
        f"SELECT id FROM jobs WHERE endpoint = ? AND repo_id = ? AND pinned = 0 AND id != ?"
        f" AND state IN ({placeholders(WAITING)})",
        (endpoint, repo_id, newest["id"], *state_values(WAITING)),
    )
    reason = f"overtaken by revision {newest['revision'][:12]}"
    for row in waiting:
        set_state(store, row["id"], JobState.SUPERSEDED, reason)
    store.write(
        "UPDATE jobs SET next_check_at = NULL WHERE endpoint = ? AND repo_id = ? AND pinned = 0 AND id != ?"
        " AND next_check_at IS NOT NULL",
        (endpoint, repo_id, newest["id"]),
    )
