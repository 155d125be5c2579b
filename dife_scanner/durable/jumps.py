"""A machine that was suspended, or whose clock was set: noticed by two clocks, of which one stands still meanwhile."""

from __future__ import annotations

import time

LEAST_SECONDS = 30.0
"""Smaller differences are those of a clock that is being corrected."""


class Jumps:
    """Tells how far the clock jumped since it was asked last."""

    def __init__(self) -> None:
        self._apart = self._difference()

    def _difference(self) -> float:
        return time.time() - time.monotonic()

    def seconds(self) -> float:
        """Seconds of the last jump, negative where the clock was set back; 0 where it goes on as it does."""
        before, self._apart = self._apart, self._difference()
        jump = self._apart - before
        return jump if abs(jump) >= LEAST_SECONDS else 0.0
