"""Jobs: one row per discovered revision, exactly one state each, every change of state kept as an event.

A worker holds a job through a lease that it renews. Whoever lost the lease gets `LeaseLost` from every later write, so
two workers can never both decide how one job ends.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dife_scanner.durable.clock import later, now
from dife_scanner.errors import DifeError, NotFound, UsageError
from dife_scanner.records import Alert, Audit, Finding, HubModel, Job, JobState, Manifest, ModelRef
from dife_scanner.store import findings, outbox
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store
from dife_scanner.store.rows import to_job

RECHECK_SECONDS = 7 * 24 * 3600.0
"""When a gated, private or disabled repository is looked at again."""
DEATHS_TO_QUARANTINE = 2
LOST_LEASES_ALLOWED = 5
CLAIM_REASON = "taken by a worker"

_HELD = (JobState.DOWNLOADING, JobState.AUDITING)
_WAITING = (JobState.QUEUED, JobState.RETRY_WAIT, JobState.PAUSED)
_RECHECKED = (JobState.GATED, JobState.PRIVATE, JobState.DISABLED)
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


class LeaseLost(DifeError):
    """The job is no longer this worker's: its lease ran out, or somebody cancelled it. Stop working on it."""


@dataclass(frozen=True)
class JobEvent:
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
) -> Job:
    """Record one revision; the same revision again is the same job.

    Older revisions of the repository that still wait become `superseded`; one that a worker holds is finished. A
    revision older than the newest known is itself recorded as superseded. `pinned`: somebody asked for exactly this
    revision, so it is not superseded, and supersedes others only once a listing shows it too. A job that ended as
    unsupported, gated, private, disabled, deleted or superseded opens again when it is now found `queued`.
    """
    with store.atomic("jobs.discover"):
        row = _by_ref(store, endpoint, ref)
        if row is None:
            job_id = _insert(store, ref, endpoint, state, reason, model, manifest, pinned or ref.local)
        else:
            job_id = row["id"]
            _rediscover(store, row, state, reason, model, manifest, pinned)
        _supersede(store, endpoint, ref.repo_id)
    return job(store, job_id)


def _by_ref(store: Store, endpoint: str, ref: ModelRef) -> dict[str, Any] | None:
    rows = store.read(
        "SELECT * FROM jobs WHERE endpoint = ? AND repo_id = ? AND revision = ?", (endpoint, ref.repo_id, ref.revision)
    )
    return rows[0] if rows else None


def _insert(
    store: Store,
    ref: ModelRef,
    endpoint: str,
    state: JobState,
    reason: str,
    model: HubModel | None,
    manifest: Manifest | None,
    pinned: bool,
) -> int:
    at = now()
    cursor = store.write(
        "INSERT INTO jobs (endpoint, repo_id, revision, local, pinned, state, reason, created_at, updated_at,"
        " last_modified, next_check_at, layout, model, manifest, listed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            endpoint,
            ref.repo_id,
            ref.revision,
            int(ref.local),
            int(pinned),
            state.value,
            reason,
            at,
            at,
            model.last_modified if model else "",
            later(RECHECK_SECONDS) if state in _RECHECKED else None,
            manifest.layout.value if manifest else "",
            to_json(model) if model else None,
            to_json(manifest) if manifest else None,
            int(not pinned),
        ),
    )
    job_id = int(cursor.lastrowid or 0)
    _note(store, job_id, state, reason, None)
    return job_id


def _rediscover(
    store: Store,
    row: dict[str, Any],
    state: JobState,
    reason: str,
    model: HubModel | None,
    manifest: Manifest | None,
    pinned: bool,
) -> None:
    _keep_look(store, row["id"], model, manifest)
    store.write(
        "UPDATE jobs SET pinned = 1 WHERE id = ?" if pinned else "UPDATE jobs SET listed = 1 WHERE id = ?", (row["id"],)
    )
    if state is JobState.QUEUED and JobState(row["state"]) in _MAY_REOPEN and (pinned or _is_newest(store, row["id"])):
        _reset(store, row["id"], reason)


