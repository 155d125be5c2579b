"""A strict reader of safetensors headers, stricter than the format's own reader and free of any tensor library.

The format: 8 bytes little-endian length n, n bytes of JSON (`{"name": {"dtype", "shape", "data_offsets"}}` and an
optional `__metadata__` of strings), then the data. The library's reader lets duplicate keys, control characters in
names and absurd shapes pass; here each of them ends in `Refused`, and a stated bound in `LimitExceeded`.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from dife_scanner.errors import LimitExceeded, Refused
from dife_scanner.models import strict_json
from dife_scanner.models.strict_json import NotStrictError, TooManyObjectsError, shown

LENGTH_BYTES = 8
FILE_END = 2**63
"""No file offset reaches this."""

# Bounds that no honest tensor of a CLIP model comes near: it has at most 4 dimensions, the largest is its vocabulary.
MOST_DIMENSIONS = 8
LONGEST_DIMENSION = 2**31
LONGEST_NAME = 256
MOST_METADATA_CHARACTERS = 65_536

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "C64": 64, "U64": 64,
    "I64": 64, "F64": 64,
}  # fmt: skip
"""Every element type the format knows; which of them can be audited is `checks.compare`'s business."""

_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes"),
    (b"\x80", "a Python pickle"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version ", "a Git-LFS pointer"),
    (b"<", "a web page"),
)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control, format (text direction among them), surrogate, line and paragraph separators."""
_PATH_SIGNS = ("/", "\\", "..")
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:\-]+")


@dataclass(frozen=True)
class ParseLimits:
    """Bounds on parsing one checkpoint's header and configuration."""

    header_bytes: int = 25_000_000
    config_bytes: int = 1_048_576
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
    """Refuse `file` with the reason in words."""
    raise Refused(
        f"{file} is not a valid safetensors file: {why}",
        "do not load it; report it to its author",
    )


def parse_header(stream: BinaryIO, file: str, limits: ParseLimits) -> Header:
    """Read and check the header of `stream`, a seekable file called `file` in messages; no tensor data is read.

    Raises `Refused` for anything the format forbids and for names that cannot be an honest tensor's;
    `LimitExceeded` for a header or tensor count beyond `limits`.
    """
    total = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    length = _header_length(stream.read(LENGTH_BYTES), total, file, limits)
    document = _document(stream.read(length), file, limits)
    metadata = _metadata(document.pop("__metadata__", {}), file)
    entries = [_entry(name, body, file) for name, body in document.items()]
    entries.sort(key=lambda entry: (entry.start, entry.end))
    _check_coverage(entries, total - LENGTH_BYTES - length, file)
    return Header(tuple(entries), metadata, length, total)


def _header_length(prefix: bytes, total: int, file: str, limits: ParseLimits) -> int:
    if len(prefix) < LENGTH_BYTES:
        refuse(
            file,
            f"truncated, it has {total} bytes and not even the {LENGTH_BYTES} of the header length",
        )
    length = int.from_bytes(prefix, "little")
    if length > total - LENGTH_BYTES:
        _refuse_other_formats(prefix, file)
        refuse(
            file,
            f"truncated, it announces a header of {length} bytes but has {total} bytes in all",
        )
    if length > limits.header_bytes:
        raise LimitExceeded(
            f"{file} has a header of {length} bytes; the limit is {limits.header_bytes}",
            "raise limits.header_bytes if you expect such a file",
        )
    return length


def _refuse_other_formats(prefix: bytes, file: str) -> None:
    for magic, kind in _OTHER_FORMATS:
        if prefix.startswith(magic[:LENGTH_BYTES]):
            refuse(file, f"its first bytes are those of {kind}")


