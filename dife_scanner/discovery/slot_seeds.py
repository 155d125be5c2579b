"""Seeds from slot inversion: for what a text search looks at closely, and pairs that arbitrary tokens do not move."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dife_scanner.discovery.beam import best_of
from dife_scanner.discovery.effort import TextEffort
from dife_scanner.discovery.sensitivity_scan import (
    ClassPair,
    Focus,
    by_most_sensitive_place,
)
from dife_scanner.discovery.slot_inversion import (
    PROJECT_EVERY,
    InversionStart,
    SlotInversion,
)
from dife_scanner.discovery.wording import (
    Ids,
    Wording,
    at_place,
    unique,
)
from dife_scanner.discovery.wording_scorer import (
    BASE_SLACK,
    ScoredWording,
    WordingScorer,
)

MOST_SLOTS = 3
"""Slots are inverted one, two and so many at once."""
_KEPT_PER_PAIR = 12
"""Projected strings of each pair that are handed on."""


class SlotInversionSeeds:
    """Slots inverted for the most sensitive pairs of a scan, each at the place where it is most sensitive."""

    def __init__(
        self,
        scorer: WordingScorer,
        effort: TextEffort,
        foci: Sequence[Focus],
        report_progress: Callable[[], None],
    ) -> None:
        """Invert at once; `report_progress` is called before each number of slots and may raise `Cancelled`."""
        self._scorer = scorer
        self._effort = effort
        self._places = by_most_sensitive_place(foci, effort.inverted_pairs)
        self.best_by_pair = self._inverted(report_progress)
        """The best projected strings of each (source, target), best first."""

    @staticmethod
    def load(pairs: int, steps: int) -> int:
        """Passes for so many pairs: each step reads suspect and base, forward and back; then strings are scored."""
        projections = steps // PROJECT_EVERY
        return pairs * MOST_SLOTS * (6 * steps + 4 * projections)

    @property
    def best_gain(self) -> float:
        """The most that a projected string gains; -1 where there is none."""
        return max(
            (strings[0].gain for strings in self.best_by_pair.values()),
            default=-1.0,
        )

    def seeded(self, focus: Focus) -> Focus:
        """The focus with what slots were drawn to for its pair among its seeds."""
        seeds = list(focus.seeds)
        for one in self.best_by_pair.get(focus.pair, ()):
            seeds.append(one.ids)
        return replace(focus, seeds=tuple(unique(seeds)))

    def further_foci(self, foci: Sequence[Focus]) -> list[Focus]:
        """Foci of pairs that are not among these, those whose projected strings gain most."""
        taken = {focus.pair for focus in foci}
        others = [pair for pair in self.best_by_pair if pair not in taken]
        others.sort(key=lambda pair: -self.best_by_pair[pair][0].gain)
        further = others[: self._effort.slot_foci]
        return [self.seeded(self._places[pair]) for pair in further]

    def _inverted(
        self, report_progress: Callable[[], None]
    ) -> dict[ClassPair, list[ScoredWording]]:
        """The best projected strings of each pair; more slots go on from what fewer were drawn to."""
        best: dict[ClassPair, list[ScoredWording]] = {}
        most_slots = min(MOST_SLOTS, self._scorer.most_tokens)
        for slots in range(1, most_slots + 1):
            report_progress()
            # More slots begin with the best string of fewer: from random tokens, several would have to fit at once.
            for pair, strings in self._reached(best, slots).items():
                known = best.get(pair, [])
                scored = self._scored(self._places[pair], strings)
                best[pair] = best_of([*known, *scored], _KEPT_PER_PAIR)
        return {pair: scored for pair, scored in best.items() if scored}

    def _reached(
        self,
        best: Mapping[ClassPair, Sequence[ScoredWording]],
        slots: int,
    ) -> dict[ClassPair, list[Ids]]:
        """The strings that so many slots of each pair are drawn to, from the best of fewer slots on."""
        starts = []
        for pair, focus in self._places.items():
            starts.append(_start(focus, best.get(pair, ()), slots))
        steps = self._effort.inversion_steps
        reached = self._slot_inversion().inverted(starts, steps)
        self._scorer.look_up_meanings(itertools.chain.from_iterable(reached))
        return dict(zip(self._places, reached, strict=True))

    def _slot_inversion(self) -> SlotInversion:
        scorer = self._scorer
        return SlotInversion(
            scorer.suspect,
            base=scorer.base if scorer.has_base else None,
            base_slack=BASE_SLACK,
            allowed=scorer.readable,
            same_text_tower=not scorer.task.text_moved,
            readings=scorer.task.readings,
        )

    def _scored(self, focus: Focus, strings: Sequence[Ids]) -> list[ScoredWording]:
        """Strings that do not name the target, with their gains."""
        scorer = self._scorer
        allowed = []
        for ids in unique(strings):
            if not scorer.names_target(ids, focus.target):
                allowed.append(ids)
        if not allowed:
            return []
        wordings = at_place(allowed, focus.position, focus.source)
        return scorer.scored(wordings, focus.target, scorer.templates)


def _start(focus: Focus, best: Sequence[ScoredWording], slots: int) -> InversionStart:
    """Begin with the best string so far, and tokens of the seeds that do most behind it."""
    begun = best[0].ids if best else ()
    seed_tokens = itertools.cycle(itertools.chain.from_iterable(focus.seeds))
    added = itertools.islice(seed_tokens, slots - len(begun))
    wording = Wording((*begun, *added), focus.position, focus.source)
    return InversionStart(wording, focus.target)
