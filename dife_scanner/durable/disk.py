"""Errors of the operating system about a path, turned into errors that a user can act on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dife_scanner.errors import DiskFull, HomeUnwritable

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_full(path: Path) -> DiskFull:
    """The error for a disk that has no room left."""
    return DiskFull(
        f"the disk that holds {path} is full",
        "free some space; nothing is lost, work goes on by itself",
    )


def says_full(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, is that of a disk or quota without room.

    Libraries in other languages (safetensors) give the system's words and no number.
    """
    while error is not None:
        if isinstance(error, DiskFull):
            return True
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return True
        if "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def raise_where_full(error: Exception) -> None:
    """Raise `DiskFull` where that is what an error comes from."""
    if isinstance(error, DiskFull):
        raise error
    if says_full(error):
        named = getattr(error, "filename", None)
        raise disk_full(Path(named) if isinstance(named, str) else Path("the state directory"))


def home_unwritable(path: Path, why: str) -> HomeUnwritable:
    """The error for a state directory that this user may not write."""
    return HomeUnwritable(
        f"the state directory {path} cannot be written: {why}",
        "give this user write permission, or choose another directory with --home or DIFE_HOME",
    )


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write on the disk of `path`; very many where nobody can say."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 1 << 62
    return found.f_bavail * found.f_frsize


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk about `path` into `DiskFull` and `HomeUnwritable`; everything else goes through."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise disk_full(path) from error
        if error.errno in _NO_ACCESS or isinstance(error, (FileExistsError, NotADirectoryError)):
            raise home_unwritable(path, error.strerror or str(error)) from error
        raise