def _keep_look(store: Store, job_id: int, model: HubModel | None, manifest: Manifest | None) -> None:
    if model:
        store.write(
            "UPDATE jobs SET model = ?, last_modified = ? WHERE id = ?", (to_json(model), model.last_modified, job_id)
        )
    if manifest:
        store.write(
            "UPDATE jobs SET manifest = ?, layout = ? WHERE id = ?", (to_json(manifest), manifest.layout.value, job_id)
        )


def _supersede(store: Store, endpoint: str, repo_id: str) -> None:
    newest = _newest(store, endpoint, repo_id)
    if newest is None:
        return
    waiting = store.read(
        f"SELECT id FROM jobs WHERE endpoint = ? AND repo_id = ? AND pinned = 0 AND id != ?"
        f" AND state IN ({_marks(_WAITING)})",
        (endpoint, repo_id, newest["id"], *_values(_WAITING)),
    )
    for row in waiting:
        _set(store, row["id"], JobState.SUPERSEDED, _overtaken(newest))
    store.write(
        "UPDATE jobs SET next_check_at = NULL WHERE endpoint = ? AND repo_id = ? AND pinned = 0 AND id != ?"
        " AND next_check_at IS NOT NULL",
        (endpoint, repo_id, newest["id"]),
    )


def _newest(store: Store, endpoint: str, repo_id: str) -> dict[str, Any] | None:
    rows = store.read(
        "SELECT id, revision FROM jobs WHERE endpoint = ? AND repo_id = ? AND listed = 1"
        " ORDER BY last_modified DESC, id DESC LIMIT 1",
        (endpoint, repo_id),
    )
    return rows[0] if rows else None


def _overtaken(newest: dict[str, Any]) -> str:
    return f"overtaken by revision {newest['revision'][:12]}"


def _is_newest(store: Store, job_id: int) -> bool:
    row = _row(store, job_id)
    newest = _newest(store, row["endpoint"], row["repo_id"])
    return bool(row["pinned"]) or newest is None or newest["id"] == job_id


# --- asking ---------------------------------------------------------------------------------------------------


def known(store: Store, endpoint: str) -> dict[str, str]:
    """The sha of every repository of `endpoint` as it was last listed."""
    rows = store.read(
        "SELECT repo_id, revision FROM jobs WHERE endpoint = ? AND listed = 1 ORDER BY last_modified, id", (endpoint,)
    )
    return {row["repo_id"]: row["revision"] for row in rows}


def job(store: Store, job_id: int) -> Job:
    """Raises `NotFound`."""
    return to_job(_row(store, job_id))


def jobs(store: Store, *, states: Iterable[JobState] | None = None, limit: int | None = None) -> list[Job]:
    """Newest change first."""
    wanted = tuple(JobState if states is None else states)
    rows = store.read(
        f"SELECT * FROM jobs WHERE state IN ({_marks(wanted)}) ORDER BY updated_at DESC, id DESC LIMIT ?",
        (*_values(wanted), -1 if limit is None else limit),
    )
    return [to_job(row) for row in rows]


def counts(store: Store) -> dict[str, int]:
    """How many jobs stand in each state; states without jobs are absent."""
    return {row["state"]: row["n"] for row in store.read("SELECT state, count(*) AS n FROM jobs GROUP BY state")}


def events(store: Store, job_id: int) -> list[JobEvent]:
    """Every state this job has been in, oldest first."""
    rows = store.read("SELECT at, state, reason, worker FROM job_events WHERE job_id = ? ORDER BY id", (job_id,))
    return [JobEvent(row["at"], JobState(row["state"]), row["reason"], row["worker"]) for row in rows]


def last_event(store: Store) -> int:
    """The number of the newest event, for `events_after`."""
    return int(store.read("SELECT coalesce(max(id), 0) AS last FROM job_events")[0]["last"])


def events_after(store: Store, number: int) -> list[tuple[int, int, JobEvent]]:
    """What happened to any job after event `number`: (number, job id, event), oldest first."""
    rows = store.read("SELECT * FROM job_events WHERE id > ? ORDER BY id", (number,))
    return [
        (row["id"], row["job_id"], JobEvent(row["at"], JobState(row["state"]), row["reason"], row["worker"]))
        for row in rows
    ]


