"""Jobs: one row per discovered revision, exactly one state each, every change of state kept as an event.

Here they are discovered, listed, and queued or cancelled by hand; what a worker does with one is in `store.leases`.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import UsageError
from dife_scanner.records import Finding, HubModel, HubScan, Job, JobState, Manifest, ModelRef
from dife_scanner.store import findings, row_counts
from dife_scanner.store.codec import from_json
from dife_scanner.store.db import Store
from dife_scanner.store.job_rows import (
    BY_HAND,
    HELD,
    IN_USE,
    LISTED_PRIORITY,
    WAITING,
    add_event,
    description,
    keep_description,
    newest_listed,
    next_recheck,
    place_among_waiting,
    read_row,
    requeue_afresh,
    set_state,
    supersede_older,
)
from dife_scanner.store.rows import placeholders, sql_limit, state_values, to_job

_MAY_REOPEN = frozenset(
    {
        JobState.UNSUPPORTED,
        JobState.GATED,
        JobState.PRIVATE,
        JobState.DISABLED,
        JobState.DELETED,
        JobState.SUPERSEDED,
    }
)
"""Final states that a repository can leave: it was changed, opened or put back."""


@dataclass(frozen=True)
class JobEvent:
    """One change of a job's state."""

    at: str
    state: JobState
    reason: str
    worker: str | None


# --- discovering ----------------------------------------------------------------------------------------------


def discover(
    store: Store,
    ref: ModelRef,
    *,
    endpoint: str,
    state: JobState,
    reason: str,
    model: HubModel | None = None,
    manifest: Manifest | None = None,
    pinned: bool = False,
    in_use: str = "",
) -> Job:
    """Record one revision; the same revision again is the same job.

    Older revisions of the repository that still wait become `superseded`; one that a worker holds is finished. A
    revision older than the newest known is itself recorded as superseded. `pinned`: somebody requested exactly this
    revision, so it is not superseded, and supersedes others only once a listing shows it too. A job that ended as
    unsupported, gated, private, disabled, deleted or superseded opens again when it is now found `queued`.
    `in_use`: where somebody uses it; such jobs go before those that only a listing shows.
    """
    with store.atomic("jobs.discover"):
        known_job = _find_row(store, endpoint, ref)
        if known_job is None:
            row = _new_row(ref, endpoint, state, reason, pinned or ref.local)
            job_id = _insert(store, row | description(model, manifest))
            add_event(store, job_id, state, reason, None)
            place_among_waiting(store, job_id)
        else:
            job_id = known_job["id"]
            keep_description(store, job_id, model, manifest)
            _mark_seen(store, job_id, pinned)
            _reopen(store, known_job, state, reason, pinned)
        _set_priority(store, job_id, pinned, in_use)
        supersede_older(store, endpoint, ref.repo_id)
    return job(store, job_id)


def _find_row(store: Store, endpoint: str, ref: ModelRef) -> dict[str, Any] | None:
    rows = store.read(
        "SELECT * FROM jobs WHERE endpoint = ? AND repo_id = ? AND revision = ?",
        (endpoint, ref.repo_id, ref.revision),
    )
    if not rows:
        return None
    return rows[0]


def _new_row(
    ref: ModelRef, endpoint: str, state: JobState, reason: str, pinned: bool
) -> dict[str, Any]:
    """The row of a revision of which nothing else is known, by column."""
    at = now()
    return {
        "endpoint": endpoint,
        "repo_id": ref.repo_id,
        "revision": ref.revision,
        "local": int(ref.local),
        "pinned": int(pinned),
        "state": state.value,
        "reason": reason,
        "created_at": at,
        "updated_at": at,
        "last_modified": "",
        "next_check_at": next_recheck(state),
        "layout": "",
        "listed": int(not pinned),
    }


def _insert(store: Store, row: dict[str, Any]) -> int:
    """Write a new row; returns its id."""
    cursor = store.write(
        f"INSERT INTO jobs ({', '.join(row)}) VALUES ({placeholders(tuple(row))})",
        tuple(row.values()),
    )
    return int(cursor.lastrowid or 0)


def _mark_seen(store: Store, job_id: int, pinned: bool) -> None:
    """Note how a known revision came up again: somebody requested it, or a listing shows it."""
    column = "listed"
    if pinned:
        column = "pinned"
    store.write(f"UPDATE jobs SET {column} = 1 WHERE id = ?", (job_id,))


