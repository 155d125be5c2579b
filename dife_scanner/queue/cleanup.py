"""Remove what killed processes left on the disk: work folders, fetched files, half-written evidence."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path

from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.checkpoints import cache_folder
from dife_scanner.durable.atomic import PARTIAL
from dife_scanner.durable.fetched import downloads
from dife_scanner.queue.room import empty_trash, put_aside
from dife_scanner.records import ModelRef
from dife_scanner.store import Store, audits, leases

_HALF_WRITTEN_SECONDS = 3600.0
_NOT_GONE_ON_WITH_SECONDS = 14 * 24 * 3600.0
"""After which what a search that was killed had read is removed: it is the largest of what lies there."""


def remove_leftovers(store: Store) -> None:
    """Remove what nobody needs any more. Safe at any time and in any number of processes: what belongs to a job in work
    stays.
    """
    # renaming is quick: what takes long is removed after the transaction, when workers may claim jobs again
    leases.while_none_changes(store, partial(_put_aside, store.home))
    empty_trash(store.home)
    remove_finished_searches(store)
    for folder in ("evidence", "cache"):
        _remove_old(store.home / folder, f"**/{PARTIAL}*", _HALF_WRITTEN_SECONDS)
    searches = store.home / "cache" / "discovery" / "searches"
    _remove_old(searches, "*.readings", _NOT_GONE_ON_WITH_SECONDS)
    _remove_empty(downloads(store.home))


def remove_ended_downloads(store: Store) -> None:
    """Remove what was fetched for jobs that have ended, however they did: by hand, or overtaken while they waited."""
    fetched = list(downloads(store.home).glob("*/*"))
    if fetched:
        leases.while_none_changes(store, partial(_put_downloads_aside, store.home))
        empty_trash(store.home)
        _remove_empty(downloads(store.home))


def remove_finished_searches(store: Store) -> None:
    """Remove the results of searches of stored audits in which all of them ran; what is killed, or had too little time,
    is gone on with from them.
    """
    for file in (store.home / "cache" / "discovery" / "searches").glob("*-*"):
        if audits.is_audited(store, file.name[:SAME_WORK]):
            file.unlink(missing_ok=True)


def _put_aside(home: Path, held: set[int], unfinished: set[ModelRef]) -> None:
    """Rename the work folders of jobs that nobody holds, and the fetched files of those that have ended."""
    work = home / "work"
    for folder in work.iterdir():
        job, *_ = folder.name.split("-")
        if job.isdigit() and int(job) not in held:
            put_aside(home, folder)
    if not held:
        for lock in work.glob("identity-*.lock"):
            lock.unlink(missing_ok=True)
    _put_downloads_aside(home, held, unfinished)


def _put_downloads_aside(home: Path, held: set[int], unfinished: set[ModelRef]) -> None:
    """Rename the fetched files of jobs that have ended."""
    needed = {cache_folder(home, ref) for ref in unfinished}
    for folder in downloads(home).glob("*/*"):
        if folder not in needed:
            put_aside(home, folder)


def _remove_old(folder: Path, pattern: str, seconds: float) -> None:
    for file in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - seconds:
                file.unlink()


def _remove_empty(folder: Path) -> None:
    for child in folder.glob("*"):
        with contextlib.suppress(OSError):
            child.rmdir()
