"""Private copies of a database that lies where this user may write nothing.

SQLite opens a database with a write-ahead log only where it may write beside it, or where its owner has it open. The
same files in a folder of our own can be read, brought up to date and thrown away.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

_TRIES = 5
_LOG = "-wal"


@dataclass(frozen=True)
class State:
    """What tells one content of a database's files from another, without reading them."""

    file: tuple[int, int] | None
    """Device and inode; `None` where there is no file."""
    content: tuple[tuple[int, int], ...]
    """Of the database and of its log, where there is one: time of the last change in ns, and bytes."""


def state_of(database: Path) -> State:
    """The state of a database's files now."""
    file = None
    content = []
    for path in (database, _log_of(database)):
        try:
            found = path.stat()
        except OSError:
            continue
        content.append((found.st_mtime_ns, found.st_size))
        if path == database:
            file = (found.st_dev, found.st_ino)
    return State(file, tuple(content))


def _log_of(database: Path) -> Path:
    return database.with_name(database.name + _LOG)


@dataclass(frozen=True)
class Copy:
    """A copy in a folder of its own, to be removed after use."""

    path: Path
    of: State
    """What the original's files were when they were copied."""

    def remove(self) -> None:
        """Remove the folder; what cannot go stays, where the system keeps temporary files."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def make(database: Path) -> Copy:
    """Copy a database and its log. Raises `OSError` where they cannot be read, or no copy can be written."""
    folder = Path(tempfile.mkdtemp(prefix="dife-read-"))
    try:
        for _ in range(_TRIES):
            before = state_of(database)
            copied = _copy(database, folder)
            if state_of(database) == before:
                break  # nobody wrote meanwhile; a database that never rests is checked by whoever opens it
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Copy(copied, before)


def _copy(database: Path, folder: Path) -> Path:
    target = folder / database.name
    log = _log_of(target)
    log.unlink(missing_ok=True)
    shutil.copyfile(database, target)
    if _log_of(database).exists():
        shutil.copyfile(_log_of(database), log)
    return target
