"""A strict reader of safetensors headers, free of any tensor library.

The format: 8 bytes little-endian length n, n bytes of JSON (`{"name": {"dtype", "shape", "data_offsets"}}` and an
optional `__metadata__` of strings), then the data. What the format's own library reads is read here, with three
exceptions: two values under one key, names that act on a terminal or climb out of a folder, and sides beyond 2^31.
These end in `Refused`, as does a header that lies about its file. Honest damage is `Unreadable`, an element type from
the future `Unsupported`, a stated bound `LimitExceeded`.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.models import strict_json
from dife_scanner.models.strict_json import (
    HostileJsonError,
    NotStrictError,
    TooManyObjectsError,
    climbs_out,
    shown,
)

LENGTH_BYTES = 8
FILE_END = 2**63
"""No file offset reaches this."""
LONGEST_HEADER = 100_000_000
"""Bytes that the format's library reads at most."""
LONGEST_DIMENSION = 2**31
"""Numbers along one axis; an honest tensor's longest is its vocabulary."""

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "C64": 64, "U64": 64,
    "I64": 64, "F64": 64,
}  # fmt: skip
"""Every element type the format knows; which of them can be audited is `checks.compare`'s business."""

_CODE_FORMATS = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes"),
    (b"\x80", "a Python pickle"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
)
"""What can carry code past whoever trusts the ending of a name."""
_OLD_PICKLE_STARTS = "c("
_ZIP_END = b"PK\x05\x06"
"""Who reads a zip archive looks for this at the end of a file …"""
_ZIP_END_BYTES = 65_557
"""… in so many last bytes, whatever stands before."""
_OTHER_FORMATS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version ", "a Git-LFS pointer"),
    (b"\xef\xbb\xbf", "a text with a byte order mark"),
    (b"\xef\xbf\xbd", "a file that was read as text and written again"),
    (b"<", "a web page"),
)
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Unicode categories: control, format (text direction among them), line and paragraph separators."""
_ENTRY_KEYS = ("dtype", "shape", "data_offsets")


@dataclass(frozen=True)
class ParseLimits:
    """Bounds on parsing one checkpoint's header and configuration."""

    header_bytes: int = 25_000_000
    config_bytes: int = 16 * 1024**2
    tensors: int = 20_000
    seconds: float = 30.0
    memory_mib: int = 1024


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as the header describes it; `start` and `end` count from the first data byte."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """A header that keeps every rule of this module; entries in the order of their data."""

    tensors: tuple[TensorEntry, ...]
    metadata: tuple[tuple[str, str], ...]
    """Written by a stranger: escape before showing."""
    header_bytes: int
    file_bytes: int


def refuse(file: str, why: str) -> NoReturn:
    """Refuse `file` with the reason in words: it tries something."""
    raise Refused(_not_valid(file, why), "do not load it; report it to its author")


def unreadable(file: str, why: str) -> NoReturn:
    """Give `file` up with the reason in words: it is damaged, or was never what its name says."""
    raise Unreadable(
        _not_valid(file, why), "the safetensors library does not read it either; save it again"
    )


def _not_valid(file: str, why: str) -> str:
    return f"{file} is not a valid safetensors file: {why}"


def parse_header(
    stream: BinaryIO, file: str, limits: ParseLimits, *, total: int | None = None
) -> Header:
    """Read and check the header of `stream`, a seekable file called `file` in messages; no tensor data is read.

    `total` is the size of the file in bytes where `stream` holds only its beginning.

    Raises `Refused` for a header that tries something, `Unreadable` for what the format forbids, `Unsupported` for an
    element type that is not known, and `LimitExceeded` for a header or tensor count beyond `limits`.
    """
    if total is None:
        total = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    length = header_length(stream.read(LENGTH_BYTES), total, file, limits)
    document = _document(stream.read(length), file, limits)
    metadata = _metadata(document.pop("__metadata__", None), file)
    entries = [_entry(name, body, file) for name, body in document.items()]
    entries.sort(key=lambda entry: (entry.start, entry.end))
    rest = _after_the_last(entries, total - LENGTH_BYTES - length, file)
    if rest:
        _over_long(stream, rest, total, file)
    return Header(tuple(entries), metadata, length, total)


def header_length(prefix: bytes, total: int, file: str, limits: ParseLimits) -> int:
    """Bytes of JSON after `prefix`, the first eight of a file of `total` bytes. Raises what `parse_header` does."""
    if len(prefix) < LENGTH_BYTES:
        unreadable(
            file,
            f"truncated, it has {total} bytes and not even the {LENGTH_BYTES} of the header length",
        )
    length = int.from_bytes(prefix, "little")
    if length > total - LENGTH_BYTES:
        _beyond_the_file(prefix, length, total, file)
    if length > limits.header_bytes:
        raise LimitExceeded(
            f"{file} has a header of {length} bytes; the limit is {limits.header_bytes}",
            "raise limits.header_bytes if you expect such a file",
        )
    if length > LONGEST_HEADER:
        unreadable(
            file, f"its header has {length} bytes and the format allows at most {LONGEST_HEADER}"
        )
    return length


def _beyond_the_file(prefix: bytes, length: int, total: int, file: str) -> NoReturn:
    """Say what a file is whose first bytes, as a length, reach beyond it."""
    for magic, kind in _CODE_FORMATS:
        if prefix.startswith(magic[:LENGTH_BYTES]):
            refuse(file, f"its first bytes are those of {kind}")
    for magic, kind in _OTHER_FORMATS:
        if prefix.startswith(magic[:LENGTH_BYTES]):
            unreadable(file, f"its first bytes are those of {kind}")
    if _is_text(prefix):
        unreadable(file, "its first bytes are text, as a server answers with")
    what = f"it announces a header of {length} bytes but has {total} bytes in all"
    if length > LONGEST_HEADER:
        refuse(file, f"its header lies, {what}")
    unreadable(file, f"truncated, {what}")


def _is_text(prefix: bytes) -> bool:
    """Whether these bytes are plain text that is no pickle of the oldest kind, which is text as well."""
    words = prefix.decode("ascii", "replace").replace("\n", " ")
    return words.isascii() and words.isprintable() and words[0] not in _OLD_PICKLE_STARTS


def _document(raw: bytes, file: str, limits: ParseLimits) -> dict[str, Any]:
    try:
        # one object per tensor, one for the metadata and the outermost one
        document = strict_json.read(raw, limits.tensors + 2)
    except HostileJsonError as error:
        refuse(file, f"in its header, {error}")
    except NotStrictError as error:
        unreadable(file, f"in its header, {error}")
    except TooManyObjectsError:
        _too_many(file, limits)
    if len(document) - ("__metadata__" in document) > limits.tensors:
        _too_many(file, limits)
    return document


def _too_many(file: str, limits: ParseLimits) -> NoReturn:
    raise LimitExceeded(
        f"{file} lists more than {limits.tensors} tensors",
        "raise limits.tensors if you expect such a file",
    )


def _metadata(body: Any, file: str) -> tuple[tuple[str, str], ...]:
    if body is None:  # as the library reads it
        return ()
    if not _is_text_map(body):
        unreadable(file, "its metadata is not a map of strings")
    return tuple(sorted(body.items()))


def _is_text_map(body: Any) -> bool:
    return isinstance(body, dict) and all(isinstance(value, str) for value in body.values())


def _entry(name: str, body: Any, file: str) -> TensorEntry:
    _check_name(name, file)
    if not isinstance(body, dict) or any(key not in body for key in _ENTRY_KEYS):
        unreadable(file, f"the entry of {shown(name)} lacks dtype, shape or data_offsets")
    dtype = _dtype(name, body["dtype"], file)
    shape = _shape(name, body["shape"], file)
    start, end = _offsets(name, body["data_offsets"], file)
    entry = TensorEntry(name, dtype, shape, start, end)
    _check_span(entry, file)
    return entry


def _check_span(entry: TensorEntry, file: str) -> None:
    name = shown(entry.name)
    found = entry.end - entry.start
    bits = _elements(entry, file) * DTYPE_BITS[entry.dtype]
    if bits % 8:
        unreadable(file, f"the values of tensor {name} do not fill whole bytes")
    if bits != found * 8:
        refuse(file, f"tensor {name} spans {found} bytes, its shape and dtype ask for {bits // 8}")


def _elements(entry: TensorEntry, file: str) -> int:
    """The values of a tensor, multiplied in the order of its axes, as the library does."""
    count = 1
    for side in entry.shape:
        count *= side
        if count >= FILE_END:
            refuse(file, f"tensor {shown(entry.name)} has more values than any file holds")
    return count


def _dtype(name: str, value: object, file: str) -> str:
    if not isinstance(value, str):
        unreadable(file, f"the dtype of tensor {shown(name)} is not a string")
    if value in DTYPE_BITS:
        return value
    if any(map(_is_invisible, value)):
        refuse(file, f"the dtype {shown(value)} contains control or text-direction characters")
    raise Unsupported(
        f"{file}: tensor {shown(name)} has the dtype {shown(value)}, which this version does not know",
        "save it as F32 or F16",
    )


def _shape(name: str, value: Any, file: str) -> tuple[int, ...]:
    if not _is_whole_numbers(value):
        unreadable(file, f"the shape of tensor {shown(name)} is not a list of whole numbers")
    if any(not 0 <= side <= LONGEST_DIMENSION for side in value):
        refuse(
            file,
            f"tensor {shown(name)} has an impossible shape: its sides are not between 0 and "
            f"{LONGEST_DIMENSION}",
        )
    return tuple(value)


def _offsets(name: str, value: Any, file: str) -> tuple[int, int]:
    if not _is_whole_numbers(value) or len(value) != 2:
        unreadable(file, f"the offsets of tensor {shown(name)} are not two whole numbers")
    start, end = value
    if not 0 <= start <= end < FILE_END:
        refuse(file, f"tensor {shown(name)} has impossible offsets, which do not rise from 0")
    return start, end


def _is_whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _check_name(name: str, file: str) -> None:
    if any(map(_is_invisible, name)):
        refuse(
            file,
            f"the tensor name {shown(name)} contains control or text-direction characters",
        )
    if climbs_out(name):
        refuse(file, f"the tensor name {shown(name)} is a path out of its folder")
    if any("\ud800" <= character <= "\udfff" for character in name):
        unreadable(file, f"the tensor name {shown(name)} is no valid Unicode")


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def _after_the_last(entries: list[TensorEntry], data_bytes: int, file: str) -> int:
    """How many of the data's bytes follow the last tensor, once those before it are covered."""
    reached = 0
    for entry in entries:
        _check_start(entry, reached, file)
        reached = entry.end
    if reached > data_bytes:
        unreadable(
            file,
            f"truncated, its tensors need {reached} bytes of data and it has {data_bytes}",
        )
    return data_bytes - reached


def _over_long(stream: BinaryIO, rest: int, total: int, file: str) -> NoReturn:
    """Say what the last `rest` bytes are: an archive behind the tensors, or what a download or an editor left."""
    what = f"over-long, {rest} bytes follow the last tensor"
    last = min(rest, _ZIP_END_BYTES)
    stream.seek(total - last)
    if _ZIP_END in stream.read(last):
        refuse(file, f"{what}, and they are a zip archive, as torch.save writes")
    unreadable(file, what)


def _check_start(entry: TensorEntry, reached: int, file: str) -> None:
    """Each tensor starts where the one before it ended, at byte `reached`."""
    name = shown(entry.name)
    gap = entry.start - reached
    if gap < 0:
        refuse(file, f"tensor {name} overlaps the one before it")
    if gap > 0:
        refuse(
            file,
            f"{gap} bytes before tensor {name} belong to no tensor (a gap)",
        )
