"""Workers and other machines: be a worker, do one task, hand jobs out, commit what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli import results
from dife_scanner.cli.exit_codes import FAILED
from dife_scanner.cli.session import Session, command, error_line
from dife_scanner.errors import (
    DifeError,
    DiskFull,
    HubError,
    StoreBusy,
    UsageError,
)

if TYPE_CHECKING:
    from dife_scanner.settings import Settings


def register(app: typer.Typer) -> None:
    command(app, "work")(work)
    command(app, "hand-out")(hand_out)
    command(app, "collect")(collect)


def work(
    session: Session,
    task: Annotated[
        Path | None,
        typer.Argument(help="A file that `dife hand-out` wrote: do this one job and end."),
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when no job is due.")
    ] = False,
    result: Annotated[
        Path | None,
        typer.Option("--result", help="Folder for the result of a task; by default beside it."),
    ] = None,
) -> int:
    """Be one worker: take queued jobs, audit them, save. A watcher starts its own.

    With a task (docs/cluster.md) the exit code is 0 where its result is written, 75 where it may be tried again, 78
    where this machine cannot do it, and 65 where its audits died again and again.
    """
    from dife_scanner.app import watching

    settings = session.settings()
    if task is not None:
        if until_idle:
            raise UsageError("a task is one job: --until-idle has no place there", "leave it out")
        return _do(session, settings, task, result)
    if result is not None:
        raise UsageError("--result is where a task leaves its result", "name a task")
    with session.store(settings):  # makes the home, or says why it cannot
        pass
    with session.progress() as progress:
        watching.work(settings, until_idle=until_idle, progress=progress)
    return results.NOTHING


def _do(session: Session, settings: Settings, task: Path, folder: Path | None) -> int:
    """One task; every error of ours is an exit code that a scheduler can act on."""
    from dife_scanner.app import clustering
    from dife_scanner.cluster.node import Exit

    try:
        with session.progress() as progress:
            result, code = clustering.do_task(settings, task, folder, progress)
    except UsageError:
        raise
    except DifeError as error:
        for line in error_line(error):
            session.say(line)
        passing = isinstance(error, (HubError, DiskFull, StoreBusy))
        return Exit.TRANSIENT if passing else Exit.FATAL
    session.say(f"job {result.job_id}: {result.state.value}: {result.reason}")
    return code


def hand_out(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="Where task files go; made if missing.")],
    most: Annotated[int, typer.Option("--most", min=1, help="Jobs at most.")] = 100,
    hours: Annotated[
        float,
        typer.Option("--hours", min=0.01, help="After which a job without a result is due again."),
    ] = 24.0,
) -> int:
    """Hand due jobs out to other machines: one task file each, for `dife work TASK` (docs/cluster.md)."""
    from dife_scanner.app import clustering

    settings = session.settings()
    with session.store(settings) as store:
        paths = clustering.hand_out(store, settings, folder, most=most, hours=hours)
    session.done(f"{len(paths)} jobs handed out", folder=str(folder))
    return results.NOTHING


def collect(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="The folder that jobs were handed out into.")],
) -> int:
    """Commit the results that other machines left, each once. Safe to repeat; 3 where a result cannot be read."""
    from dife_scanner.app import clustering

    settings = session.settings()
    with session.store(settings) as store:
        found = clustering.collect(store, settings, folder)
    for line in (*found.late, *found.problems):
        session.say(line)
    session.done(
        f"{len(found.committed)} results committed",
        late=str(len(found.late)),
        without_result=str(found.open),
        unreadable=str(len(found.problems)),
    )
    return FAILED if found.problems else results.NOTHING
