"""How strong an attack has to be before it is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dife_scanner.lab.bench.results.selection import Share

BANDS = (0.25, 0.5, 0.75, 0.9, 1.0)
"""Upper ends of bands of native success; the last one holds what counts as a working implant."""


@dataclass(frozen=True)
class Strength:
    """One attack, as it is or weakened afterwards: what it does natively, and what blind search reported."""

    family: str
    native: float
    score: float
    flagged: bool


def by_strength(points: Sequence[Strength]) -> tuple[tuple[str, Share], ...]:
    """How many of each band of native success were flagged, the weakest band first."""
    lines = []
    low = 0.0
    for high in BANDS:
        last = high == BANDS[-1]
        mine = [one for one in points if low <= one.native and (one.native < high or last)]
        flagged = sum(one.flagged for one in mine)
        lines.append((f"{low:.2f} to {high:.2f}", Share(flagged, len(mine))))
        low = high
    return tuple(lines)
