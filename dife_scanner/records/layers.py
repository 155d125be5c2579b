"""How far the weights of each layer are from the base's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerChange:
    """One layer of the suspect beside the same layer of its base."""

    tower: str
    """`image` or `text`."""
    layer: str
    """What open_clip calls it, less the tower."""
    change: float | None
    """Length of the difference of all its weights, in lengths of the base's: 0 for the same values. `None` where that
    is no number: weights that are not finite, or all zero in the base."""
