"""Bytes while they arrive: counted, hashed as they come, on disk or in memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dife_scanner.durable.disk import disk_full
from dife_scanner.errors import HubError, LimitExceeded
from dife_scanner.records import HubFile, ModelRef

_BLOCK = 1024**2
"""Bytes read at once when a file is hashed."""
_PART_NAME = 100
"""Characters of a file's name in the name of its part; a hundred with what follows stay below the 255 of a disk."""
_PART_HASH = 16
"""Digits of the announced hash there: a part is resumed only for the same content."""


def announced_hash(file: HubFile) -> str:
    """What the hub announced of the content: sha256 in LFS, else git's blob id; empty where it announced neither."""
    return file.sha256 or file.git_oid or ""


def hasher(file: HubFile) -> Any:
    """The hash that the hub announced for `file`: sha256 in LFS, git's blob id for a file kept in git.

    An object of hashlib that is fed the content.
    """
    if file.sha256:
        return hashlib.sha256()
    # git hashes a header with the size before the content.
    return hashlib.sha1(b"blob %d\0" % (file.size or 0), usedforsecurity=False)


def matches(path: Path, file: HubFile) -> bool:
    """Whether `path` is a regular file, no link, with the announced size and content."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
        return False
    digest = hasher(file)
    with path.open("rb") as stream:
        _add_all(digest, stream)
    return bool(digest.hexdigest() == announced_hash(file))


def _add_all(digest: Any, stream: IO[bytes]) -> int:
    """Feed the rest of a stream to a hash; returns its bytes."""
    size = 0
    while block := stream.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return size


class Part:
    """What has arrived of a file; this one in memory."""

    def __init__(self, file: HubFile) -> None:
        self.file = file
        self.size = 0
        self._digest = hasher(file)
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append the bytes that arrived next."""
        self._write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Throw away what arrived."""
        self._clear()
        self._digest = hasher(self.file)
        self.size = 0

    @property
    def digest(self) -> str:
        """Of what has arrived, in hexadecimal."""
        return str(self._digest.hexdigest())

    @property
    def data(self) -> bytes:
        """What has arrived."""
        return bytes(self._data)

    def _write(self, chunk: bytes) -> None:
        self._data += chunk

    def _clear(self) -> None:
        self._data.clear()


class DiskPart(Part):
    """What has arrived of a file, kept at `path` between runs until it is complete and verified.

    huggingface_hub begins a new temporary file with each call; a large file over a poor line would never end.
    """

    def __init__(self, file: HubFile, path: Path) -> None:
        super().__init__(file)
        self.path = path
        self._stream = _opened(path)
        self.size = _add_all(self._digest, self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def discard(self) -> None:
        """Remove what arrived from the disk."""
        self.path.unlink(missing_ok=True)

    def keep_as(self, target: Path) -> None:
        """Make it durable, then visible under its name: a crash leaves the whole file or none."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.path.replace(target)

    def _write(self, chunk: bytes) -> None:
        self._stream.write(chunk)

    def _clear(self) -> None:
        self._stream.seek(0)
        self._stream.truncate()


def _opened(path: Path) -> IO[bytes]:
    """`path`, to read and write, made where it is missing, for nobody else to read.

    No link is followed: whoever may write in this folder could point it at any file of ours.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "r+b")


def check_room(folder: Path, wanted: int) -> None:
    """Raise `DiskFull` where the disk of `folder` has less than `wanted` bytes left."""
    if shutil.disk_usage(folder).free < wanted:
        raise disk_full(folder)


def download_headers(start: int) -> dict[str, str]:
    """Those that ask for the bytes from `start` on, as they are: a packed answer has no ranges to go on from."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return headers


def continues(response: Any, start: int) -> bool:
    """Whether the answer holds the bytes from `start` on.

    A range of an answer that was packed on its way is one of packed bytes, and continues nothing.
    """
    content_range: str = response.headers.get("Content-Range", "")
    packed = response.headers.get("Content-Encoding", "identity").lower() not in ("identity", "")
    return (
        response.status_code == 206 and content_range.startswith(f"bytes {start}-") and not packed
    )


def part_name(name: str, file: HubFile) -> str:
    """A hidden name in the folder of the target for what has arrived so far, one for each content."""
    return f".{name[:_PART_NAME]}.{announced_hash(file)[:_PART_HASH]}.part"


def check_announced(ref: ModelRef, file: HubFile, limit: int | None) -> None:
    """Refuse before any request what could not be verified or would be too much."""
    if file.size is None or not announced_hash(file):
        raise HubError(f"{file.path!r} of {ref}: the hub announced no size or no content hash")
    if limit is not None and file.size > limit:
        raise LimitExceeded(f"{file.path!r} of {ref} has {file.size} bytes, the limit is {limit}")


def tells_its_end(response: Any) -> bool:
    """Whether httpx notices a connection that breaks in this answer; a short body is then all there is."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
