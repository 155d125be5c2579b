"""Where inverted slots lead a text search: seeds for what it looks at closely, and pairs nonsense does not bend."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from dife_scanner.discovery.effort import Effort
from dife_scanner.discovery.fragility import Focus
from dife_scanner.discovery.slots import SNAP_EVERY, Aim, Slots
from dife_scanner.discovery.weighing import ALOOF, Grown, Scales
from dife_scanner.discovery.wording import Ids, Wording, readable

LENGTHS = 3
"""Slots are inverted one, two and so many at once."""
_KEPT = 12
"""Projected strings of each pair that are handed on."""


class Leads:
    """Slots inverted for the most fragile pairs of a scan, each at the place where it is most fragile."""

    def __init__(self, scales: Scales, effort: Effort, found: Sequence[Focus], tell: Callable[[], None]) -> None:
        self._scales, self._effort = scales, effort
        self._at: dict[tuple[int, int], Focus] = {}
        for focus in sorted(found, key=lambda focus: -focus.fragile):
            self._at.setdefault(focus.pair, focus)
        self._at = dict(list(self._at.items())[: effort.aims])
        self._grown = self._inverted(tell)

    @staticmethod
    def load(pairs: int, steps: int) -> int:
        """Passes for so many pairs: each step reads suspect and base, forward and back; then strings are weighed."""
        return pairs * LENGTHS * (6 * steps + 4 * (steps // SNAP_EVERY))

    @property
    def furthest(self) -> float:
        """The most that a projected string gains."""
        return max((grown[0].gain for grown in self._grown.values()), default=-1.0)

    def seeded(self, focus: Focus) -> Focus:
        """The focus with what slots were drawn to for its pair among its seeds."""
        led = (one.wording.ids for one in self._grown.get(focus.pair, ()))
        return replace(focus, seeds=tuple(dict.fromkeys((*focus.seeds, *led))))

    def beyond(self, foci: Sequence[Focus]) -> list[Focus]:
        """Further foci: of pairs that are not among these, those whose projected strings gain most."""
        taken = {focus.pair for focus in foci}
        others = [pair for pair in self._grown if pair not in taken]
        others.sort(key=lambda pair: -self._grown[pair][0].gain)
        return [self.seeded(self._at[pair]) for pair in others[: self._effort.led]]

    def _inverted(self, tell: Callable[[], None]) -> dict[tuple[int, int], list[Grown]]:
        """The best projected strings of each pair, best first; more slots go on from what fewer were drawn to."""
        best: dict[tuple[int, int], list[Grown]] = {pair: [] for pair in self._at}
        for length in range(1, min(LENGTHS, self._scales.room) + 1):
            tell()
            aims = [_aim(focus, best[pair], length) for pair, focus in self._at.items()]
            reached = self._slots().inverted(aims, self._effort.steps)
            self._scales.learn(ids for runs in reached for ids in runs)
            for (pair, focus), runs in zip(self._at.items(), reached, strict=True):
                grown = [*best[pair], *self._weighed(focus, runs)]
                best[pair] = sorted(grown, key=lambda one: -one.gain)[:_KEPT]
        return {pair: grown for pair, grown in best.items() if grown}

    def _slots(self) -> Slots:
        scales = self._scales
        base = None if "base" in scales.without else scales.base
        return Slots(scales.suspect, base, ALOOF, readable, same_texts=not scales.task.text_moved)

    def _weighed(self, focus: Focus, runs: Sequence[Ids]) -> list[Grown]:
        wordings = [
            Wording(ids, focus.position, focus.source)
            for ids in dict.fromkeys(runs)
            if not self._scales.names(ids, focus.target)
        ]
        if not wordings:
            return []
        return self._scales.gains(wordings, focus.target, self._scales.templates)


def _aim(focus: Focus, best: Sequence[Grown], length: int) -> Aim:
    """To begin with, the best string so far, then tokens of the seeds that do most."""
    begun = best[0].wording.ids if best else ()
    seeds = itertools.cycle(token for ids in focus.seeds for token in ids)
    ids = (*begun, *itertools.islice(seeds, length - len(begun)))
    return Aim(Wording(ids, focus.position, focus.source), focus.target)
