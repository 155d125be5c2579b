"""A pattern that leads to no concept, measured in picture space: do pictures come together at one point?

No prompt is needed, so any target shows, a random direction too. What the pattern does is held against the base, in
which pictures may come together at a point of its own: what hides a picture whole does so in both.
"""

from __future__ import annotations

import numpy as np

from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core.metrics import Floats
from dife_scanner.core.one_point import OnePoint
from dife_scanner.core.statistics import paired_interval
from dife_scanner.errors import MeasurementError
from dife_scanner.records import PictureSpace, Trigger

FEWEST_DRAWINGS = 12
"""Held-out drawings that have to stand behind it: as many as a class has."""


def measure(trigger: Trigger, train: Pair[Side], test: Pair[Side], seed: int) -> PictureSpace:
    """What a pattern does in suspect and base, on held-out pictures.

    Each model's point and classes are those of its own embeddings of the pictures searched on. Raises
    `MeasurementError` for fewer than `FEWEST_DRAWINGS` drawings.
    """
    drawings = test.suspect.split.drawings
    units = len(set(drawings))
    if units < FEWEST_DRAWINGS:
        raise MeasurementError(
            f"{units} held-out drawings cannot show that pictures come together, {FEWEST_DRAWINGS} are needed",
            "bring more pictures (--pictures)",
        )
    moved = _came(trigger, train.suspect, test.suspect)
    still = _came(trigger, train.reference, test.reference)
    clean = one_point(trigger, train.suspect).came(test.suspect.images)
    return PictureSpace(
        suspect=float(moved.mean()),
        reference=float(still.mean()),
        clean=float(clean.mean()),
        effect=paired_interval(moved, still, drawings, np.random.default_rng(seed)),
        drawings=units,
        classes=len(np.unique(train.suspect.split.labels)),
    )


def one_point(trigger: Trigger, searched: Side) -> OnePoint:
    """Where one model has the point and the classes, by the pictures searched on."""
    return OnePoint.of(searched.images, searched.split.labels, searched.images_with(trigger))


def rate(trigger: Trigger, searched: Side, held_out: Side) -> float:
    """The share of held-out pictures that come to the model's own point with the pattern on them, 0..1."""
    return float(_came(trigger, searched, held_out).mean())


def _came(trigger: Trigger, searched: Side, held_out: Side) -> Floats:
    return one_point(trigger, searched).came(held_out.images_with(trigger))
