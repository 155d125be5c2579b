"""One task on this machine: the pipeline of a local worker in this machine's own home, and a folder with the result."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from dife_scanner.cluster.tasks import (
    RECORD,
    Result,
    Task,
    UnfitNode,
    check_conditions,
    conditions_here,
    read_result,
    write_record,
)
from dife_scanner.durable.disk import disk_errors
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import outcome, targets
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.queue.worker import run_to_end
from dife_scanner.records import Job, JobState
from dife_scanner.store import Store, audits, evidence, findings


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
    """Audit what the task names, and leave the result in `folder`; one that is there already is not made again.

    Raises `UnfitNode` where this machine would make another audit, and what `targets.enqueue` and `process` raise.
    """
    made = read_result(folder)
    if made is not None and made.token == task.token:
        return made
    check_fit(store, task, work)
    target = f"{task.ref.repo_id}@{task.ref.revision}"
    queued = targets.enqueue(
        store, target, work.settings.limits, lambda: hub_for(work.settings, task.endpoint)
    )
    return _leave(store, task, run_to_end(store, queued, work, progress), folder)


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


def _leave(store: Store, task: Task, job: Job, folder: Path) -> Result:
    """Files first, the record last."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if job.audit_id:
        audit = audits.audit(store, job.audit_id)
        finding = findings.of_audit(store, audit.id)
        files = []
        for file in audit.evidence:
            files.append((file, evidence.read(store.home, file.sha256)))
        outcome.write(folder, outcome.Received(audit, finding, tuple(files)))
    has_audit = job.audit_id is not None
    result = Result(task.job_id, task.token, task.key, job.state, job.reason, has_audit)
    write_record(folder / RECORD, result)
    return result
