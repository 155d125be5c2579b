"""The tensors of a table as arrays, read from the file's bytes with numpy alone."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dife_scanner.models.header import ParseLimits
from dife_scanner.models.torch_files import StoredTensor, Table, read

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def parse(raw: bytes, **limits: int) -> Table:
    return read(io.BytesIO(raw), "x.pt", ParseLimits(**limits))


def values(tensor: StoredTensor, raw: bytes) -> np.ndarray:
    """The elements as whole numbers with the same bits."""
    storage = np.frombuffer(raw[tensor.start : tensor.end], _UNSIGNED[tensor.item_bytes])
    strides = tuple(step * tensor.item_bytes for step in tensor.strides)
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, storage.dtype)
    return as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)


def arrays(tensors: Iterable[StoredTensor], raw: bytes) -> dict[str, np.ndarray]:
    return {tensor.name: values(tensor, raw) for tensor in tensors}