def _set_priority(store: Store, job_id: int, pinned: bool, in_use: str) -> None:
    """Let a job go first that somebody requested, uses or judged another revision of; it never loses what it had."""
    store.write(
        f"UPDATE jobs SET priority = max(priority, {LISTED_PRIORITY}) WHERE id = ?", (job_id,)
    )
    if in_use:
        store.write(
            "UPDATE jobs SET in_use = ?, priority = max(priority, ?) WHERE id = ?",
            (in_use, IN_USE, job_id),
        )
    elif pinned:
        store.write("UPDATE jobs SET priority = ? WHERE id = ?", (BY_HAND, job_id))


def _reopen(store: Store, row: dict[str, Any], state: JobState, reason: str, pinned: bool) -> None:
    """Queue a job that has ended, where it can be audited now and nothing newer is known of its repository."""
    may_reopen = state is JobState.QUEUED and JobState(row["state"]) in _MAY_REOPEN
    if may_reopen and (pinned or _is_newest(store, row["id"])):
        requeue_afresh(store, row["id"], reason)


def _is_newest(store: Store, job_id: int) -> bool:
    row = read_row(store, job_id)
    newest = newest_listed(store, row["endpoint"], row["repo_id"])
    return bool(row["pinned"]) or newest is None or newest["id"] == job_id


# --- listing --------------------------------------------------------------------------------------------------


def known(store: Store, endpoint: str) -> dict[str, str]:
    """Give the sha of every repository of `endpoint` as it was last listed."""
    rows = store.read(
        "SELECT repo_id, revision FROM jobs WHERE endpoint = ? AND listed = 1 ORDER BY last_modified, id",
        (endpoint,),
    )
    return {row["repo_id"]: row["revision"] for row in rows}


def find(store: Store, endpoint: str, ref: ModelRef) -> Job | None:
    """Read the job of one revision; `None` where it has none."""
    row = _find_row(store, endpoint, ref)
    if row is None:
        return None
    return to_job(row)


def mark_in_use(store: Store, endpoint: str, ref: ModelRef, place: str) -> bool:
    """Let the job of a revision go first because somebody uses it; `False` where it has none."""
    known_job = _find_row(store, endpoint, ref)
    if known_job is None:
        return False
    if known_job["in_use"] != place:
        with store.atomic("jobs.mark_in_use"):
            _set_priority(store, known_job["id"], False, place)
    return True


def job(store: Store, job_id: int) -> Job:
    """Read one job. Raises `NotFound`."""
    return to_job(read_row(store, job_id))


def jobs(
    store: Store, *, states: Iterable[JobState] | None = None, limit: int | None = None
) -> list[Job]:
    """List jobs in any of `states`, the newest change first."""
    where, wanted = "1", tuple(states or ())
    if states is not None:
        where = f"state IN ({placeholders(wanted)})"
    rows = store.read(
        f"SELECT * FROM jobs WHERE {where} ORDER BY updated_at DESC, id DESC LIMIT ?",
        (*state_values(wanted), sql_limit(limit)),
    )
    return [to_job(row) for row in rows]


def counts(store: Store) -> dict[str, int]:
    """Count the jobs in each state; states without jobs are absent."""
    return row_counts.of(store, "jobs")


def events(store: Store, job_id: int) -> list[JobEvent]:
    """List every state this job has been in, oldest first."""
    rows = store.read(
        "SELECT at, state, reason, worker FROM job_events WHERE job_id = ? ORDER BY id", (job_id,)
    )
    return [_to_event(row) for row in rows]


def last_event(store: Store) -> int:
    """The number of the newest event, for `events_after`."""
    rows = store.read("SELECT coalesce(max(id), 0) AS last FROM job_events")
    return int(rows[0]["last"])


def events_after(store: Store, number: int) -> list[tuple[int, int, JobEvent]]:
    """List what happened to any job after event `number`: (number, job id, event), oldest first."""
    rows = store.read("SELECT * FROM job_events WHERE id > ? ORDER BY id", (number,))
    return [(row["id"], row["job_id"], _to_event(row)) for row in rows]


