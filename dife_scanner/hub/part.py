"""Bytes while they arrive: counted, hashed as they come, on disk or in memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dife_scanner.durable.disk import disk_full
from dife_scanner.records import HubFile

_BLOCK = 1024**2


def hasher(file: HubFile) -> Any:
    """What the hub announced for `file` can be compared with: sha256 in LFS, git's blob id for a file kept in git."""
    if file.sha256:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % (file.size or 0), usedforsecurity=False)


def matches(path: Path, file: HubFile) -> bool:
    """Whether `path` is a regular file with the announced size and content."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
        return False
    digest = hasher(file)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return bool(digest.hexdigest() == (file.sha256 or file.git_oid))


class Part:
    """A file so far; this one in memory."""

    def __init__(self, file: HubFile) -> None:
        self.file = file
        self.size = 0
        self._digest = hasher(file)
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        self._write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        self._clear()
        self._digest = hasher(self.file)
        self.size = 0

    @property
    def digest(self) -> str:
        return str(self._digest.hexdigest())

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    def _write(self, chunk: bytes) -> None:
        self._data += chunk

    def _clear(self) -> None:
        self._data.clear()


class DiskPart(Part):
    """A file so far, kept at `path` between runs until it is complete and verified."""

    def __init__(self, file: HubFile, path: Path) -> None:
        super().__init__(file)
        self.path = path
        self._stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b")
        while block := self._stream.read(_BLOCK):
            self._digest.update(block)
            self.size += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)

    def keep_as(self, target: Path) -> None:
        """Make it durable, then visible under its name."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.path.replace(target)

    def _write(self, chunk: bytes) -> None:
        self._stream.write(chunk)

    def _clear(self) -> None:
        self._stream.seek(0)
        self._stream.truncate()


def check_room(folder: Path, wanted: int) -> None:
    """`DiskFull` before a download that cannot end well."""
    if shutil.disk_usage(folder).free < wanted:
        raise disk_full(folder)
