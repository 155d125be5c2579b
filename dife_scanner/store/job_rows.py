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
WAITING_SQL = ", ".join(f"'{state.value}'" for state in WAITING)
"""The same in SQL; written out, because an index of some rows is used only where the statement names the same."""
TAKEN_IN_ORDER = "priority DESC, popularity DESC, turn, id"
"""SQL: the order in which jobs are taken that are due. It is that of the index `jobs_waiting`."""
JUDGED = 1
IN_USE = 2
BY_HAND = 3
"""Priorities: what somebody requested goes before what is in use, and that before a new revision of a
model that is flagged or approved. What only a listing shows has 0."""
LISTED_PRIORITY = f"""CASE WHEN EXISTS (
  SELECT 1 FROM findings AS f WHERE f.repo_id = jobs.repo_id AND f.local = jobs.local AND f.revision != jobs.revision
    AND f.triage != 'false-positive'
) OR EXISTS (
  SELECT 1 FROM jobs AS o JOIN artefact_jobs AS l ON l.job_id = o.id JOIN decisions AS d ON d.artefact = l.artefact
  WHERE o.endpoint = jobs.endpoint AND o.repo_id = jobs.repo_id AND o.id != jobs.id AND d.desk = ''
    AND d.state IN ('approved', 'conditions')
    AND d.id = (SELECT max(x.id) FROM decisions AS x
      WHERE x.artefact = d.artefact AND x.deployment = d.deployment AND x.desk = '')
) THEN {JUDGED} ELSE 0 END"""
"""SQL: the priority of a row of `jobs` that nobody requested and nobody uses."""
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


def place_among_waiting(store: Store, job_id: int) -> None:
    """Give a new job its place: by how often it is downloaded, and after the jobs of its author that wait already.

    Authors take turns among models of equal standing. Who comes new begins with the lowest turn that still waits, so
    that those who have waited are not passed by for ever.
    """
    row = read_row(store, job_id)
    author = row["repo_id"].partition("/")[0].lower()
    if row["local"]:
        author = ""
    popularity = _digits(store, job_id)
    rows = store.read(
        "SELECT coalesce((SELECT max(turn) + 1 FROM jobs INDEXED BY jobs_of_author WHERE author = ? AND id != ?"
        f" AND state IN ({WAITING_SQL})),"
        " (SELECT turn FROM jobs INDEXED BY jobs_waiting WHERE priority = 0 AND popularity = ? AND id != ?"
        f" AND state IN ({WAITING_SQL}) ORDER BY turn LIMIT 1), 0) AS turn",
        (author, job_id, popularity, job_id),
    )
    store.write(
        "UPDATE jobs SET author = ?, popularity = ?, turn = ? WHERE id = ?",
        (author, popularity, rows[0]["turn"], job_id),
    )


def _digits(store: Store, job_id: int) -> int:
    """How many digits the number of downloads of a job's model has; 0 where there is none."""
    rows = store.read(
        "SELECT coalesce(json_extract(model, '$.downloads'), 0) AS downloads FROM jobs WHERE id = ?",
        (job_id,),
    )
    downloads = int(rows[0]["downloads"])
    if downloads <= 0:
        return 0
    return len(str(downloads))


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
