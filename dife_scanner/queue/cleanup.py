"""Remove what killed processes left on the disk: work folders, fetched files, half-written evidence."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from functools import partial
from pathlib import Path

from dife_scanner.audit.search import IDENTITY
from dife_scanner.checkpoints import cache_folder
from dife_scanner.durable.atomic import PARTIAL
from dife_scanner.records import ModelRef
from dife_scanner.store import Store, audits, leases

_TRASH = "trash-"
_HALF_WRITTEN_SECONDS = 3600.0


def remove_leftovers(store: Store) -> None:
    """Remove what nobody needs any more. Safe at any time and in any number of processes: what belongs to a job in work
    stays.
    """
    work = store.home / "work"
    # renaming is quick: what takes long is removed after the transaction, when workers may claim jobs again
    leases.while_none_changes(store, partial(_put_aside, store.home))
    for trash in work.glob(f"{_TRASH}*"):
        shutil.rmtree(trash, ignore_errors=True)
    remove_finished_searches(store)
    for folder in ("evidence", "cache"):
        _remove_old(store.home / folder, f"**/{PARTIAL}*")
    _remove_empty(store.home / "cache" / "hub")


def remove_finished_searches(store: Store) -> None:
    """Remove the results of searches of stored audits; they are kept for an audit that is killed on its way."""
    for file in (store.home / "cache" / "discovery" / "searches").glob("*.json"):
        if audits.is_audited(store, file.name[:IDENTITY]):
            file.unlink(missing_ok=True)


def _put_aside(home: Path, held: set[int], unfinished: set[ModelRef]) -> None:
    """Rename the work folders of jobs that nobody holds, and the fetched files of those that have ended."""
    work = home / "work"
    for folder in work.iterdir():
        if folder.name.isdigit() and int(folder.name) not in held:
            folder.rename(_new_trash(work))
    if not held:
        for lock in work.glob("identity-*.lock"):
            lock.unlink(missing_ok=True)
    needed = {cache_folder(home, ref) for ref in unfinished}
    for folder in (home / "cache" / "hub").glob("*/*"):
        if folder not in needed:
            folder.rename(_new_trash(work))


def _new_trash(work: Path) -> Path:
    return work / f"{_TRASH}{uuid.uuid4().hex}"


def _remove_old(folder: Path, pattern: str) -> None:
    for file in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - _HALF_WRITTEN_SECONDS:
                file.unlink()


def _remove_empty(folder: Path) -> None:
    for child in folder.glob("*"):
        with contextlib.suppress(OSError):
            child.rmdir()
