"""What the safe reader finds in a torch file: a table of tensors, as a safetensors header is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dife_scanner.models.header import DTYPE_BITS

Plain = int | float | str | bool | None


@dataclass(frozen=True)
class StoredTensor:
    """One tensor: a strided view into the bytes `start` to `end` of the file, which hold its whole storage."""

    path: tuple[str, ...]
    """Keys from the outermost container inwards; several tensors may share one storage."""
    dtype: str
    """As safetensors calls it: F32, F16, BF16, I64 ..."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements, none negative; checked to stay inside the storage."""
    offset: int
    """Of the first element, in elements from `start`."""
    start: int
    end: int

    @property
    def name(self) -> str:
        """The path with dots, as `named_parameters` writes it."""
        return ".".join(self.path)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element."""
        return DTYPE_BITS[self.dtype] // 8

    def as_json(self) -> list[Any]:
        return [
            list(self.path),
            self.dtype,
            list(self.shape),
            list(self.strides),
            self.offset,
            self.start,
            self.end,
        ]

    @classmethod
    def from_json(cls, body: list[Any]) -> StoredTensor:
        path, dtype, shape, strides, offset, start, end = body
        return cls(tuple(path), dtype, tuple(shape), tuple(strides), offset, start, end)


@dataclass(frozen=True)
class Table:
    """Everything that a torch file holds, read without running any of it."""

    kind: str
    """`zip`, `torchscript` or `legacy`."""
    tensors: tuple[StoredTensor, ...]
    """In the order of the file, outer ones first."""
    values: tuple[tuple[tuple[str, ...], Plain], ...]
    """Path and value of the first plain numbers and short strings. Written by a stranger: escape before showing."""
    opaque: tuple[str, ...]
    """Names of the classes whose objects were kept as descriptions, sorted."""
    file_bytes: int

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "tensors": [tensor.as_json() for tensor in self.tensors],
            "values": [[list(path), value] for path, value in self.values],
            "opaque": list(self.opaque),
            "file_bytes": self.file_bytes,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Table:
        tensors = tuple(StoredTensor.from_json(tensor) for tensor in body["tensors"])
        values = tuple((tuple(path), value) for path, value in body["values"])
        return cls(body["kind"], tensors, values, tuple(body["opaque"]), body["file_bytes"])
