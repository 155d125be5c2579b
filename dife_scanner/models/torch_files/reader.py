"""The safe reader: what a torch file holds, without running any of it."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from dife_scanner.errors import Refused, Unreadable, Unsupported
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.torch_files.archive import LOCAL
from dife_scanner.models.torch_files.carriers import NUMPY, is_tar, look_into_array, look_into_tar
from dife_scanner.models.torch_files.directory import ends_as_archive
from dife_scanner.models.torch_files.legacy import read_legacy
from dife_scanner.models.torch_files.outcome import refuse, unreadable, unsupported
from dife_scanner.models.torch_files.rebuild import Rebuild
from dife_scanner.models.torch_files.table import Table
from dife_scanner.models.torch_files.walk import Walk
from dife_scanner.models.torch_files.zip_file import Content, read_zip

_PICKLE = b"\x80"
_DEEPEST_FILE = 3
"""Torch files within each other that are looked into."""
_CODE_FORMATS = ((b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!", "a RAR archive"))
"""What passes a reader of pickles by, and is unpacked by hand."""
_OTHER_FORMATS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"version https://git-lfs", "a Git-LFS pointer"),
    (b"\xef\xbb\xbf", "a text with a byte order mark"),
    (b"\xef\xbf\xbd", "a file that was read as text and written again"),
    (b"<", "a web page"),
)


def read(stream: BinaryIO, file: str, limits: ParseLimits) -> Table:
    """The table of the torch file `stream`, seekable and called `file` in messages; no tensor data is read.

    Understands torch's zip format, TorchScript archives and the format before torch 1.6. Nothing is imported, called
    or built: see `interpreter`.

    Raises `Refused` for a file that calls anything but what tensors are made of, or that different readers would read
    differently; `Unsupported` for an honest one that holds more than this reader knows; `Unreadable` for a damaged one;
    `LimitExceeded` for a pickle or a tensor count beyond `limits`.
    """
    total = stream.seek(0, os.SEEK_END)
    rebuild = Rebuild(file, total, limits)
    content = _content_and_inside(stream, file, rebuild, limits, _DEEPEST_FILE)
    if rebuild.not_read:
        unsupported(file, rebuild.not_read[0])
    walk = Walk(content.value, file, limits)
    opaque = tuple(sorted(rebuild.opaque))
    return Table(content.kind, tuple(walk.tensors), tuple(walk.values), opaque, total)


def _content_and_inside(
    stream: BinaryIO, file: str, rebuild: Rebuild, limits: ParseLimits, deepest: int
) -> Content:
    """The object, once the files that it carries as bytes were looked into; a finding in these goes before all else."""
    try:
        content = _content(stream, file, rebuild, limits)
    except (Unreadable, Unsupported):
        _look_inside(rebuild, file, limits, deepest)
        raise
    _look_inside(rebuild, file, limits, deepest)
    return content


def _look_inside(around: Rebuild, file: str, limits: ParseLimits, deepest: int) -> None:
    """Read what a file carries for what it would call; it is not loaded, whatever else it holds."""
    if around.carried and deepest == 0:
        refuse(file, f"it carries pickles within pickles, more than {_DEEPEST_FILE} deep")
    for raw in around.carried:
        rebuild = Rebuild(file, len(raw), limits, around.budget)
        try:
            _content_and_inside(io.BytesIO(raw), file, rebuild, limits, deepest - 1)
        except Refused as error:
            raise Refused(
                error.what.replace("its pickle", "a pickle that it carries"), error.advice
            ) from error
        except (Unreadable, Unsupported):
            continue


def _content(stream: BinaryIO, file: str, rebuild: Rebuild, limits: ParseLimits) -> Content:
    stream.seek(0)
    first = stream.read(32)
    if first.startswith(LOCAL):
        return read_zip(stream, file, rebuild, limits)
    try:
        return _not_zip(stream, first, file, rebuild, limits)
    except (Unreadable, Unsupported):
        if ends_as_archive(stream):
            refuse(file, "an archive follows what it begins with")
        raise


def _not_zip(
    stream: BinaryIO, first: bytes, file: str, rebuild: Rebuild, limits: ParseLimits
) -> Content:
    for magic, kind in _CODE_FORMATS:
        if first.startswith(magic):
            refuse(file, f"its first bytes are those of {kind}")
    if first.startswith(NUMPY):
        look_into_array(stream, file, rebuild, limits)
    for magic, kind in _OTHER_FORMATS:
        if first.startswith(magic):
            unreadable(file, f"its first bytes are those of {kind}")
    if not first.startswith(_PICKLE) and is_tar(stream):
        look_into_tar(stream, file, rebuild, limits)
    return read_legacy(stream, file, rebuild, limits)
