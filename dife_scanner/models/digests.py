"""Marks of every tensor of a checkpoint: small enough to keep when the weights are gone, and enough to see a change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from dife_scanner.models.header import LENGTH_BYTES, ParseLimits, TensorEntry, parse_header
from dife_scanner.records import TensorMark

SAMPLE = 8
"""Values kept of each tensor."""
_BLOCK = 1 << 20
"""Values read at once."""
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""How numpy reads them; BF16, which it does not know, as the upper half of a float32."""

Values = npt.NDArray[np.float32]


def tensor_marks(path: Path, limits: ParseLimits | None = None) -> list[TensorMark]:
    """A mark of every floating-point tensor of a safetensors file, by name; read in blocks, whatever its size.

    Step counters and the like are no floats, and have none. Raises what `header.parse_header` raises, and `OSError`.
    """
    marks = []
    with path.open("rb") as stream:
        header = parse_header(stream, path.name, limits or ParseLimits())
        first = LENGTH_BYTES + header.header_bytes
        for entry in header.tensors:
            if entry.dtype in _FLOATS:
                marks.append(_mark(stream, entry, first + entry.start))
    return sorted(marks, key=lambda mark: mark.name)


def tensor_digests(path: Path, limits: ParseLimits | None = None) -> dict[str, str]:
    """The sha256 of each tensor's shape and float32 values, by name; raises what `tensor_marks` does."""
    return {mark.name: mark.sha256 for mark in tensor_marks(path, limits)}


def _mark(stream: BinaryIO, entry: TensorEntry, start: int) -> TensorMark:
    digest = hashlib.sha256(f"{list(entry.shape)}\n".encode())
    size = int(np.prod(entry.shape, dtype=np.int64))
    kept = np.linspace(0, size - 1, SAMPLE).astype(np.int64)
    sample: list[float] = []
    at = 0
    for values in _blocks(stream, entry.dtype, start, size):
        digest.update(values.data)
        here = kept[(kept >= at) & (kept < at + values.size)]
        sample += [float(value) for value in values[here - at]]
        at += values.size
    return TensorMark(entry.name, digest.hexdigest(), tuple(sample))


def _blocks(stream: BinaryIO, dtype: str, start: int, size: int) -> Iterator[Values]:
    """The values of a tensor as float32, in order."""
    kind = np.dtype(_FLOATS[dtype])
    stream.seek(start)
    for at in range(0, size, _BLOCK):
        raw = stream.read(min(_BLOCK, size - at) * kind.itemsize)
        yield _as_float32(np.frombuffer(raw, kind), dtype)


def _as_float32(raw: npt.NDArray[np.generic], dtype: str) -> Values:
    if dtype == "BF16":
        return (raw.astype("<u4") << 16).view("<f4")
    with np.errstate(over="ignore"):
        return raw.astype("<f4")
