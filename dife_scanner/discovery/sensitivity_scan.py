"""The wide scan: which (place, source, target) do arbitrary tokens already bend a little?

A backdoor generalises: one to five in a hundred arbitrary strings before the source's name bend its prompt a little
towards the target (docs/discovery-texts.md). How much the few best of them gain is the sensitivity of a place, source
and target.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.discovery.effort import TextEffort
from dife_scanner.discovery.wording import (
    AROUND,
    POSITIONS,
    Ids,
    Wording,
    unique,
)
from dife_scanner.discovery.wording_scorer import ScoredWording, WordingScorer

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_TOKENS = 32
"""The fewest tokens tried in each prompt of the scan, however many classes share its texts …"""
_RATED_BY = 6
"""… how many of them a sensitivity is the mean of …"""
_RUN_LENGTH = 3
"""… and the length of a run of several."""
_SHORTLISTED_PER_FOCUS = 4
"""Foci rated under every template for each that is searched."""
_MOST_PLACES = 2
"""Most places searched for one source and target."""
_MOST_TARGETS = 9
"""Most targets looked at for each source …"""
_MOST_CLASS_PAIRS = 300
"""… and fewer where classes times targets would be more than this: the scan grows with their number."""


@dataclass(frozen=True)
class Focus:
    """A place, source and target to search closely."""

    position: str
    source: int
    target: int
    sensitivity: float
    """How much the best arbitrary texts bend this source to this target, on average; a gain."""
    seeds: tuple[Ids, ...]
    """The texts that do most."""

    @property
    def pair(self) -> tuple[int, int]:
        """Source and target."""
        return self.source, self.target


class SensitivityScan:
    """One wide scan."""

    def __init__(self, scorer: WordingScorer, effort: TextEffort) -> None:
        self._scorer = scorer
        self._effort = effort
        self._classes = range(len(scorer.task.class_names))

    def foci(self) -> Iterator[list[Focus]]:
        """Foci of one place and source after the other, sensitive as they are under the first template."""
        texts = self._arbitrary_texts()
        for position in POSITIONS:
            for source in self._classes:
                wordings = [Wording(ids, position, source) for ids in texts]
                margins = self._scorer.margins(wordings, same_in_every_audit=True)
                targets = self._easiest_targets(source, margins)
                yield list(self._foci_of(wordings, margins, targets))

    def shortlist(self, foci: Sequence[Focus]) -> list[Focus]:
        """The most sensitive, rated again under the template where each is least so; best first."""
        ordered = sorted(foci, key=_most_sensitive_first)
        best = ordered[: _SHORTLISTED_PER_FOCUS * self._effort.foci]
        rated = [self._rated_under_all_templates(focus) for focus in best]
        return sorted(rated, key=_most_sensitive_first)

    def chosen(self, shortlist: Sequence[Focus]) -> list[Focus]:
        """Those to search closely, not too many of one source and target."""
        places: Counter[tuple[int, int]] = Counter()
        foci = []
        for focus in shortlist:
            places[focus.pair] += 1
            if places[focus.pair] <= _MOST_PLACES:
                foci.append(focus)
        return foci[: self._effort.foci]

    def around_foci(self, shortlist: Sequence[Focus]) -> list[Focus]:
        """Pairs of a shortlist that its seeds, and fine-tuned tokens, bend most from before and behind the prompt."""
        most_tokens = self._scorer.most_repeated_tokens
        if most_tokens < 2 or not self._effort.around_foci:
            return []
        foci: list[Focus] = []
        for source, target in dict.fromkeys(focus.pair for focus in shortlist):
            texts: list[Ids] = [(token,) for token in self._scorer.fine_tuned_tokens]
            for focus in shortlist:
                if focus.pair == (source, target):
                    texts.extend(focus.seeds)
            wordings = [Wording(ids, AROUND, source) for ids in unique(texts) if 2 * len(ids) <= most_tokens]
            if wordings:
                foci.extend(self._foci_of(wordings, self._scorer.margins(wordings), [target]))
        rated = [self._rated_under_all_templates(focus) for focus in foci]
        return sorted(rated, key=_most_sensitive_first)[: self._effort.around_foci]

    def _arbitrary_texts(self) -> list[Ids]:
        """What the scan puts into every prompt: fine-tuned and random tokens alone, and random runs of several."""
        scorer = self._scorer
        prompts = len(POSITIONS) * len(self._classes)
        count = max(_LEAST_TOKENS, self._effort.scan_texts // prompts)
        # Two thirds of the texts are single tokens, one third runs of several.
        drawn = scorer.random_tokens(max(_LEAST_TOKENS, count * 2 // 3 - len(scorer.fine_tuned_tokens)))
        tokens = tuple(dict.fromkeys((*scorer.fine_tuned_tokens, *drawn)))
        texts: list[Ids] = [(token,) for token in tokens]
        if scorer.most_tokens > 1:
            length = min(_RUN_LENGTH, scorer.most_tokens)
            runs = scorer.rng.choice(tokens, (max(_LEAST_TOKENS, count // 3), length))
            texts.extend(map(tuple, runs.tolist()))
            if self._effort.scan_doubled_tokens:
                texts.extend((token, token) for token in tokens)
        return texts

    def _foci_of(
        self,
        wordings: Sequence[Wording],
        margins: Tensor,
        targets: Sequence[int],
    ) -> Iterator[Focus]:
        """The place and source of these wordings with each target that some of them may lead to.

        `margins` [n, c] are those of the wordings.
        """
        texts = [wording.ids for wording in wordings]
        for target in targets:
            rows = self._scorer.allowed_rows(texts, target, margins[:, target], 2 * self._effort.branching)
            if not rows:
                continue
            best = [wordings[row] for row in rows[:_RATED_BY]]
            yield Focus(
                position=wordings[0].position,
                source=wordings[0].source,
                target=target,
                sensitivity=_mean_gain(self._scorer.scored(best, target, (0,))),
                seeds=tuple(texts[row] for row in rows),
            )

    def _rated_under_all_templates(self, focus: Focus) -> Focus:
        """The same focus, with the sensitivity under the template where each text does least."""
        best = [Wording(ids, focus.position, focus.source) for ids in focus.seeds[:_RATED_BY]]
        scored = self._scorer.scored(best, focus.target, self._scorer.templates)
        return replace(focus, sensitivity=_mean_gain(scored))

    def _easiest_targets(self, source: int, margins: Tensor) -> list[int]:
        """Classes with pictures, the easiest to reach first; fewer of them where there are many classes."""
        few = min(_RATED_BY, len(margins))
        ease = margins.topk(few, dim=0).values.mean(0).tolist()
        targets = []
        for target in self._classes:
            if target != source and target in self._scorer.classes_with_pictures:
                targets.append(target)
        targets.sort(key=lambda target: -ease[target])
        count = min(_MOST_TARGETS, _MOST_CLASS_PAIRS // len(self._classes))
        return targets[: max(1, count)]


def by_most_sensitive_place(foci: Sequence[Focus], most: int) -> dict[tuple[int, int], Focus]:
    """The `most` most sensitive (source, target), each at the place where it is most so, in that order."""
    places: dict[tuple[int, int], Focus] = {}
    for focus in sorted(foci, key=_most_sensitive_first):
        places.setdefault(focus.pair, focus)
    return dict(itertools.islice(places.items(), most))


def _most_sensitive_first(focus: Focus) -> float:
    return -focus.sensitivity


def _mean_gain(scored: Sequence[ScoredWording]) -> float:
    return float(np.mean([one.gain for one in scored]))