def manifest_of(store: Store, job_id: int) -> Manifest | None:
    text = _row(store, job_id)["manifest"]
    return from_json(Manifest, text) if text else None


def repeats(store: Store, job_id: int, kind: str) -> int:
    """How often in a row, up to now, this job was put off for the same `kind` of error."""
    row = _row(store, job_id)
    return int(row["repeats"]) if row["last_error"] == kind else 0


def next_due(store: Store) -> str | None:
    """When the next waiting job may be taken; `None` with nothing waiting. In the past when one may be taken now."""
    rows = store.read(
        f"SELECT min(coalesce(next_check_at, created_at)) AS due FROM jobs WHERE state IN ({_marks(_WAITING)})",
        _values(_WAITING),
    )
    due: str | None = rows[0]["due"]
    return due


# --- working --------------------------------------------------------------------------------------------------


def claim(store: Store, worker: str, lease_seconds: float) -> Job | None:
    """Take the next due job, those somebody asked for first, then the oldest; `None` when nothing is due.

    A gated, private or disabled one is due again `RECHECK_SECONDS` after it was last looked at.
    """
    if not _due(store):
        return None
    with store.atomic("jobs.claim"):
        rows = _due(store)
        if not rows:
            return None
        _take(store, rows[0]["id"], worker, lease_seconds)
    return job(store, rows[0]["id"])


def _due(store: Store) -> list[dict[str, Any]]:
    at = now()
    return store.read(
        f"SELECT id FROM jobs WHERE (state IN ({_marks(_WAITING)}) AND coalesce(next_check_at, '') <= ?)"
        f" OR (state IN ({_marks(_RECHECKED)}) AND next_check_at <= ?) ORDER BY pinned DESC, id LIMIT 1",
        (*_values(_WAITING), at, *_values(_RECHECKED), at),
    )


def claim_job(store: Store, job_id: int, worker: str, lease_seconds: float) -> Job | None:
    """Take exactly this job if it waits (due or not); `None` when it does not."""
    with store.atomic("jobs.claim_job"):
        if JobState(_row(store, job_id)["state"]) not in _WAITING:
            return None
        _take(store, job_id, worker, lease_seconds)
    return job(store, job_id)


def _take(store: Store, job_id: int, worker: str, lease_seconds: float) -> None:
    _set(store, job_id, JobState.DOWNLOADING, CLAIM_REASON, worker=worker, lease_until=later(lease_seconds))


def heartbeat(store: Store, job_id: int, worker: str, lease_seconds: float) -> bool:
    """Renew the lease; `False` when the job is no longer this worker's."""
    with store.atomic("jobs.heartbeat"):
        cursor = store.write(
            f"UPDATE jobs SET lease_until = ? WHERE id = ? AND worker = ? AND state IN ({_marks(_HELD)})",
            (later(lease_seconds), job_id, worker, *_values(_HELD)),
        )
    return cursor.rowcount == 1


def advance(store: Store, job_id: int, worker: str, state: JobState, reason: str = "") -> None:
    """Go from `downloading` to `auditing`. Raises `LeaseLost`."""
    with store.atomic("jobs.advance"):
        row = _held(store, job_id, worker)
        _set(store, job_id, state, reason, worker=worker, lease_until=row["lease_until"])


def keep_manifest(store: Store, job_id: int, worker: str, model: HubModel | None, manifest: Manifest) -> None:
    """Keep what a closer look at the hub showed. Raises `LeaseLost`."""
    with store.atomic("jobs.keep_manifest"):
        _held(store, job_id, worker)
        _keep_look(store, job_id, model, manifest)


def retry_later(store: Store, job_id: int, worker: str, reason: str, delay_seconds: float, *, kind: str = "") -> Job:
    """Put off after a transient error of `kind` (see `repeats`). Raises `LeaseLost`."""
    with store.atomic("jobs.retry_later"):
        row = _held(store, job_id, worker)
        _set(store, job_id, JobState.RETRY_WAIT, reason, next_check_at=later(delay_seconds))
        store.write(
            "UPDATE jobs SET attempts = attempts + 1, repeats = ?, last_error = ? WHERE id = ?",
            (row["repeats"] + 1 if row["last_error"] == kind else 1, kind, job_id),
        )
        _supersede(store, row["endpoint"], row["repo_id"])
    return job(store, job_id)