def _to_event(row: dict[str, Any]) -> JobEvent:
    return JobEvent(row["at"], JobState(row["state"]), row["reason"], row["worker"])


def manifest_of(store: Store, job_id: int) -> Manifest | None:
    """Read what was last seen of a job's files."""
    text = read_row(store, job_id)["manifest"]
    if not text:
        return None
    return from_json(Manifest, text)


def reserved(store: Store, job_id: int) -> int:
    """Bytes that this job was to have on the disk when it was last taken; 0 where it never came so far."""
    return int(read_row(store, job_id)["reserved_bytes"])


def scan_of(store: Store, ref: ModelRef) -> HubScan | None:
    """What the hub's own scanners said of a revision when it was last looked at; `None` where nobody knows."""
    rows = store.read(
        "SELECT model FROM jobs WHERE repo_id = ? AND revision = ? AND model IS NOT NULL ORDER BY id DESC LIMIT 1",
        (ref.repo_id, ref.revision),
    )
    if not rows:
        return None
    return from_json(HubModel, rows[0]["model"]).scan


def repeats(store: Store, job_id: int, kind: str) -> int:
    """How often in a row, up to now, this job was put off for the same `kind` of error."""
    row = read_row(store, job_id)
    if row["last_error"] != kind:
        return 0
    return int(row["repeats"])


def last_error(store: Store, job_id: int) -> str:
    """For which kind of error this job was put off last; empty where it never was."""
    return str(read_row(store, job_id)["last_error"] or "")


def next_due(store: Store) -> str | None:
    """When the next waiting job may be taken; `None` with nothing waiting. In the past when one may be taken now."""
    rows = store.read(
        f"SELECT min(coalesce(next_check_at, created_at)) AS due FROM jobs WHERE state IN ({placeholders(WAITING)})",
        state_values(WAITING),
    )
    due: str | None = rows[0]["due"]
    return due


# --- findings of ended jobs -----------------------------------------------------------------------------------


def without_finding(store: Store, audit_id: str) -> list[Job]:
    """List jobs that ended with this audit and have no finding."""
    rows = store.read(
        "SELECT * FROM jobs WHERE audit_id = ? AND fingerprint IS NULL ORDER BY id", (audit_id,)
    )
    return [to_job(row) for row in rows]


def attach_finding(store: Store, job_id: int, finding: Finding) -> None:
    """Inside a transaction: keep a finding that became one only after its job had ended. It alerts nobody."""
    findings.insert_finding(store, finding, job_id)
    store.write("UPDATE jobs SET fingerprint = ? WHERE id = ?", (finding.fingerprint, job_id))


# --- by hand --------------------------------------------------------------------------------------------------


def requeue(
    store: Store, job_id: int, *, reason: str = "asked for again", pinned: bool = True
) -> Job:
    """Queue a job again by hand, its counts starting afresh; one that a worker holds is left alone."""
    with store.atomic("jobs.requeue"):
        row = read_row(store, job_id)
        if JobState(row["state"]) not in HELD:
            if pinned:
                store.write(
                    "UPDATE jobs SET pinned = 1, priority = ? WHERE id = ?", (BY_HAND, job_id)
                )
            requeue_afresh(store, job_id, reason)
    return job(store, job_id)


def put_first(store: Store, job_id: int) -> None:
    """Inside a transaction: let a waiting job go before all others once it is due. Raises `UsageError` for another."""
    state = JobState(read_row(store, job_id)["state"])
    if state not in WAITING:
        raise UsageError(f"job {job_id} does not wait: it is {state.value}", "see `dife queue`")
    store.write(
        "UPDATE jobs SET priority = 1 + max(?, (SELECT max(priority) FROM jobs"
        f" WHERE state IN ({placeholders(WAITING)}))) WHERE id = ?",
        (BY_HAND, *state_values(WAITING), job_id),
    )


def cancel(store: Store, job_id: int, *, reason: str = "cancelled by hand") -> Job:
    """Stop a waiting or running job. Raises `UsageError` for one that has ended."""
    with store.atomic("jobs.cancel"):
        state = JobState(read_row(store, job_id)["state"])
        if state.is_final:
            raise UsageError(f"job {job_id} has already ended as {state.value}", "see `dife queue`")
        set_state(store, job_id, JobState.CANCELLED, reason)
    return job(store, job_id)
