"""Remove what killed processes left on the disk: work folders, fetched files, half-written evidence."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from pathlib import Path

from dife_scanner.audit.search import IDENTITY
from dife_scanner.checkpoints import cache_folder
from dife_scanner.durable.atomic import PARTIAL
from dife_scanner.records import ModelRef
from dife_scanner.store import Store, findings, jobs

_TRASH = "trash-"
_HALF_WRITTEN_SECONDS = 3600.0


def sweep(store: Store) -> None:
    """Safe at any time and in any number of processes: what belongs to a job in work stays."""
    work = store.home / "work"

    def put_aside(held: set[int], unfinished: set[ModelRef]) -> None:
        for folder in work.iterdir():
            if folder.name.isdigit() and int(folder.name) not in held:
                folder.rename(work / f"{_TRASH}{uuid.uuid4().hex}")
        if not held:
            for lock in work.glob("identity-*.lock"):
                lock.unlink(missing_ok=True)
        wanted = {cache_folder(store.home, ref) for ref in unfinished}
        for folder in (store.home / "cache" / "hub").glob("*/*"):
            if folder not in wanted:
                folder.rename(work / f"{_TRASH}{uuid.uuid4().hex}")

    jobs.while_none_changes(store, put_aside)
    for trash in work.glob(f"{_TRASH}*"):
        shutil.rmtree(trash, ignore_errors=True)
    forget_searches(store)
    for folder in ("evidence", "cache"):
        _remove_old(store.home / folder, f"**/{PARTIAL}*")
    _remove_empty(store.home / "cache" / "hub")


def forget_searches(store: Store) -> None:
    """Finished searches are kept for an audit that is killed; one that is stored needs them no longer."""
    for file in (store.home / "cache" / "discovery" / "searches").glob("*.json"):
        if findings.is_audited(store, file.name[:IDENTITY]):
            file.unlink(missing_ok=True)


def _remove_old(folder: Path, pattern: str) -> None:
    for file in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - _HALF_WRITTEN_SECONDS:
                file.unlink()


def _remove_empty(folder: Path) -> None:
    for child in folder.glob("*"):
        with contextlib.suppress(OSError):
            child.rmdir()
