"""Blind search for triggers, one file per detector; `DETECTORS` is what an audit runs, in this order."""

from dife_scanner.triggers.discovery.interface import Cancelled, Candidate, Detector, Found, Load, Task
from dife_scanner.triggers.discovery.pictures import FAINT, PATCH, WARP_AND_COLOUR
from dife_scanner.triggers.discovery.texts import TEXTS

DETECTORS: tuple[Detector, ...] = (TEXTS, PATCH, FAINT, WARP_AND_COLOUR)

__all__ = ["DETECTORS", "Cancelled", "Candidate", "Detector", "Found", "Load", "Task", "names"]


def names() -> tuple[str, ...]:
    """Every detector's name, in the order they run."""
    return tuple(detector.name for detector in DETECTORS)