def _document(raw: bytes, file: str, limits: ParseLimits) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        refuse(file, "the header does not start with an opening brace")
    try:
        # one object per tensor, one for the metadata and the outermost one
        document = strict_json.read(raw, limits.tensors + 2)
    except NotStrictError as error:
        refuse(file, f"in its header, {error}")
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
    if not _is_text_map(body):
        refuse(file, "its metadata is not a map of strings")
    characters = sum(len(key) + len(value) for key, value in body.items())
    if characters > MOST_METADATA_CHARACTERS:
        raise LimitExceeded(
            f"{file} carries more than {MOST_METADATA_CHARACTERS} characters of metadata",
            "strip the metadata",
        )
    return tuple(sorted(body.items()))


def _is_text_map(body: Any) -> bool:
    return isinstance(body, dict) and all(isinstance(value, str) for value in body.values())


def _entry(name: str, body: object, file: str) -> TensorEntry:
    _check_name(name, file)
    if not isinstance(body, dict) or set(body) != _ENTRY_KEYS:
        refuse(
            file,
            f"the entry of {shown(name)} has not exactly dtype, shape and data_offsets",
        )
    dtype = _dtype(name, body["dtype"], file)
    shape = _shape(name, body["shape"], file)
    start, end = _offsets(name, body["data_offsets"], file)
    entry = TensorEntry(name, dtype, shape, start, end)
    _check_span(entry, file)
    return entry


def _check_span(entry: TensorEntry, file: str) -> None:
    found = entry.end - entry.start
    bits = math.prod(entry.shape) * DTYPE_BITS[entry.dtype]
    if bits != found * 8:
        name = shown(entry.name)
        refuse(
            file,
            f"tensor {name} spans {found} bytes, its shape and dtype ask for {bits // 8}",
        )


def _dtype(name: str, value: object, file: str) -> str:
    if not isinstance(value, str) or value not in DTYPE_BITS:
        refuse(file, f"tensor {shown(name)} has the unknown dtype {shown(str(value))}")
    return value


def _shape(name: str, value: Any, file: str) -> tuple[int, ...]:
    if not _is_shape(value):
        refuse(
            file,
            f"tensor {shown(name)} has an impossible shape: at most {MOST_DIMENSIONS} whole numbers "
            f"between 1 and {LONGEST_DIMENSION}",
        )
    return tuple(value)


def _is_shape(value: Any) -> bool:
    if not _is_whole_numbers(value) or len(value) > MOST_DIMENSIONS:
        return False
    return all(1 <= side <= LONGEST_DIMENSION for side in value)


def _offsets(name: str, value: Any, file: str) -> tuple[int, int]:
    if not _is_span(value):
        refuse(
            file,
            f"tensor {shown(name)} has impossible offsets, not two rising whole numbers from 0",
        )
    start, end = value
    return start, end


def _is_span(value: Any) -> bool:
    if not _is_whole_numbers(value) or len(value) != 2:
        return False
    return bool(0 <= value[0] <= value[1] < FILE_END)


def _is_whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _check_name(name: str, file: str) -> None:
    if not name or len(name) > LONGEST_NAME:
        refuse(
            file,
            f"a tensor name has {len(name)} characters; 1 to {LONGEST_NAME} are possible",
        )
    if any(map(_is_invisible, name)):
        refuse(
            file,
            f"the tensor name {shown(name)} contains control or text-direction characters",
        )
    if any(sign in name for sign in _PATH_SIGNS):
        refuse(file, f"the tensor name {shown(name)} looks like a path")
    if not _PLAIN_NAME.fullmatch(name):
        refuse(file, f"the tensor name {shown(name)} has characters no tensor name needs")


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def _check_coverage(entries: list[TensorEntry], data_bytes: int, file: str) -> None:
    if not entries:
        refuse(file, "it holds no tensor")
    reached = 0
    for entry in entries:
        _check_start(entry, reached, file)
        reached = entry.end
    if reached > data_bytes:
        refuse(
            file,
            f"truncated, its tensors need {reached} bytes of data and it has {data_bytes}",
        )
    if reached < data_bytes:
        refuse(file, f"over-long, {data_bytes - reached} bytes follow the last tensor")


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
