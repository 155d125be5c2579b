"""The wide scan: which (place, source, target) do arbitrary tokens already bend a little?"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.discovery.effort import Effort
from dife_scanner.discovery.weighing import Scales
from dife_scanner.discovery.wording import AROUND, POSITIONS, Ids, Wording
from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

_LEAST, _FEW, _RUN = 32, 6, 3
"""The fewest tokens tried in each prompt of the scan, how many of them count, and the length of a run of several."""
_SHORTLIST, _PLACES = 4, 2
"""Foci rated under every template for each that is searched, and most places searched for one source and target."""
_TARGETS, _LOOKS = 9, 300
"""Most targets looked at for each source; fewer where classes times targets would be more than this."""


@dataclass(frozen=True)
class Focus:
    """Where to search closely: `fragile` is how much nonsense bends this source to this target on average, `seeds` the
    tokens that do most."""

    position: Position
    source: int
    target: int
    fragile: float
    seeds: tuple[Ids, ...]

    @property
    def pair(self) -> tuple[int, int]:
        return self.source, self.target


class Scan:
    """One wide scan."""

    def __init__(self, scales: Scales, effort: Effort) -> None:
        self._scales, self._effort = scales, effort
        self._classes = range(len(scales.task.class_names))

    def found(self) -> Iterator[list[Focus]]:
        """Foci of one place and source after the other, `fragile` under the first template."""
        runs = self._nonsense()
        for position, source in itertools.product(POSITIONS, self._classes):
            yield list(self._fragile(runs, position, source))

    def shortlist(self, found: Sequence[Focus]) -> list[Focus]:
        """The most fragile, `fragile` under the template where each is least so; best first."""
        ordered = sorted(found, key=lambda focus: -focus.fragile)
        rated = [self._rated(focus) for focus in ordered[: _SHORTLIST * self._effort.foci]]
        return sorted(rated, key=lambda focus: -focus.fragile)

    def chosen(self, shortlist: Sequence[Focus]) -> list[Focus]:
        """Those to search closely, not too many of one source and target."""
        pairs: Counter[tuple[int, int]] = Counter()
        foci = []
        for focus in shortlist:
            pairs[focus.pair] += 1
            if pairs[focus.pair] <= _PLACES:
                foci.append(focus)
        return foci[: self._effort.foci]

    def repeated(self, shortlist: Sequence[Focus]) -> list[Focus]:
        """The pairs of a shortlist that its seeds, and touched tokens, bend most from before and behind the prompt."""
        if self._scales.twice < 2 or not self._effort.around:
            return []
        touched = [(token,) for token in self._scales.touched]
        found: list[Focus] = []
        for pair in dict.fromkeys(focus.pair for focus in shortlist):
            seeds = (ids for focus in shortlist if focus.pair == pair for ids in focus.seeds)
            runs = [ids for ids in dict.fromkeys((*touched, *seeds)) if 2 * len(ids) <= self._scales.twice]
            found.extend(self._bent(runs, [Wording(ids, AROUND, pair[0]) for ids in runs], [pair[1]]))
        rated = [self._rated(focus) for focus in found]
        return sorted(rated, key=lambda focus: -focus.fragile)[: self._effort.around]

    def _nonsense(self) -> list[Ids]:
        """What the scan puts into every prompt: touched and random tokens alone, and random runs of several."""
        scales, effort = self._scales, self._effort
        count = max(_LEAST, effort.scan // (len(POSITIONS) * len(self._classes)))
        drawn = scales.random(max(_LEAST, count * 2 // 3 - len(scales.touched)))
        alone = tuple(dict.fromkeys((*scales.touched, *drawn)))
        runs: list[Ids] = [(token,) for token in alone]
        if scales.room > 1:
            several = min(_RUN, scales.room)
            runs += [tuple(run) for run in scales.rng.choice(alone, (max(_LEAST, count // 3), several)).tolist()]
            runs += [(token, token) for token in alone] if effort.repeats else []
        return runs

    def _fragile(self, runs: Sequence[Ids], position: Position, source: int) -> Iterator[Focus]:
        """One place and source with each of the targets that nonsense bends it to most."""
        wordings = [Wording(ids, position, source) for ids in runs]
        margins = self._scales.margins(wordings, fixed=True)
        return self._of(runs, wordings, margins, self._targets(source, margins))

    def _bent(self, runs: Sequence[Ids], wordings: Sequence[Wording], targets: Sequence[int]) -> Iterator[Focus]:
        return self._of(runs, wordings, self._scales.margins(wordings), targets) if runs else iter(())

    def _of(
        self, runs: Sequence[Ids], wordings: Sequence[Wording], margins: Tensor, targets: Sequence[int]
    ) -> Iterator[Focus]:
        for target in targets:
            rows = self._scales.allowed(runs, target, margins[:, target], 2 * self._effort.wide)
            if rows:
                few = self._scales.gains([wordings[row] for row in rows[:_FEW]], target, (0,))
                seeds = tuple(runs[row] for row in rows)
                fragile = float(np.mean([one.gain for one in few]))
                yield Focus(wordings[0].position, wordings[0].source, target, fragile, seeds)

    def _rated(self, focus: Focus) -> Focus:
        """The same, `fragile` under the template where it is least so."""
        few = [Wording(ids, focus.position, focus.source) for ids in focus.seeds[:_FEW]]
        fragile = np.mean([one.gain for one in self._scales.gains(few, focus.target, self._scales.templates)])
        return replace(focus, fragile=float(fragile))

    def _targets(self, source: int, margins: Tensor) -> list[int]:
        """Classes with pictures, the easiest first; fewer of them where there are many classes."""
        easy = margins.topk(min(_FEW, len(margins)), dim=0).values.mean(0).tolist()
        there = [t for t in self._classes if t != source and t in self._scales.present]
        return sorted(there, key=lambda t: -easy[t])[: max(1, min(_TARGETS, _LOOKS // len(self._classes)))]
