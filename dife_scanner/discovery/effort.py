"""How much of a search for texts each budget buys."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records import Budget


@dataclass(frozen=True)
class Effort:
    """What a budget buys, in texts."""

    scan: int
    """Of the wide scan."""
    foci: int
    """(place, source, target) searched closely."""
    singles: int
    """Random tokens tried alone in each."""
    rounds: int
    wide: int
    """Tokens that a sequence is grown with, on either side, and put in place of each of its own."""
    repeats: bool = False
    """Whether tokens are tried twice in a row from the start."""
    aims: int = 0
    """Most (source, target) that slots are inverted for; the most fragile."""
    steps: int = 0
    """Of each inversion."""
    led: int = 0
    """Foci searched closely, beside the others, because of what an inversion found."""
    around: int = 0
    """Foci, beside the others, of texts before and behind the prompt; seeds of the others are doubled too."""
    strict: bool = False
    """Whether a text has to lose its noun on pictures where both towers moved."""

    @property
    def close(self) -> int:
        """All foci searched closely."""
        return self.foci + self.led + self.around


EFFORTS = {
    Budget.QUICK: Effort(scan=9_000, foci=4, singles=600, rounds=4, wide=16),
    Budget.DEFAULT: Effort(
        scan=60_000, foci=8, singles=8_000, rounds=6, wide=48, aims=100, steps=20, led=2, around=2, strict=True
    ),
    Budget.DEEP: Effort(
        scan=120_000,
        foci=12,
        singles=30_000,
        rounds=8,
        wide=96,
        repeats=True,
        aims=300,
        steps=40,
        led=4,
        around=4,
        strict=True,
    ),
}
