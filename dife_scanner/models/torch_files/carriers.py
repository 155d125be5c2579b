"""Files that are no torch files and can carry pickles: tar archives and NumPy arrays of objects."""

from __future__ import annotations

import tarfile
from typing import BinaryIO, NoReturn

from dife_scanner.models.header import ParseLimits
from dife_scanner.models.torch_files.outcome import unsupported
from dife_scanner.models.torch_files.rebuild import Rebuild

NUMPY = b"\x93NUMPY"
_MOST_MEMBERS = 1000
_NUMPY_PREFIXES = {1: 10, 2: 12, 3: 12}
"""Bytes before the text of an array's header, by version of the format."""


def is_tar(stream: BinaryIO) -> bool:
    """Whether `stream` begins as a tar archive does; torch before 0.1.10 wrote such."""
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:"):
            return True
    except (tarfile.TarError, ValueError, OverflowError):
        return False


def look_into_tar(stream: BinaryIO, file: str, rebuild: Rebuild, limits: ParseLimits) -> NoReturn:
    """Keep the members of a tar archive to be looked into. Always raises `Unsupported`."""
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for _, member in zip(range(_MOST_MEMBERS), archive, strict=False):
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    rebuild.carry(content.read(limits.header_bytes))
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError):
        pass  # damaged behind what was kept
    unsupported(file, "it is a tar archive, as torch wrote before 0.1.10")


def look_into_array(stream: BinaryIO, file: str, rebuild: Rebuild, limits: ParseLimits) -> NoReturn:
    """Keep what follows the header of a NumPy array, a pickle where its elements are objects. Raises `Unsupported`."""
    stream.seek(0)
    head = stream.read(16)
    prefix = _NUMPY_PREFIXES.get(head[6], 12)
    length = int.from_bytes(head[8:prefix], "little")
    stream.seek(prefix + length)
    rest = stream.read(limits.header_bytes)
    if rest.startswith(b"\x80"):
        rebuild.carry(rest)
    unsupported(file, "it is a NumPy array")
