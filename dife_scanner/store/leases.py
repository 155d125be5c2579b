"""Jobs in the hands of workers.

A worker holds a job through a lease that it renews. Whoever lost the lease gets `LeaseLost` from every later write, so
two workers can never both decide how one job ends.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dife_scanner.durable.clock import later, now
from dife_scanner.errors import DifeError
from dife_scanner.records import (
    Alert,
    Audit,
    Finding,
    HubModel,
    Job,
    JobState,
    Manifest,
    ModelRef,
    Notice,
)
from dife_scanner.store import audits, findings, outbox
from dife_scanner.store.db import Store
from dife_scanner.store.job_rows import (
    HELD,
    RECHECKED,
    TAKEN_IN_ORDER,
    WAITING,
    WAITING_SQL,
    keep_description,
    read_row,
    set_state,
    supersede_older,
)
from dife_scanner.store.jobs import job
from dife_scanner.store.requests import RUNNING
from dife_scanner.store.rows import placeholders, state_values, to_ref

DEATHS_TO_QUARANTINE = 2
LOST_LEASES_ALLOWED = 5
GRACE_SECONDS = 20.0
"""For renewing leases once the database is free again, or the machine awake."""
CLAIM_REASON = "taken by a worker"
RECHECKED_AT_ONCE = 500


class LeaseLost(DifeError):
    """The job is no longer this worker's: its lease ran out, or somebody cancelled it. Stop working on it."""


# --- taking ---------------------------------------------------------------------------------------------------


def claim(
    store: Store, worker: str, lease_seconds: float, *, local: bool | None = None
) -> Job | None:
    """Take the next due job; `None` when nothing is due. `local`: only, or none, of the checkpoints on this disk.

    Those that somebody requested come first, then models in use, then new revisions of flagged or approved models,
    then by downloads, authors in turn (`job_rows.TAKEN_IN_ORDER`).
    """
    only = "" if local is None else f"AND local = {int(local)}"
    if not _due(store, only):  # before the transaction, so that an idle worker locks nobody out
        return None
    with store.atomic("jobs.claim"):
        due = _due(store, only)
        if not due:
            return None
        _take(store, due[0], worker, lease_seconds)
    return job(store, due[0])


def _due(store: Store, only: str = "") -> list[int]:
    """The id of the job to take next; nothing where none is due or the queue is paused. `only`: a further condition."""
    rows = store.read(
        f"SELECT id FROM jobs INDEXED BY jobs_waiting WHERE state IN ({WAITING_SQL})"
        f" AND coalesce(next_check_at, '') <= ? {only} AND {RUNNING} ORDER BY {TAKEN_IN_ORDER} LIMIT 1",
        (now(),),
    )
    return [row["id"] for row in rows]


def claim_job(store: Store, job_id: int, worker: str, lease_seconds: float) -> Job | None:
    """Take exactly this job if it waits (due or not); `None` when it does not."""
    with store.atomic("jobs.claim_job"):
        if JobState(read_row(store, job_id)["state"]) not in WAITING:
            return None
        _take(store, job_id, worker, lease_seconds)
    return job(store, job_id)


def claim_ahead(store: Store, worker: str, lease_seconds: float, busy: int) -> Job | None:
    """Take the job that is due next and has files to fetch, while at least `busy` others are in work.

    One at a time: `None` also where one is being fetched ahead, or was and still waits for a worker.
    """
    if not _to_fetch_ahead(store, busy):
        return None
    with store.atomic("jobs.claim_ahead"):
        due = _to_fetch_ahead(store, busy)
        if not due:
            return None
        _take(store, due[0], worker, lease_seconds)
        store.write("UPDATE jobs SET ahead_at = ? WHERE id = ?", (now(), due[0]))
    return job(store, due[0])


