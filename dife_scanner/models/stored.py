"""The tensors that a file of weights stores, whatever its format: where the bytes of each lie. No data is read.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from dife_scanner.models.header import LENGTH_BYTES, ParseLimits, parse_header


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


def read_all(files: Sequence[WeightsFile], limits: ParseLimits) -> list[StoredTensor]:
    """Every tensor of a checkpoint, file by file in the order of their data. Raises what `parse_header` does."""
    found: list[StoredTensor] = []
    for number, file in enumerate(files):
        found.extend(_of_safetensors(file, number, limits))
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
