"""The side of the database: jobs are handed out under a lease, and results committed by compare-and-set, here alone."""

from __future__ import annotations

import random
import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner import errors
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.audit.plan import AUDIT_VERSION
from dife_scanner.cluster.tasks import (
    RESULT_SUFFIX,
    Result,
    Task,
    conditions_here,
    files_of,
    key_of,
    read_result,
    read_task,
    write_record,
)
from dife_scanner.core.findings import fingerprint
from dife_scanner.core.verdict import is_complete
from dife_scanner.errors import DifeError, HubError, HubUnavailable, UsageError
from dife_scanner.queue import outcome
from dife_scanner.queue.failures import PAUSE_SECONDS, record_failure, refuse
from dife_scanner.queue.lease import gone
from dife_scanner.queue.work import Work
from dife_scanner.records import Alert, Finding, Job, JobState
from dife_scanner.store import LeaseLost, Store, audits, findings, jobs, leases

_REFUSED_BY_NODE = "Refused"
_ELSEWHERE = "on another machine"


@dataclass(frozen=True)
class Collected:
    """What became of one folder of results."""

    committed: tuple[Job, ...]
    late: tuple[str, ...]
    """Results whose lease is over: committed before, cancelled, or given to somebody else."""
    open: int
    """Tasks without a result so far."""
    problems: tuple[str, ...]
    """What could not be read, in words; it stays where it is."""


def hand_out(store: Store, work: Work, folder: Path, *, most: int, seconds: float) -> list[Path]:
    """Claim up to `most` due jobs of the hub for `seconds` each, and write a task file for each.

    A job whose task file cannot be written is given back before the error is raised. Local checkpoints do not travel.
    """
    leases.requeue_lost(store, gone=gone)
    written: list[Path] = []
    while len(written) < most:
        token = f"handed-out:{uuid.uuid4().hex}"
        made = claim_task(store, work, token, seconds)
        if made is None:
            break
        job, task = made
        path = folder / f"job-{job.id}-{token[-8:]}.json"
        try:
            write_record(path, task)
        except (OSError, DifeError):
            leases.release(store, job.id, token, "its task file could not be written")
            raise
        written.append(path)
    return written


def claim_task(store: Store, work: Work, token: str, seconds: float) -> tuple[Job, Task] | None:
    """Take the next due job of the hub under this token, and say what another machine has to know about it."""
    job = leases.claim(store, token, seconds, local=False)
    if job is None:
        return None
    return job, Task(job.id, token, job.endpoint, job.ref, conditions_here(store, work))


def collect(store: Store, work: Work, folder: Path) -> Collected:
    """Commit every complete result in `folder`; safe to repeat, and to end at any moment.

    A result is removed after it was committed. Raises `DiskFull`, `StoreBusy`, `HomeUnwritable`: nothing is lost then.
    """
    committed: list[Job] = []
    late: list[str] = []
    problems: list[str] = []
    still_open = 0
    for path in sorted(folder.glob("job-*.json")):
        made = path.with_suffix(RESULT_SUFFIX)
        try:
            result = read_result(made)
            if result is None:
                still_open += 1
                continue
            committed.append(commit(store, work, read_task(path), result, made))
        except LeaseLost as lost:
            late.append(f"{path.name}: {lost.what}")
        except UsageError as error:
            problems.append(error.what)
            continue
        shutil.rmtree(made, ignore_errors=True)
        path.unlink(missing_ok=True)
    return Collected(tuple(committed), tuple(late), still_open, tuple(problems))


def commit(store: Store, work: Work, task: Task, result: Result, folder: Path) -> Job:
    """Write down how a task ended, if its lease is still the job's. Raises `LeaseLost` where it is not.

    Raises `UsageError` for a result of another task, of another revision, or of other weights, version or plan.
    """
    if (result.job_id, result.token) != (task.job_id, task.token):
        raise UsageError(f"{folder} is not the result of job {task.job_id}", "hand it out again")
    job = jobs.job(store, task.job_id)
    if job.worker != task.token:
        raise LeaseLost(f"job {job.id} is no longer held under this lease", "nothing to do")
    if task.conditions.version != AUDIT_VERSION:
        reason = f"handed out by audit version {task.conditions.version}, now it is {AUDIT_VERSION}"
        return leases.release(store, job.id, task.token, reason)
    _check_key(store, job, task, result, folder)
    if result.state is JobState.PAUSED:
        reason = f"{_ELSEWHERE}: {result.reason}"
        return leases.pause(store, job.id, task.token, reason, PAUSE_SECONDS)
    if not result.state.is_final:
        rng = random.Random(work.seed)
        return record_failure(store, job, task.token, _error_of(result), work.channels, rng)
    if result.state is JobState.REFUSED:
        return refuse(store, job, task.token, _REFUSED_BY_NODE, result.reason, work.channels)
    if not result.has_audit:
        return leases.finish(store, job.id, task.token, result.state, result.reason)
    return _commit_audit(store, work, job, result, folder)


def _check_key(store: Store, job: Job, task: Task, result: Result, folder: Path) -> None:
    """Whether a result is about what this home knows of the job, under the conditions it was handed out with."""
    announced = files_of(jobs.manifest_of(store, job.id))
    same_files = not announced or not result.files or result.files == announced
    if result.key != key_of(job.endpoint, job.ref, result.files, task.conditions):
        raise UsageError(
            f"{folder} is a result of another revision, version or plan than job {job.id}",
            "hand it out again",
        )
    if not same_files:
        raise UsageError(
            f"{folder} was made of other files than the hub announced for job {job.id}",
            "see whether both machines ask the same hub, and hand it out again",
        )


def _error_of(result: Result) -> HubError:
    """The error for which a job waits on another machine; trouble of the hub where it is not said."""
    kind = getattr(errors, result.error, HubUnavailable)
    if not isinstance(kind, type) or not issubclass(kind, HubError):
        kind = HubUnavailable
    return kind(f"{_ELSEWHERE}: {result.reason}")


def _commit_audit(store: Store, work: Work, job: Job, result: Result, folder: Path) -> Job:
    received = outcome.read(folder)
    if received is None:
        raise UsageError(f"{folder} says that there is an audit, and has none", "hand it out again")
    received = outcome.keep(work.home, received)
    before = audits.audit_by_identity(store, received.audit.identity)
    if before is not None and not is_complete(before):
        received = outcome.in_place_of(received, before)
    finding = _of_this_place(store, job, received.finding)
    alerts: tuple[Alert, ...] = ()
    if finding is not None:
        previous = findings.find(store, finding.fingerprint)
        alerts = alerts_for(finding, previous, work.channels)
    return leases.finish(
        store,
        job.id,
        job.worker or "",
        result.state,
        result.reason,
        audit=received.audit,
        finding=finding,
        alerts=alerts,
    )


def _of_this_place(store: Store, job: Job, finding: Finding | None) -> Finding | None:
    """The finding about this job's revision: the other machine may have met the same weights under another name."""
    if finding is None:
        return None
    effect = (finding.kind, finding.channel, finding.carrier, finding.target)
    same = replace(finding, fingerprint=fingerprint(job.ref.repo_id, *effect), ref=job.ref)
    return findings.as_kept(store, same, job.endpoint)