def _to_fetch_ahead(store: Store, busy: int) -> list[int]:
    """The id of the job to fetch ahead; nothing where none is."""
    states = (*HELD, JobState.QUEUED)
    rows = store.read(
        f"SELECT state FROM jobs WHERE state IN ({placeholders(HELD)}) AND ahead_at IS NULL"
        f" UNION ALL SELECT 'ahead' FROM jobs WHERE state IN ({placeholders(states)}) AND ahead_at IS NOT NULL",
        (*state_values(HELD), *state_values(states)),
    )
    found = [row["state"] for row in rows]
    if len(found) < busy or "ahead" in found:
        return []
    return _due(store, "AND local = 0 AND ahead_at IS NULL")


def queue_rechecks(store: Store) -> int:
    """Queue what is gated, private or disabled once it is due to be looked at again; returns how many.

    That is `job_rows.RECHECK_SECONDS` after the last time. At most `RECHECKED_AT_ONCE`; the rest stay due.
    """
    if not _due_rechecks(store):  # before the transaction, so that nobody is locked out for nothing
        return 0
    with store.atomic("jobs.recheck"):
        due = _due_rechecks(store)
        for row in due:
            set_state(store, row["id"], JobState.QUEUED, f"looked at again: it was {row['state']}")
    return len(due)


def _due_rechecks(store: Store) -> list[dict[str, Any]]:
    return store.read(
        f"SELECT id, state FROM jobs WHERE state IN ({placeholders(RECHECKED)}) AND next_check_at <= ?"
        " ORDER BY next_check_at LIMIT ?",
        (*state_values(RECHECKED), now(), RECHECKED_AT_ONCE),
    )


def _take(store: Store, job_id: int, worker: str, lease_seconds: float) -> None:
    lease_until = later(lease_seconds)
    store.write("UPDATE jobs SET ahead_at = NULL WHERE id = ?", (job_id,))
    set_state(
        store, job_id, JobState.DOWNLOADING, CLAIM_REASON, worker=worker, lease_until=lease_until
    )


# --- holding --------------------------------------------------------------------------------------------------


def heartbeat(store: Store, job_id: int, worker: str, lease_seconds: float) -> bool:
    """Renew the lease; `False` when the job is no longer this worker's."""
    with store.atomic("jobs.heartbeat"):
        cursor = store.write(
            f"UPDATE jobs SET lease_until = ? WHERE id = ? AND worker = ? AND state IN ({placeholders(HELD)})",
            (later(lease_seconds), job_id, worker, *state_values(HELD)),
        )
    return cursor.rowcount == 1


def advance(store: Store, job_id: int, worker: str, state: JobState, reason: str = "") -> None:
    """Go from `downloading` to `auditing`. Raises `LeaseLost`."""
    with store.atomic("jobs.advance"):
        row = _held_row(store, job_id, worker)
        set_state(store, job_id, state, reason, worker=worker, lease_until=row["lease_until"])


def keep_manifest(
    store: Store, job_id: int, worker: str, model: HubModel | None, manifest: Manifest
) -> None:
    """Keep what a closer look at the hub showed. Raises `LeaseLost`."""
    with store.atomic("jobs.keep_manifest"):
        _held_row(store, job_id, worker)
        keep_description(store, job_id, model, manifest)


def reserve(store: Store, job_id: int, worker: str, wanted: int) -> dict[ModelRef, int]:
    """Note that this job is to have `wanted` bytes on the disk; returns the same of every other job in work.

    Of two that ask at the same time, the second one learns of the first. It is remembered until the job is queued
    afresh (`jobs.reserved`). Raises `LeaseLost`.
    """
    with store.atomic("jobs.reserve"):
        _held_row(store, job_id, worker)
        store.write("UPDATE jobs SET reserved_bytes = ? WHERE id = ?", (wanted, job_id))
        rows = store.read(
            f"SELECT * FROM jobs WHERE state IN ({placeholders(HELD)}) AND id != ? AND local = 0",
            (*state_values(HELD), job_id),
        )
    return {to_ref(row): row["reserved_bytes"] for row in rows}


