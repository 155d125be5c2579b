"""Which side of the split a benign training run stands on."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """Side of the split, by training run."""

    FIT = "fit"
    CALIBRATE = "calibrate"
    TEST = "test"


_PARTS = (
    Part.TEST,
    Part.CALIBRATE,
    Part.FIT,
    Part.CALIBRATE,
    Part.TEST,
    Part.CALIBRATE,
    Part.TEST,
)
"""One to fit, three to calibrate, three to test, of every seven runs of a benign kind."""


def part_of(number: int, *, only_test: bool = False) -> Part:
    """The side of a run by its number; kinds that are only in test are all there."""
    return Part.TEST if only_test else _PARTS[number % len(_PARTS)]
