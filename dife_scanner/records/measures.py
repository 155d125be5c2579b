"""A measured proportion or mean, its interval, and a signed change of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """A two-sided 95 % interval and how it was made."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Measure:
    """One proportion or mean with its sample and the number of distinct drawings behind it."""

    value: float
    interval: Interval
    n: int
    drawings: int
    unit: str = "drawing"
    """What `drawings` counts: `prompt` where single prompts are the independent units and pictures are not."""


@dataclass(frozen=True)
class Change:
    """A signed difference of two means over the same cases, with its paired 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Recognition:
    """How much of the labelled pictures a checkpoint recognises without any trigger."""

    classes: dict[str, float]
    """Share of the held-out pictures of each class that are taken for it, 0..1, in the order of the classes."""
    styles: dict[str, float] = field(default_factory=dict)
    """The same by style of drawing; empty where the pictures' styles are not known."""