def _held_row(store: Store, job_id: int, worker: str) -> dict[str, Any]:
    """The row of a job that this worker holds. Raises `LeaseLost`."""
    row = read_row(store, job_id)
    if row["worker"] != worker or JobState(row["state"]) not in HELD:
        raise LeaseLost(
            f"job {job_id} ({row['state']}) is no longer held by this worker", "nothing to do"
        )
    return row


# --- giving back ----------------------------------------------------------------------------------------------


def retry_later(
    store: Store, job_id: int, worker: str, reason: str, delay_seconds: float, *, kind: str = ""
) -> Job:
    """Put off after a transient error of `kind` (see `jobs.repeats`). Raises `LeaseLost`."""
    with store.atomic("jobs.retry_later"):
        row = _held_row(store, job_id, worker)
        set_state(store, job_id, JobState.RETRY_WAIT, reason, next_check_at=later(delay_seconds))
        repeats = 1
        if row["last_error"] == kind:
            repeats = row["repeats"] + 1
        store.write(
            "UPDATE jobs SET attempts = attempts + 1, repeats = ?, last_error = ? WHERE id = ?",
            (repeats, kind, job_id),
        )
        supersede_older(store, row["endpoint"], row["repo_id"])
    return job(store, job_id)


def pause(store: Store, job_id: int, worker: str, reason: str, delay_seconds: float) -> Job:
    """Put off without counting it against the job (a full disk is not its fault). Raises `LeaseLost`."""
    with store.atomic("jobs.pause"):
        _held_row(store, job_id, worker)
        set_state(store, job_id, JobState.PAUSED, reason, next_check_at=later(delay_seconds))
    return job(store, job_id)


def release(store: Store, job_id: int, worker: str, reason: str) -> Job:
    """Give a job back untouched, as a worker does that is asked to stop. Raises `LeaseLost`."""
    with store.atomic("jobs.release"):
        row = _held_row(store, job_id, worker)
        set_state(store, job_id, JobState.QUEUED, reason)
        supersede_older(store, row["endpoint"], row["repo_id"])
    return job(store, job_id)


def lose(store: Store, job_id: int, worker: str) -> Job:
    """Queue a job again whose machine was lost, which counts as a lease that ran out. Raises `LeaseLost`."""
    with store.atomic("jobs.requeue_lost"):
        _requeue_one(store, _held_row(store, job_id, worker))
    return job(store, job_id)


def finish(
    store: Store,
    job_id: int,
    worker: str,
    state: JobState,
    reason: str,
    *,
    audit: Audit | None = None,
    finding: Finding | None = None,
    alerts: Sequence[Alert] = (),
) -> Job:
    """End a job: audit, finding, alerts and state in one transaction. Raises `LeaseLost`.

    Where a completed audit of the same identity is already stored, that one is kept and the job points to it.
    """
    if not state.is_final:
        raise ValueError(f"{state.value} is not a final state")
    record_sha256 = ""
    if audit:
        record_sha256 = audits.keep_record(store, audit)
    with store.atomic("jobs.finish"):
        _held_row(store, job_id, worker)
        audit_id = None
        if audit:
            audit_id = audits.insert_audit(store, audit, record_sha256)
            if audit_id != audit.id:
                reason = f"same identity as audit {audit_id}"
        set_state(store, job_id, state, reason)
        fingerprint = None
        if finding:
            fingerprint = finding.fingerprint
            _keep_finding(
                store, job_id, replace(finding, audit_id=audit_id or finding.audit_id), alerts
            )
        store.write(
            "UPDATE jobs SET audit_id = ?, fingerprint = ? WHERE id = ?",
            (audit_id, fingerprint, job_id),
        )
    return job(store, job_id)


