"""How alike the weights of two checkpoints of one architecture are, read where they lie. No tensor library is loaded.

For files whose headers `checks.inspect` has passed: of them nothing here is news.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import NotFound
from dife_scanner.models.header import (
    LENGTH_BYTES,
    Header,
    ParseLimits,
    TensorEntry,
    parse_header,
)
from dife_scanner.models.layouts.open_clip import TEXT_PREFIX, unwrapped
from dife_scanner.models.tensors import INTERPOLATED

UNRELATED = 0.25
"""Correlation of a tower's weights with a reference's below which they did not come from it. Two models that were
initialised apart stay below .01; a fine-tune keeps .99, a copy with nine tenths of its weights pruned .63, and one
with noise as large as the weights .7. What stands in another order (permuted features) is below it as well: then
`audit.relate` checks whether the two embed alike."""
BLOCKS = 16
"""Runs of values that are read of a larger tensor, spread evenly …"""
BLOCK = 4096
"""… and values in each: seconds for the largest models."""
FEWEST = 256
"""Values below which a tensor says nothing; gains and biases, which begin alike everywhere, have one axis and are left
out too."""
HUGE = 1e100
"""What is beyond it squares to infinity, and stands in no model."""
DTYPES = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
"""Element types that are compared, as numpy reads them; a BF16 is read as the bits it is."""
_IMAGE = "visual."

Values = NDArray[np.float64]
Pairs = dict[str, tuple[Values, Values]]
"""Values of both files by the name of the matrix, taken at the same places."""


@dataclass(frozen=True)
class Likeness:
    """One checkpoint compared with another. `None` where it cannot be: values that are constant or not finite."""

    image: float | None = None
    """Median over the image tower's matrices of the correlation between their values, -1..1 …"""
    text: float | None = None
    """… and over the text tower's."""
    distance: float | None = None
    """Root mean square over all matrices of |difference| / |other|; 0 for the same values."""

    @property
    def unrelated(self) -> tuple[bool, bool]:
        """Whether the (image, text) tower did not come from the other's."""
        return _below(self.image), _below(self.text)

    @property
    def is_strange(self) -> bool:
        """Whether something was compared and no tower of it came from the other's; a tower alone is compared alone."""
        told = [one for one in (self.image, self.text) if one is not None]
        return bool(told) and all(_below(one) for one in told)


UNTOLD = Likeness()
"""Nothing was measured, or there was nothing to tell."""


def _below(correlation: float | None) -> bool:
    return correlation is not None and correlation < UNRELATED


def compare(weights: Path, other: Path, limits: ParseLimits) -> Likeness:
    """Compare `weights` with `other`, two safetensors files.

    Raises `NotFound` where one cannot be read, and what `parse_header` raises.
    """
    ours = _File(weights, limits)
    theirs = _File(other, limits)
    pairs: Pairs = {}
    for name in _shared_names(ours, theirs):
        pairs[name] = (ours.sample(name), theirs.sample(name))
    return of_pairs(pairs)


class _File:
    """The matrices of one safetensors file by their names in open_clip, however the text tower is called there."""

    def __init__(self, path: Path, limits: ParseLimits) -> None:
        try:
            header, self._bytes = _opened(path, limits)
        except OSError as error:
            raise NotFound(
                f"{path} cannot be read: {error.strerror}", "put the file back"
            ) from error
        self.matrices = _matrices(header)

    def sample(self, name: str) -> Values:
        """Some values of a matrix, the same places for the same shape."""
        entry = self.matrices[name]
        stored = self._bytes[entry.start : entry.end].view(DTYPES[entry.dtype])
        return _as_numbers(_spread_runs(stored), entry.dtype)


def _opened(path: Path, limits: ParseLimits) -> tuple[Header, NDArray[np.uint8]]:
    """The header of a file, and its data where it lies."""
    with path.open("rb") as stream:
        header = parse_header(stream, path.name, limits)
    data_starts = LENGTH_BYTES + header.header_bytes
    return header, np.memmap(path, np.uint8, "r", data_starts)


def decoded(raw: bytes, dtype: str) -> Values:
    """Stored values, whose type is one of `DTYPES`, as numbers."""
    return _as_numbers(np.frombuffer(raw, DTYPES[dtype]), dtype)


def _as_numbers(stored: NDArray[Any], dtype: str) -> Values:
    if dtype == "BF16":
        stored = _from_bfloat16(stored)
    return stored.astype(np.float64)


def _from_bfloat16(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Such a value is the upper half of a float32's bits."""
    return (stored.astype(np.uint32) << 16).view(np.float32)


def _spread_runs(values: NDArray[Any]) -> NDArray[Any]:
    """All values, or `BLOCKS` runs of `BLOCK` of them from the first to the last."""
    if len(values) <= BLOCKS * BLOCK:
        return values
    starts = np.linspace(0, len(values) - BLOCK, BLOCKS).astype(int)
    return np.concatenate([values[start : start + BLOCK] for start in starts])


def _matrices(header: Header) -> dict[str, TensorEntry]:
    found: dict[str, TensorEntry] = {}
    names = unwrapped(entry.name for entry in header.tensors)
    for entry in header.tensors:
        name = names[entry.name].removeprefix(TEXT_PREFIX)
        # position embeddings would set references apart whose number of positions alone is another
        if _is_compared(entry) and name not in INTERPOLATED:
            found[name] = entry
    return found


def _is_compared(entry: TensorEntry) -> bool:
    is_matrix = len(entry.shape) > 1 and math.prod(entry.shape) >= FEWEST
    return is_matrix and entry.dtype in DTYPES


def _shared_names(ours: _File, theirs: _File) -> list[str]:
    """Names of the matrices that both files hold in one shape, sorted."""
    shared = []
    for name in sorted(ours.matrices):
        other = theirs.matrices.get(name)
        if other is not None and other.shape == ours.matrices[name].shape:
            shared.append(name)
    return shared


def _tell(ours: Values, theirs: Values) -> bool:
    return _is_telling(ours) and _is_telling(theirs)


def _is_telling(values: Values) -> bool:
    """Whether the values are finite, not all one, and small enough to be squared."""
    finite = np.isfinite(values).all()
    return bool(finite and np.abs(values).max() < HUGE and np.ptp(values) > 0.0)


def of_pairs(pairs: Pairs) -> Likeness:
    """How alike two checkpoints are, by values from the same places of both; those that tell nothing are left out."""
    pairs = {name: (ours, theirs) for name, (ours, theirs) in pairs.items() if _tell(ours, theirs)}
    if not pairs:
        return UNTOLD
    distances: list[float] = []
    image: list[float] = []
    text: list[float] = []
    for name, (ours, theirs) in pairs.items():
        distances.append(_squared_distance(ours, theirs))
        tower = image if name.startswith(_IMAGE) else text
        tower.append(_correlation(ours, theirs))
    distance = float(np.sqrt(np.mean(distances)))
    return Likeness(image=_median(image), text=_median(text), distance=distance)


def _squared_distance(ours: Values, theirs: Values) -> float:
    """|difference|² / |theirs|²."""
    difference = np.square(ours - theirs).sum()
    return float(difference / np.square(theirs).sum())


def _correlation(ours: Values, theirs: Values) -> float:
    return float(np.corrcoef(ours, theirs)[0, 1])


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
