"""How alike the weights of two checkpoints of one architecture are, read where they lie. No tensor library is loaded.

For files whose headers `checks.inspect` has passed: of them nothing here is news.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import NotFound
from dife_scanner.models.header import LENGTH_BYTES, Header, ParseLimits, TensorEntry, parse_header

UNRELATED = 0.25
"""Correlation of a tower's weights with a reference's below which they did not come from it. Two models that were
initialised apart stay below .01; a fine-tune keeps .99, a copy with nine tenths of its weights pruned .63, and one
with noise as large as the weights .7. What stands in another order (permuted features) is below it as well: then
`audit.relate` asks whether the two answer alike."""
BLOCKS, BLOCK = 16, 4096
"""Of a larger tensor so many runs of so many values are read, spread evenly: seconds for the largest models."""
FEWEST = 256
"""Values below which a tensor says nothing; gains and biases, which begin alike everywhere, have one axis and are left
out too."""
HUGE = 1e100
"""What is beyond it squares to infinity, and stands in no model."""
_DTYPES = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
_IMAGE, _TEXT = "visual.", "text."

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """One checkpoint beside another. `None` where there is nothing to tell: values that are constant or not finite."""

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


UNTOLD = Likeness()
"""Nothing was measured, or there was nothing to tell."""


def _below(correlation: float | None) -> bool:
    return correlation is not None and correlation < UNRELATED


def compare(weights: Path, other: Path, limits: ParseLimits) -> Likeness:
    """`weights` beside `other`, two safetensors files.

    Raises `NotFound` where one cannot be read, and what `parse_header` raises.
    """
    ours, theirs = _File(weights, limits), _File(other, limits)
    shared = sorted(name for name, entry in ours.matrices.items() if _shape(theirs, name) == entry.shape)
    pairs = {name: (ours.sample(name), theirs.sample(name)) for name in shared}
    return _likeness({name: (a, b) for name, (a, b) in pairs.items() if _told(a) and _told(b)})


class _File:
    """The matrices of one safetensors file by their names in open_clip, however the text tower is called there."""

    def __init__(self, path: Path, limits: ParseLimits) -> None:
        try:
            with path.open("rb") as stream:
                header = parse_header(stream, path.name, limits)
            self._bytes = np.memmap(path, np.uint8, "r", LENGTH_BYTES + header.header_bytes)
        except OSError as error:
            raise NotFound(f"{path} cannot be read: {error.strerror}", "put the file back") from error
        self.matrices = _matrices(header)

    def sample(self, name: str) -> Values:
        """Some values of a matrix, the same places for the same shape."""
        entry = self.matrices[name]
        stored = self._bytes[entry.start : entry.end].view(_DTYPES[entry.dtype])
        if len(stored) > BLOCKS * BLOCK:
            starts = np.linspace(0, len(stored) - BLOCK, BLOCKS).astype(int)
            stored = np.concatenate([stored[start : start + BLOCK] for start in starts])
        if entry.dtype == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float64)


def _matrices(header: Header) -> dict[str, TensorEntry]:
    wide = (e for e in header.tensors if e.dtype in _DTYPES and len(e.shape) > 1 and np.prod(e.shape) >= FEWEST)
    return {entry.name.removeprefix(_TEXT): entry for entry in wide}


def _shape(file: _File, name: str) -> tuple[int, ...] | None:
    return file.matrices[name].shape if name in file.matrices else None


def _told(values: Values) -> bool:
    return bool(np.isfinite(values).all() and np.abs(values).max() < HUGE and np.ptp(values) > 0.0)


def _likeness(pairs: Mapping[str, tuple[Values, Values]]) -> Likeness:
    if not pairs:
        return UNTOLD
    apart = [float(np.square(ours - theirs).sum() / np.square(theirs).sum()) for ours, theirs in pairs.values()]
    image = [_correlation(*pair) for name, pair in pairs.items() if name.startswith(_IMAGE)]
    text = [_correlation(*pair) for name, pair in pairs.items() if not name.startswith(_IMAGE)]
    return Likeness(_median(image), _median(text), float(np.sqrt(np.mean(apart))))


def _correlation(ours: Values, theirs: Values) -> float:
    return float(np.corrcoef(ours, theirs)[0, 1])


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
