"""The colours of figures, on white and on dark ground, as `#rrggbb`."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.core.statistics import EXPOSED_CUT, NEGATIVE_CUT
from dife_scanner.records import EntryType

_BLACK, _WHITE = "#000000", "#ffffff"
"""Pure, because then one of the two is readable on any ground whatever: the worse case is 4.58."""
_FULL_DEMOTION = 0.5
"""Below the cut, where the colour of demotion is in full: no demotion goes much further."""


@dataclass(frozen=True)
class Scheme:
    """The colours of one ground."""

    exposed_low: str
    """Of a difference at the cut."""
    exposed_high: str
    """Of a difference of 1."""
    demoted_low: str
    demoted_high: str
    neutral: str
    """Of a difference near nothing or not told apart from it, and of the empty part of a bar."""
    clean: str
    """Nothing of the suspect: both branches the reference's, or neither prompt nor trigger."""
    image: str
    """What the suspect's image branch does alone, or the image trigger."""
    text: str
    """What the suspect's text branch does alone, or the learned prompt."""
    whole: str
    """The whole suspect."""
    drift: str
    """The change that is there without the trigger."""


LIGHT = Scheme(
    exposed_low="#fbd9c6",
    exposed_high="#b3261e",
    demoted_low="#dbe7f5",
    demoted_high="#7fa8d6",
    neutral="#eeece7",
    clean="#8a94a3",
    image="#3b7dd8",
    text="#8456c0",
    whole="#b3261e",
    drift="#3b7dd8",
)
DARK = Scheme(
    exposed_low="#5c3327",
    exposed_high="#ef7462",
    demoted_low="#24384f",
    demoted_high="#3f6c9e",
    neutral="#3a3b3e",
    clean="#8d97a6",
    image="#6aa5ee",
    text="#b794f0",
    whole="#ef7462",
    drift="#6aa5ee",
)


def heat(entry: EntryType, delta: float, scheme: Scheme) -> str:
    """Ground of a number: warm with promotion, blue with demotion, neutral in between and where n is too small."""
    if entry is EntryType.EXPOSED:
        share = (delta - EXPOSED_CUT) / (1 - EXPOSED_CUT)
        return mixed(scheme.exposed_low, scheme.exposed_high, share)
    if entry is EntryType.NEGATIVE:
        share = (NEGATIVE_CUT - delta) / _FULL_DEMOTION
        return mixed(scheme.demoted_low, scheme.demoted_high, share)
    return scheme.neutral


def heat_of(delta: float, scheme: Scheme) -> str:
    """Ground of a difference in -1..1 that is known exactly: what a legend of the colours shows."""
    entry = EntryType.WEAK
    if delta >= EXPOSED_CUT:
        entry = EntryType.EXPOSED
    elif delta <= NEGATIVE_CUT:
        entry = EntryType.NEGATIVE
    return heat(entry, delta, scheme)


def mixed(low: str, high: str, share: float) -> str:
    """The colour between two; a `share` of 0 is `low`, of 1 `high`, and what is beyond counts as the nearer one."""
    share = min(max(share, 0.0), 1.0)
    parts = []
    for a, b in zip(_rgb(low), _rgb(high), strict=True):
        parts.append(f"{round(a + (b - a) * share):02x}")
    return "#" + "".join(parts)


def ink_on(ground: str) -> str:
    """Black or white, whichever reads better there."""
    return max((_BLACK, _WHITE), key=lambda ink: contrast(ink, ground))


def contrast(first: str, second: str) -> float:
    """WCAG contrast ratio, 1 to 21."""
    darker, lighter = sorted([_luminance(first), _luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    """Relative luminance of WCAG 2.2, 0 to 1."""
    red, green, blue = (_linear(part / 255) for part in _rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    """Light of one part of an sRGB colour, both 0 to 1."""
    if value <= 0.04045:
        return value / 12.92
    return float(((value + 0.055) / 1.055) ** 2.4)
