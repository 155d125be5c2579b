"""How far each layer of a loaded checkpoint is from its base's, weights beside weights; nothing is read for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from dife_scanner.models.tensors import is_of_image
from dife_scanner.models.weights import IMAGE_PREFIX, SCALE
from dife_scanner.records import LayerChange

AT_ONCE = 1 << 20
"""Values whose squares are summed in float32 before the sum goes on in float64."""
DIGITS = 4
"""Significant digits that are kept: less than the order of a sum moves."""
_TRUNK = "trunk"
_AT_THE_END = (
    "proj",
    "text_projection",
    "ln_post",
    "ln_final",
    "attnpool",
    "trunk.head",
    "trunk.norm",
)
"""What a tower computes after its numbered layers, by the beginning of its name."""

Weights = Mapping[str, torch.Tensor]


@dataclass
class _Squares:
    """Sums over the weights of a layer."""

    difference: float = 0.0
    base: float = 0.0

    @property
    def change(self) -> float | None:
        """Relative; `None` where it is no number."""
        if not math.isfinite(self.difference) or not 0 < self.base < math.inf:
            return None
        return float(f"{math.sqrt(self.difference / self.base):.{DIGITS}g}")


def layer_changes(suspect: Weights, base: Weights) -> tuple[LayerChange, ...]:
    """Every layer that both have in one shape: the image tower's, then the text tower's, from the input to the end.

    Both are state dicts of open_clip's `CLIP`. The scale, step counters and what only one of the two has are left out.
    """
    sums: dict[tuple[str, str], _Squares] = {}
    for name, ours in suspect.items():
        theirs = base.get(name)
        if name == SCALE or theirs is None or theirs.shape != ours.shape:
            continue
        if not ours.is_floating_point():
            continue
        squares = sums.setdefault(_layer(name), _Squares())
        for one, other in _portions(ours, theirs):
            moved = one - other
            squares.difference += float(torch.dot(moved, moved))
            squares.base += float(torch.dot(other, other))
    found = []
    for tower, layer in sorted(sums, key=_place):
        found.append(LayerChange(tower, layer, sums[tower, layer].change))
    return tuple(found)


def _layer(name: str) -> tuple[str, str]:
    """Tower and layer of a tensor: all before the first number in its name and that, else its first part."""
    tower = "image" if is_of_image(name) else "text"
    parts = name.removeprefix(IMAGE_PREFIX).split(".")
    for place, part in enumerate(parts):
        if part.isdecimal():
            return tower, ".".join(parts[: place + 1])
    return tower, ".".join(parts[: 2 if parts[0] == _TRUNK else 1])


def _place(key: tuple[str, str]) -> tuple[str, int]:
    """Where a layer stands; those of one place keep the order of the model."""
    tower, layer = key
    if layer.rpartition(".")[2].isdecimal():
        return tower, 1
    return tower, 2 if layer.startswith(_AT_THE_END) else 0


def _portions(ours: torch.Tensor, theirs: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Both in float32 where they lie, some values at a time."""
    flat = (ours.detach().float().reshape(-1), theirs.detach().float().reshape(-1))
    for begun in range(0, len(flat[0]), AT_ONCE):
        yield tuple(one[begun : begun + AT_ONCE] for one in flat)
