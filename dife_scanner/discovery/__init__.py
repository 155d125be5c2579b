"""Blind search for triggers, one file per detector; `names` says which of them an audit runs at a budget."""

from dife_scanner.discovery.interface import Cancelled, Candidate, Detector, Found, Load, Task
from dife_scanner.discovery.joint import JOINT
from dife_scanner.discovery.learned import LEARNED
from dife_scanner.discovery.pictures import FAINT, PATCH, WARP_AND_COLOUR
from dife_scanner.discovery.texts import TEXTS
from dife_scanner.records import Budget

DETECTORS: tuple[Detector, ...] = (TEXTS, PATCH, FAINT, WARP_AND_COLOUR, JOINT, LEARNED)
"""All there are, in the order they run."""
_ALWAYS = (TEXTS, PATCH, FAINT, WARP_AND_COLOUR)
_BY_BUDGET: dict[str, tuple[Detector, ...]] = {
    Budget.QUICK: _ALWAYS,
    Budget.DEFAULT: (*_ALWAYS, JOINT),
    Budget.DEEP: (*_ALWAYS, JOINT),
}

__all__ = ["DETECTORS", "LEARNED", "Cancelled", "Candidate", "Detector", "Found", "Load", "Task", "names"]


def names(budget: Budget) -> tuple[str, ...]:
    """The detectors that every checkpoint is searched with at this budget, by name.

    `LEARNED` is not among them: an audit adds it, at every budget, where a prompt learner came with the checkpoint.
    """
    return tuple(detector.name for detector in _BY_BUDGET[budget])
