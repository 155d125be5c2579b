"""One task on this machine: the pipeline of a local worker in this machine's own home, and a folder with the result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from dife_scanner.cluster.tasks import (
    RECORD,
    Result,
    Task,
    UnfitNode,
    check_conditions,
    conditions_here,
    files_of,
    key_of,
    read_result,
    write_record,
)
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import HubError
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import outcome, targets
from dife_scanner.queue.failures import final_state
from dife_scanner.queue.outcome import public_name
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.queue.worker import run_to_end
from dife_scanner.records import Job, JobState
from dife_scanner.store import Store, audits, evidence, findings, jobs


class Exit(IntEnum):
    """Exit codes of `dife work TASK`, by which a scheduler decides what to do."""

    DONE = 0
    """The result is in its folder, whatever it says."""
    POISON = 65
    """The processes that worked on it died again and again: nobody should try again."""
    TRANSIENT = 75
    """Hub, network or disk stood in the way: try again later, here or elsewhere."""
    FATAL = 78
    """This machine cannot do it before somebody changes something on it."""


def do_task(
    store: Store, task: Task, work: Work, folder: Path, progress: Progress = SILENT
) -> Result:
    """Audit what the task names, and leave the result in `folder`; a final one that is there is not made again.

    Raises `UnfitNode` where this machine would make another audit, and what `process` raises.
    """
    made = read_result(folder)
    if made is not None and made.token == task.token and made.state.is_final:
        return made
    check_fit(store, task, work)
    target = f"{task.ref.repo_id}@{task.ref.revision}"
    try:
        queued = targets.enqueue(
            store, target, work.settings.limits, lambda: hub_for(work.settings, task.endpoint)
        )
    except HubError as error:
        state = final_state(error) or JobState.RETRY_WAIT
        ended = Ended(state, error.what, error=public_name(error))
    else:
        ended = _ended(store, run_to_end(store, queued, work, progress))
    return _leave(store, task, work, ended, folder)


def check_fit(store: Store, task: Task, work: Work) -> None:
    """Raises `UnfitNode` where this machine would make another audit than the task asks for."""
    if work.settings.endpoint != task.endpoint:
        raise UnfitNode(
            f"the task is of {task.endpoint}, this machine asks {work.settings.endpoint}",
            "give this machine the same endpoint",
        )
    check_conditions(task.conditions, conditions_here(store, work))


def exit_of(result: Result) -> Exit:
    """The exit code that says how a task ended."""
    if result.state is JobState.QUARANTINED:
        return Exit.POISON
    return Exit.DONE if result.state.is_final else Exit.TRANSIENT


@dataclass(frozen=True)
class Ended:
    """How the job of this machine's own home ended, or why it waits."""

    state: JobState
    reason: str
    audit_id: str | None = None
    files: tuple[str, ...] = ()
    error: str = ""


def _ended(store: Store, job: Job) -> Ended:
    files = files_of(jobs.manifest_of(store, job.id))
    error = jobs.last_error(store, job.id) if job.state is JobState.RETRY_WAIT else ""
    return Ended(job.state, job.reason, job.audit_id, files, error)


def _leave(store: Store, task: Task, work: Work, ended: Ended, folder: Path) -> Result:
    """Files first, the record last."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if ended.audit_id:
        audit = audits.audit(store, ended.audit_id)
        finding = findings.of_audit(store, audit.id)
        files = []
        for file in audit.evidence:
            files.append((file, evidence.read(store.home, file.sha256)))
        outcome.write(folder, outcome.Received(audit, finding, tuple(files)))
    result = Result(
        task.job_id,
        task.token,
        key_of(task.endpoint, task.ref, ended.files, conditions_here(store, work)),
        ended.state,
        ended.reason,
        has_audit=ended.audit_id is not None,
        files=ended.files,
        error=ended.error,
    )
    write_record(folder / RECORD, result)
    return result
