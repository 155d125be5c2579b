"""Which state a job goes to after an error: the one place that decides."""

from __future__ import annotations

import errno
import logging
import random

from dife_scanner.alerts.rules import alerts_for
from dife_scanner.core.findings import finding_without_audit
from dife_scanner.durable.clock import now
from dife_scanner.durable.disk import disk_full
from dife_scanner.errors import (
    BadToken,
    ContentMismatch,
    DeviceLost,
    DifeError,
    DiskFull,
    EndedFromOutside,
    HubError,
    HubUnavailable,
    LimitExceeded,
    NoRoom,
    Refused,
    RepoDisabled,
    RepoGated,
    RepoNotFound,
    RepoPrivate,
    RevisionNotFound,
    SettingsError,
    Unreadable,
    Unsupported,
)
from dife_scanner.queue.child import ChildDied
from dife_scanner.queue.outcome import ChildBug
from dife_scanner.records import FindingKind, Job, JobState, Severity
from dife_scanner.store import Store, findings, jobs, leases

log = logging.getLogger(__name__)

NOT_FOUND_TO_DELETED = 3
"""Consistent answers on separate tries."""
NOT_FOUND_SECONDS = 600.0
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 6 * 3600.0
MOST_RETRIES = 16
"""About two days with the delays above."""
PAUSE_SECONDS = 60.0

_ENDS_AS = (
    (RepoGated, JobState.GATED),
    (RepoPrivate, JobState.PRIVATE),
    (RepoDisabled, JobState.DISABLED),
    (Unsupported, JobState.UNSUPPORTED),
    (LimitExceeded, JobState.LIMIT_EXCEEDED),
    (Unreadable, JobState.FAILED),
)
"""Errors that say which state a job ends in, whatever was tried before."""


def record_failure(
    store: Store,
    job: Job,
    worker: str,
    error: Exception,
    channels: tuple[str, ...],
    rng: random.Random,
) -> Job:
    """Write down how `job` ended or when it is tried again. Raises `LeaseLost`, and `DiskFull` if even that fails."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = disk_full(store.home)
    reason = _in_words(error)
    final = final_state(error)
    if final is not None:
        return leases.finish(store, job.id, worker, final, with_advice(error))
    if isinstance(error, (RepoNotFound, RevisionNotFound)):
        return _not_found(store, job, worker, error, reason)
    if isinstance(error, Refused):
        return refuse(store, job, worker, type(error).__name__, reason, channels)
    if isinstance(error, NoRoom):
        return leases.pause(store, job.id, worker, with_advice(error), PAUSE_SECONDS)
    if isinstance(error, (DiskFull, BadToken, SettingsError)):
        return leases.pause(store, job.id, worker, reason, PAUSE_SECONDS)
    on_the_disk = job.ref.local and isinstance(error, ContentMismatch)
    if isinstance(error, HubError) and not on_the_disk:
        return _transient(store, job, worker, error, reason, rng)
    if isinstance(error, (ChildDied, EndedFromOutside, DeviceLost)):
        return leases.record_death(store, job.id, worker, reason)
    return _failed(store, job, worker, error)


def final_state(error: Exception) -> JobState | None:
    """The state that this error always ends a job in; `None` where it depends."""
    for kind, state in _ENDS_AS:
        if isinstance(error, kind):
            return state
    return None


def state_of(error: DifeError) -> JobState:
    """The state that an error of the intake, met before anything was queued, would end a job in."""
    if isinstance(error, Refused):
        return JobState.REFUSED
    return final_state(error) or JobState.FAILED


def with_advice(error: Exception) -> str:
    """What happened, and what to do next where there is something."""
    reason = _in_words(error)
    if isinstance(error, DifeError) and error.advice:
        return f"{reason}; {error.advice}"
    return reason


def _failed(store: Store, job: Job, worker: str, error: Exception) -> Job:
    """End a job for an error that nothing else is known to do about."""
    if not isinstance(error, DifeError):
        log.error("job %s failed", job.id, exc_info=error)
    return leases.finish(store, job.id, worker, JobState.FAILED, with_advice(error))


def refuse(
    store: Store, job: Job, worker: str, why: str, reason: str, channels: tuple[str, ...]
) -> Job:
    """End as refused, with the finding that says so and its alerts."""
    finding = finding_without_audit(
        FindingKind.REFUSED, Severity.REFUSED, job.ref, (why,), reason, now()
    )
    finding = findings.as_kept(store, finding, job.endpoint)
    alerts = alerts_for(finding, findings.find(store, finding.fingerprint), channels)
    return leases.finish(
        store, job.id, worker, JobState.REFUSED, reason, finding=finding, alerts=alerts
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, DifeError):
        return error.what
    if isinstance(error, (ChildDied, ChildBug)):
        return str(error)
    return f"internal error: {type(error).__name__}: {error}"


def _not_found(store: Store, job: Job, worker: str, error: Exception, reason: str) -> Job:
    times = jobs.repeats(store, job.id, RepoNotFound.__name__) + 1
    if isinstance(error, RevisionNotFound):
        reason = f"{reason}; the repository is there, so its history was rewritten"
    if times >= NOT_FOUND_TO_DELETED:
        return leases.finish(
            store, job.id, worker, JobState.DELETED, f"{reason} (asked {times} times)"
        )
    reason = f"{reason} (answer {times} of {NOT_FOUND_TO_DELETED} before it counts as deleted)"
    return leases.retry_later(
        store, job.id, worker, reason, NOT_FOUND_SECONDS * times, kind=RepoNotFound.__name__
    )


def _transient(
    store: Store, job: Job, worker: str, error: HubError, reason: str, rng: random.Random
) -> Job:
    """Put off what hub or network did, damaged bytes too: nothing of it is known to be the checkpoint's."""
    if job.attempts >= MOST_RETRIES:
        given_up = f"unavailable, given up after {job.attempts + 1} tries: {reason}"
        return leases.finish(store, job.id, worker, JobState.FAILED, given_up)
    asked_for = 0.0
    if isinstance(error, HubUnavailable):
        asked_for = error.retry_after or 0.0
    backoff = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**job.attempts)
    # a random part more, so that many jobs that failed together do not come back together
    delay = max(asked_for, backoff) * rng.uniform(1.0, 1.25)
    return leases.retry_later(store, job.id, worker, reason, delay, kind=type(error).__name__)
