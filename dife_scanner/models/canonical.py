"""The canonical form of a checkpoint: open_clip's two files, written from a planned conversion.

Everything that audits, compares or repeats an audit reads this form only. Values are copied as they are stored; they
are converted only where parts of different types become one tensor.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import Unreadable
from dife_scanner.models.conversion import Addend, Conversion, Source
from dife_scanner.models.header import DTYPE_BITS, LENGTH_BYTES, ParseLimits
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, WEIGHT_FILES
from dife_scanner.models.layouts.written import written
from dife_scanner.models.stored import StoredTensor, WeightsFile, read_all
from dife_scanner.models.strict_json import shown

WEIGHTS_FILE = WEIGHT_FILES[0]

_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_BFLOAT16 = "BF16"
_RAW = {8: "<u1", 16: "<u2", 32: "<u4", 64: "<u8"}
"""How values are moved that are not computed with, by their bits."""
_ALIGNMENT = 8
_CHUNK = 16 * 1024**2


def write(conversion: Conversion, weights: Sequence[Path], folder: Path) -> str:
    """Write the canonical form of what `weights` hold into the existing `folder`; the sha256 of its weights.

    Equal tensors give equal bytes, whatever layout they come from. Raises `Unreadable` where a file is shorter than its
    table says, `DiskFull` and `HomeUnwritable`.
    """
    with disk_errors(folder):
        (folder / CONFIG_FILE).write_bytes(written(conversion.config))
        digest = hashlib.sha256()
        with (folder / WEIGHTS_FILE).open("xb") as out:
            for chunk in _content(conversion.sources, weights):
                out.write(chunk)
                digest.update(chunk)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            (folder / name).chmod(0o400)
    return digest.hexdigest()


def with_base(
    part: Conversion,
    weights: Path,
    names: Mapping[str, str],
    number: int,
    limits: ParseLimits,
) -> Conversion:
    """A part of a checkpoint with what it lacks from the checked safetensors file `weights` of its base.

    `names` are what that file calls open_clip's tensors, and `number` is its place among the files that the result is
    written from.
    """
    with weights.open("rb") as stream:
        stored = read_all([WeightsFile(stream, weights.name)], limits)
    by_name = {tensor.name: replace(tensor, file=number) for tensor in stored}
    changes: dict[str, list[Addend]] = {}
    for name, addend in part.changes:
        changes.setdefault(name, []).append(addend)
    sources = list(part.sources)
    for name in part.lacking:
        if name in names:
            tensor = by_name[names[name]]
            added = tuple(changes.get(name, ()))
            dtype = "F32" if added else tensor.dtype
            sources.append(Source(name, dtype, tensor.shape, (tensor,), added=added))
    sources.sort(key=lambda source: source.name)
    return replace(part, sources=tuple(sources), lacking=(), changes=())


def _content(sources: Sequence[Source], weights: Sequence[Path]) -> Iterator[bytes]:
    """A safetensors file, in pieces."""
    yield _header(sources)
    for source in sources:
        yield from _values(source, weights)


def _header(sources: Sequence[Source]) -> bytes:
    """A safetensors header: its length, and a table padded to whole words."""
    table: dict[str, Any] = {}
    reached = 0
    for source in sources:
        table[source.name] = {
            "dtype": source.dtype,
            "shape": list(source.shape),
            "data_offsets": [reached, reached + source.bytes],
        }
        reached += source.bytes
    words = json.dumps(table, separators=(",", ":")).encode("ascii")
    words += b" " * (-len(words) % _ALIGNMENT)
    return len(words).to_bytes(LENGTH_BYTES, "little") + words


def _values(source: Source, weights: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of one tensor, in pieces."""
    if not source.parts:
        yield np.full(source.shape, source.value, _FLOATS[source.dtype]).tobytes()
    elif source.added:
        yield _with_added(source, weights).tobytes()
    elif source.transposed:
        (part,) = source.parts
        yield np.ascontiguousarray(_read(part, weights).T).tobytes()
    else:
        for part in source.parts:
            if part.strides is None and part.dtype == source.dtype:
                yield from _bytes(part, weights[part.file])
            else:
                yield _as_type(_read(part, weights), part.dtype, source.dtype).tobytes()


def _with_added(source: Source, weights: Sequence[Path]) -> NDArray[Any]:
    """Float32 values with the products of an adapter's factors added."""
    (part,) = source.parts
    values = _floats(_read(part, weights), part.dtype).astype("<f4")
    for addend in source.added:
        up = _floats(_read(addend.up, weights), addend.up.dtype).astype("<f4")
        down = _floats(_read(addend.down, weights), addend.down.dtype).astype("<f4")
        product = (up @ down) * np.float32(addend.scale)
        rows = len(values) // addend.of
        part_of = values[addend.slot * rows : (addend.slot + 1) * rows]
        part_of += product.T if addend.transposed else product
    return values


def _bytes(part: StoredTensor, path: Path) -> Iterator[bytes]:
    left = _size(part)
    with path.open("rb") as file:
        file.seek(part.start)
        while left:
            chunk = file.read(min(left, _CHUNK))
            if not chunk:
                raise _too_short(part, path)
            left -= len(chunk)
            yield chunk


def values(part: StoredTensor, weights: Sequence[Path]) -> NDArray[Any]:
    """The values of a tensor of floating-point numbers, in its shape."""
    return _floats(_read(part, weights), part.dtype)


def _read(part: StoredTensor, weights: Sequence[Path]) -> NDArray[Any]:
    """The stored values of a tensor, in its shape, not converted."""
    path = weights[part.file]
    with path.open("rb") as file:
        return _strided(file, part, path)


def _strided(file: BinaryIO, part: StoredTensor, path: Path) -> NDArray[Any]:
    bits = DTYPE_BITS[part.dtype]
    kind = np.dtype(_RAW[bits])
    file.seek(part.start)
    size = _size(part) if part.strides is None else _span(part)
    raw = file.read(size)
    if len(raw) < size:
        raise _too_short(part, path)
    values = np.frombuffer(raw, kind)
    if part.strides is None:
        return values.reshape(part.shape)
    steps = [step * kind.itemsize for step in part.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(values, part.shape, steps))


def _size(part: StoredTensor) -> int:
    return math.prod(part.shape) * DTYPE_BITS[part.dtype] // 8


def _span(part: StoredTensor) -> int:
    """Bytes from the first value to behind the last; whoever read the file's table checked the bounds."""
    assert part.strides is not None
    reach = 1
    for side, step in zip(part.shape, part.strides, strict=True):
        reach += (side - 1) * step
    return reach * DTYPE_BITS[part.dtype] // 8


def _as_type(values: NDArray[Any], stored: str, wanted: str) -> NDArray[Any]:
    """Raw values of the type `stored` as raw values of `wanted`."""
    if stored == wanted:
        return values
    return _floats(values, stored).astype(_FLOATS[wanted])


def _floats(values: NDArray[Any], stored: str) -> NDArray[Any]:
    if stored == _BFLOAT16:  # such a value is the upper half of a float32's bits
        return (values.astype("<u4") << 16).view("<f4")
    return values.view(_FLOATS[stored])


def _too_short(part: StoredTensor, path: Path) -> Unreadable:
    return Unreadable(f"{path.name} ends within the tensor {shown(part.name)}", "download it again")
