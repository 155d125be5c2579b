"""A picture-sized pattern mixed into the whole picture (Chen et al. 2017)."""

from __future__ import annotations

from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.kinds.base import Kind, PatternFields, Pixels
from dife_scanner.triggers.patterns import mix, pattern


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """The share `alpha` of the pattern, stretched over the whole picture."""
    side = pixels.shape[1]
    return mix(pixels, pattern(trigger, side), trigger.alpha)


KIND = Kind(TriggerKind.BLEND.value, PatternFields, stamp=stamp)
