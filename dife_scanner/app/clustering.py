"""Jobs that other machines do: handed out, done there, committed here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.baselines.home import open_home
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import UsageError
from dife_scanner.settings import Settings
from dife_scanner.store import Store

if TYPE_CHECKING:
    from dife_scanner.cluster.driver import Collected
    from dife_scanner.cluster.node import Exit
    from dife_scanner.cluster.tasks import Result
    from dife_scanner.progress import Progress


def hand_out(
    store: Store, settings: Settings, folder: Path, *, most: int, hours: float
) -> list[Path]:
    """Write a task file for each of up to `most` due jobs, which are held for so many hours."""
    from dife_scanner.cluster import driver
    from dife_scanner.queue.work import default_work

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return driver.hand_out(store, default_work(settings), folder, most=most, seconds=hours * 3600)


def collect(store: Store, settings: Settings, folder: Path) -> Collected:
    """Commit every complete result. Raises `UsageError` for a folder that there is not."""
    from dife_scanner.cluster import driver
    from dife_scanner.queue.work import default_work

    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name the one given to dife hand-out")
    return driver.collect(store, default_work(settings), folder)


def do_task(
    settings: Settings, path: Path, folder: Path | None, progress: Progress
) -> tuple[Result, Exit]:
    """Do the task of this file in the home of these settings; its result goes to `folder`, by default beside it."""
    from dife_scanner.cluster import node, tasks
    from dife_scanner.queue.work import default_work

    task = tasks.read_task(path)
    folder = folder or path.with_suffix(tasks.RESULT_SUFFIX)
    with open_home(settings) as store:
        result = node.do_task(store, task, default_work(settings), folder, progress)
    return result, node.exit_of(result)
