"""Blind search for triggers, one file per detector; `names` says which of them an audit runs at a budget."""

from dife_scanner.discovery.interface import (
    Cancelled,
    Candidate,
    Detector,
    Load,
    SearchResult,
    Task,
)
from dife_scanner.discovery.joint import JOINT
from dife_scanner.discovery.learned import LEARNED
from dife_scanner.discovery.pictures import FAINT, PATCH, WARP_AND_COLOUR
from dife_scanner.discovery.texts import TEXTS

DETECTORS: tuple[Detector, ...] = (
    TEXTS,
    PATCH,
    FAINT,
    WARP_AND_COLOUR,
    JOINT,
    LEARNED,
)
"""All there are, in the order they run."""
_AT_EVERY_BUDGET = (TEXTS, PATCH, FAINT, WARP_AND_COLOUR)
_BY_BUDGET: dict[str, tuple[Detector, ...]] = {
    "quick": _AT_EVERY_BUDGET,
    "default": (*_AT_EVERY_BUDGET, JOINT),
    "deep": (*_AT_EVERY_BUDGET, JOINT),
}

__all__ = [
    "DETECTORS",
    "LEARNED",
    "Cancelled",
    "Candidate",
    "Detector",
    "Load",
    "SearchResult",
    "Task",
    "names",
]


def names(budget: str) -> tuple[str, ...]:
    """The detectors that every checkpoint is searched with at this budget, by name.

    `LEARNED` is not among them: an audit adds it, at every budget, where a prompt learner came with the checkpoint.
    """
    return tuple(detector.name for detector in _BY_BUDGET[budget])