def pause(store: Store, job_id: int, worker: str, reason: str, delay_seconds: float) -> Job:
    """Put off without counting it against the job (a full disk is not its fault). Raises `LeaseLost`."""
    with store.atomic("jobs.pause"):
        _held(store, job_id, worker)
        _set(store, job_id, JobState.PAUSED, reason, next_check_at=later(delay_seconds))
    return job(store, job_id)


def release(store: Store, job_id: int, worker: str, reason: str) -> Job:
    """Give a job back untouched, as a worker does that is asked to stop. Raises `LeaseLost`."""
    with store.atomic("jobs.release"):
        row = _held(store, job_id, worker)
        _set(store, job_id, JobState.QUEUED, reason)
        _supersede(store, row["endpoint"], row["repo_id"])
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
    record = findings.keep_record(store, audit) if audit else ""
    with store.atomic("jobs.finish"):
        row = _held(store, job_id, worker)
        audit_id = findings.insert_audit(store, audit, record) if audit else None
        if audit and audit_id != audit.id:
            reason = f"same identity as audit {audit_id}"
        _set(store, job_id, state, reason)
        if finding:
            stored = replace(finding, audit_id=audit_id or finding.audit_id)
            findings.insert_finding(store, stored, job_id)
            outbox.insert(store, [replace(alert, finding=stored) for alert in alerts])
        store.write(
            "UPDATE jobs SET audit_id = ?, fingerprint = ? WHERE id = ?",
            (audit_id, finding.fingerprint if finding else None, row["id"]),
        )
    return job(store, job_id)


def without_finding(store: Store, audit_id: str) -> list[Job]:
    """Jobs that ended with this audit and have no finding."""
    rows = store.read("SELECT * FROM jobs WHERE audit_id = ? AND fingerprint IS NULL ORDER BY id", (audit_id,))
    return [to_job(row) for row in rows]


def attach(store: Store, job_id: int, finding: Finding) -> None:
    """Inside a transaction: a finding that became one only after its job had ended. It alerts nobody."""
    findings.insert_finding(store, finding, job_id)
    store.write("UPDATE jobs SET fingerprint = ? WHERE id = ?", (finding.fingerprint, job_id))


def record_death(store: Store, job_id: int, worker: str, reason: str) -> Job:
    """A living worker saw its child die on this job: once is tried again, twice is quarantine. Raises `LeaseLost`."""
    with store.atomic("jobs.record_death"):
        row = _held(store, job_id, worker)
        deaths = row["deaths"] + 1
        store.write("UPDATE jobs SET deaths = ? WHERE id = ?", (deaths, job_id))
        if deaths >= DEATHS_TO_QUARANTINE:
            _set(store, job_id, JobState.QUARANTINED, f"its audit process died {deaths} times: {reason}")
        else:
            _set(store, job_id, JobState.QUEUED, f"its audit process died, trying once more: {reason}")
            _supersede(store, row["endpoint"], row["repo_id"])
    return job(store, job_id)


def requeue_lost(store: Store, *, gone: Callable[[str], bool] | None = None) -> list[Job]:
    """Requeue jobs whose lease ran out, or whose worker is `gone` for certain; after five times they fail."""
    held = f"SELECT * FROM jobs WHERE state IN ({_marks(_HELD)})"
    lost = [row["id"] for row in store.read(held, _values(_HELD)) if _is_lost(row, gone)]
    if not lost:
        return []
    with store.atomic("jobs.requeue_lost"):
        rows = [row for row in store.read(held, _values(_HELD)) if row["id"] in lost and _is_lost(row, gone)]
        for row in rows:
            _requeue_one(store, row)
    return [job(store, row["id"]) for row in rows]


def while_none_changes(store: Store, act: Callable[[set[int], set[ModelRef]], None]) -> None:
    """Call `act` with the ids of held jobs and the revisions of unfinished ones; until it returns none is claimed.

    For quick work only: every writer waits.
    """
    with store.atomic("jobs.while_none_changes"):
        rows = store.read(
            f"SELECT id, repo_id, revision, local, state FROM jobs WHERE state IN ({_marks(_HELD + _WAITING)})",
            _values(_HELD + _WAITING),
        )
        held = {row["id"] for row in rows if JobState(row["state"]) in _HELD}
        act(held, {ModelRef(row["repo_id"], row["revision"], bool(row["local"])) for row in rows})


