"""Names and shapes of tensors, and those of the parts that every network is built of.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

Shapes = dict[str, tuple[int, ...]]


def affine(name: str, width: int) -> Shapes:
    """A norm with a gain and a bias."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear(name: str, out: int, into: int) -> Shapes:
    """A layer with a bias."""
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