def _keep_finding(store: Store, job_id: int, finding: Finding, alerts: Sequence[Alert]) -> None:
    """Keep a finding, and its alerts with exactly its audit in them."""
    findings.insert_finding(store, finding, job_id)
    told = []
    for alert in alerts:
        assert isinstance(alert.about, Notice)  # it is about this finding
        about = replace(alert.about, audit_id=finding.audit_id)
        told.append(replace(alert, about=about))
    outbox.insert(store, told)


# --- deaths and lost leases -----------------------------------------------------------------------------------


def record_death(store: Store, job_id: int, worker: str, reason: str) -> Job:
    """Count that a living worker saw its child die on this job: once is tried again, twice is quarantine.

    Raises `LeaseLost`.
    """
    with store.atomic("jobs.record_death"):
        row = _held_row(store, job_id, worker)
        deaths = row["deaths"] + 1
        store.write("UPDATE jobs SET deaths = ? WHERE id = ?", (deaths, job_id))
        if deaths >= DEATHS_TO_QUARANTINE:
            set_state(
                store,
                job_id,
                JobState.QUARANTINED,
                f"a process that worked on it died {deaths} times: {reason}",
            )
        else:
            set_state(
                store,
                job_id,
                JobState.QUEUED,
                f"a process that worked on it died, trying once more: {reason}",
            )
            supersede_older(store, row["endpoint"], row["repo_id"])
    return job(store, job_id)


def requeue_lost(store: Store, *, gone: Callable[[str], bool] | None = None) -> list[Job]:
    """Requeue jobs whose lease ran out, or whose worker is `gone` for certain; after five times they fail.

    A lease that ran out says nothing just after another program held the database, or the machine was suspended:
    nobody could renew one.
    """
    lost = {row["id"] for row in _lost_rows(store, gone)}
    if not lost:
        return []
    with store.atomic("jobs.requeue_lost"):
        rows = [row for row in _lost_rows(store, gone) if row["id"] in lost]
        for row in rows:
            _requeue_one(store, row)
    return [job(store, row["id"]) for row in rows]


def _lost_rows(store: Store, gone: Callable[[str], bool] | None) -> list[dict[str, Any]]:
    """Jobs that a worker held and lost."""
    held = store.read(
        f"SELECT * FROM jobs WHERE state IN ({placeholders(HELD)})", state_values(HELD)
    )
    expired = now()
    if store.seconds_since_held() < GRACE_SECONDS:
        expired = ""
    return [row for row in held if _is_lost(row, expired, gone)]


def _is_lost(row: dict[str, Any], expired: str, gone: Callable[[str], bool] | None) -> bool:
    """Whether the lease ended before `expired`, or its worker is gone."""
    lease_until = row["lease_until"] or ""
    if lease_until < expired:
        return True
    return gone is not None and gone(row["worker"] or "")


def _requeue_one(store: Store, row: dict[str, Any]) -> None:
    lost = row["lost_leases"] + 1
    store.write("UPDATE jobs SET lost_leases = ? WHERE id = ?", (lost, row["id"]))
    if lost > LOST_LEASES_ALLOWED:
        set_state(
            store, row["id"], JobState.FAILED, f"its worker vanished {lost} times without a trace"
        )
    else:
        set_state(
            store,
            row["id"],
            JobState.QUEUED,
            f"its worker vanished ({lost} of {LOST_LEASES_ALLOWED} allowed)",
        )
        supersede_older(store, row["endpoint"], row["repo_id"])


def while_none_changes(store: Store, act: Callable[[set[int], set[ModelRef]], None]) -> None:
    """Call `act` with the ids of held jobs and the revisions of unfinished ones; until it returns none is claimed.

    For quick work only: every writer waits.
    """
    unfinished = HELD + WAITING
    with store.atomic("jobs.while_none_changes"):
        rows = store.read(
            f"SELECT id, repo_id, revision, local, state FROM jobs WHERE state IN ({placeholders(unfinished)})",
            state_values(unfinished),
        )
        held = set()
        for row in rows:
            if JobState(row["state"]) in HELD:
                held.add(row["id"])
        act(held, {to_ref(row) for row in rows})
