"""The tensors that a file of weights stores, whatever its format: where the bytes of each lie. No data is read.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from dife_scanner.models import torch_files
from dife_scanner.models.header import DTYPE_BITS, LENGTH_BYTES, ParseLimits, parse_header

SAFETENSORS = ".safetensors"
_CHANNELS = 3


@dataclass(frozen=True)
class WeightsFile:
    """One open file of weights."""

    stream: BinaryIO
    name: str
    """What messages call it."""
    total: int | None = None
    """Its size in bytes where `stream` holds only its beginning."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as its file describes it."""

    name: str
    dtype: str
    """As safetensors calls it."""
    shape: tuple[int, ...]
    file: int
    """Number of the file among those of the checkpoint."""
    start: int
    """First byte of its values in the file …"""
    end: int
    """… and the byte behind the last one that may be read for it."""
    strides: tuple[int, ...] | None = None
    """Values from one to the next along each axis; `None` where they follow each other in the order of the axes."""

    def rows(self, first: int, last: int) -> StoredTensor:
        """Its rows from `first` to before `last`."""
        step = math.prod(self.shape[1:]) if self.strides is None else self.strides[0]
        item = DTYPE_BITS[self.dtype] // 8
        start = self.start + first * step * item
        end = self.end if self.strides else self.start + last * step * item
        return replace(self, shape=(last - first, *self.shape[1:]), start=start, end=end)

    def as_kernel(self) -> StoredTensor:
        """A matrix [w, s * s * 3] over flattened patches, their channels last, as the kernel [w, 3, s, s] that computes
        the same; any other tensor as it is.
        """
        if len(self.shape) != 2:
            return self
        width, values = self.shape
        side = math.isqrt(values // _CHANNELS)
        if side**2 * _CHANNELS != values:
            return self
        row, step = self.strides or (values, 1)
        strides = (row, step, _CHANNELS * side * step, _CHANNELS * step)
        return replace(self, shape=(width, _CHANNELS, side, side), strides=strides)

    def with_axes(self, count: int) -> StoredTensor:
        """The same with so many axes of length one before the others, or with so many of these fewer."""
        strides = self.strides
        if count > 0:
            if strides is not None:
                strides = (0,) * count + strides
            return replace(self, shape=(1,) * count + self.shape, strides=strides)
        drop = 0
        while drop < -count and self.shape[drop : drop + 1] == (1,):
            drop += 1
        if strides is not None:
            strides = strides[drop:]
        return replace(self, shape=self.shape[drop:], strides=strides)


def read_all(files: Sequence[WeightsFile], limits: ParseLimits) -> list[StoredTensor]:
    """Every tensor of a checkpoint, file by file in the order of their data.

    Raises what `parse_header` does, and of a torch file what `torch_files.read` does.
    """
    found: list[StoredTensor] = []
    for number, file in enumerate(files):
        read = _of_safetensors if _is_safetensors(file) else _of_torch
        found.extend(read(file, number, limits))
    return found


def _is_safetensors(file: WeightsFile) -> bool:
    """By its name; under another one, by its first bytes."""
    if file.name.endswith(SAFETENSORS):
        return True
    file.stream.seek(0)
    start = file.stream.read(LENGTH_BYTES + 1)
    return start[LENGTH_BYTES:] == b"{"


def _of_torch(file: WeightsFile, number: int, limits: ParseLimits) -> list[StoredTensor]:
    table = torch_files.read(file.stream, file.name, limits)
    found = []
    for name, stored in torch_files.state_dict(table, file.name).items():
        tensor = StoredTensor(
            name=name,
            dtype=stored.dtype,
            shape=stored.shape,
            file=number,
            start=stored.start + stored.offset * stored.item_bytes,
            end=stored.end,
            strides=stored.strides,
        )
        found.append(tensor)
    return found


def _of_safetensors(file: WeightsFile, number: int, limits: ParseLimits) -> list[StoredTensor]:
    header = parse_header(file.stream, file.name, limits, total=file.total)
    data = LENGTH_BYTES + header.header_bytes
    found = []
    for entry in header.tensors:
        tensor = StoredTensor(
            name=entry.name,
            dtype=entry.dtype,
            shape=entry.shape,
            file=number,
            start=data + entry.start,
            end=data + entry.end,
        )
        found.append(tensor)
    return found