def _is_lost(row: dict[str, Any], gone: Callable[[str], bool] | None) -> bool:
    return (row["lease_until"] or "") < now() or bool(gone and gone(row["worker"] or ""))


def _requeue_one(store: Store, row: dict[str, Any]) -> None:
    lost = row["lost_leases"] + 1
    store.write("UPDATE jobs SET lost_leases = ? WHERE id = ?", (lost, row["id"]))
    if lost > LOST_LEASES_ALLOWED:
        _set(store, row["id"], JobState.FAILED, f"its worker vanished {lost} times without a trace")
    else:
        _set(store, row["id"], JobState.QUEUED, f"its worker vanished ({lost} of {LOST_LEASES_ALLOWED} allowed)")
        _supersede(store, row["endpoint"], row["repo_id"])


# --- by hand --------------------------------------------------------------------------------------------------


def requeue(store: Store, job_id: int, *, reason: str = "asked for again", pinned: bool = True) -> Job:
    """Queue a job again by hand, its counts starting afresh; one that a worker holds is left alone."""
    with store.atomic("jobs.requeue"):
        row = _row(store, job_id)
        if JobState(row["state"]) not in _HELD:
            if pinned:
                store.write("UPDATE jobs SET pinned = 1 WHERE id = ?", (job_id,))
            _reset(store, job_id, reason)
    return job(store, job_id)


def cancel(store: Store, job_id: int, *, reason: str = "cancelled by hand") -> Job:
    """Stop a waiting or running job. Raises `UsageError` for one that has ended."""
    with store.atomic("jobs.cancel"):
        state = JobState(_row(store, job_id)["state"])
        if state.is_final:
            raise UsageError(f"job {job_id} has already ended as {state.value}", "see `dife queue`")
        _set(store, job_id, JobState.CANCELLED, reason)
    return job(store, job_id)


def _reset(store: Store, job_id: int, reason: str) -> None:
    store.write(
        "UPDATE jobs SET attempts = 0, deaths = 0, lost_leases = 0, repeats = 0, last_error = '' WHERE id = ?",
        (job_id,),
    )
    _set(store, job_id, JobState.QUEUED, reason)


# --- rows -----------------------------------------------------------------------------------------------------


def _row(store: Store, job_id: int) -> dict[str, Any]:
    rows = store.read("SELECT * FROM jobs WHERE id = ?", (job_id,))
    if not rows:
        raise NotFound(f"there is no job {job_id}", "`dife queue` lists them")
    return rows[0]


def _held(store: Store, job_id: int, worker: str) -> dict[str, Any]:
    row = _row(store, job_id)
    if row["worker"] != worker or JobState(row["state"]) not in _HELD:
        raise LeaseLost(f"job {job_id} ({row['state']}) is no longer held by this worker", "nothing to do")
    return row


def _set(
    store: Store,
    job_id: int,
    state: JobState,
    reason: str,
    *,
    worker: str | None = None,
    lease_until: str | None = None,
    next_check_at: str | None = None,
) -> None:
    """The only way a state changes; leaves an event."""
    if state in _RECHECKED:
        next_check_at = later(RECHECK_SECONDS)
    store.write(
        "UPDATE jobs SET state = ?, reason = ?, updated_at = ?, worker = ?, lease_until = ?, next_check_at = ?"
        " WHERE id = ?",
        (state.value, reason, now(), worker, lease_until, next_check_at, job_id),
    )
    _note(store, job_id, state, reason, worker)


def _note(store: Store, job_id: int, state: JobState, reason: str, worker: str | None) -> None:
    store.write(
        "INSERT INTO job_events (job_id, at, state, reason, worker) VALUES (?, ?, ?, ?, ?)",
        (job_id, now(), state.value, reason, worker),
    )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _values(states: Sequence[JobState]) -> tuple[str, ...]:
    return tuple(state.value for state in states)
