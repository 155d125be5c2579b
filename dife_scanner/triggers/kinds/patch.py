"""A square somewhere on the picture, as most image backdoors use; optimised patches come from a file."""

from __future__ import annotations

from pydantic import model_validator

from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.kinds.base import Kind, PatternFields, Pixels, Share
from dife_scanner.triggers.patterns import mix, pattern


class PatchFields(PatternFields):
    size: Share = 0.0
    x: Share = 0.0
    y: Share = 0.0

    @model_validator(mode="after")
    def _has_a_size(self) -> PatchFields:
        if self.size <= 0:
            raise ValueError("a patch needs `size`, its side as a fraction of the image side")
        return self


def patch_box(trigger: Trigger, side: int) -> tuple[int, int, int]:
    """(left, top, width) in pixels of a patch on an image of this side; at least one pixel, inside the image."""
    width = max(1, min(side, round(trigger.size * side)))
    left = _inside(trigger.x, side, width)
    top = _inside(trigger.y, side, width)
    return left, top, width


def _inside(share: float, side: int, width: int) -> int:
    """The pixel at this share of the side, moved back so far that the patch ends inside the image."""
    return min(side - width, round(share * side))


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """The share `alpha` of the pattern over the patch's place, the rest of the picture as it is."""
    left, top, width = patch_box(trigger, pixels.shape[1])
    out = pixels.copy()
    rows = slice(top, top + width)
    columns = slice(left, left + width)
    covered = out[:, rows, columns]
    covered[:] = mix(covered, pattern(trigger, width), trigger.alpha)
    return out


KIND = Kind(TriggerKind.PATCH.value, PatchFields, stamp=stamp)
