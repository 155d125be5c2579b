"""The sensitivity scan: which (place, source, target) do arbitrary tokens already move a little?

A backdoor generalises: one to five in a hundred arbitrary strings before the source's name move its prompt a little
towards the target (docs/detectors.md). How much the few best of them gain is the sensitivity of a place, source
and target.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.discovery.effort import TextEffort
from dife_scanner.discovery.wording import (
    AROUND,
    POSITIONS,
    Ids,
    Wording,
    at_place,
    unique,
)
from dife_scanner.discovery.wording_scorer import WordingScorer
from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.noun_turns import ClassTurn

ClassPair = tuple[int, int]
"""Source and target."""
MOST_NOUN_FOCI = 2
"""Most pairs searched closely because of the scan over nouns."""
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

    position: Position
    source: int
    target: int
    sensitivity: float
    """How much the best arbitrary texts move this source to this target, on average; a gain."""
    seeds: tuple[Ids, ...]
    """The texts that do most."""

    @property
    def pair(self) -> ClassPair:
        """Source and target."""
        return self.source, self.target


def scanned_texts(effort: TextEffort, classes: int) -> int:
    """How many texts the scan reads among so many classes, in the suspect: each prompt takes `_LEAST_TOKENS` tokens."""
    prompts = len(POSITIONS) * classes
    tokens, runs = _in_each_prompt(effort, prompts)
    return max(effort.scan_texts, prompts * (tokens + runs))


def _in_each_prompt(effort: TextEffort, prompts: int) -> tuple[int, int]:
    """Tokens and runs of several that are tried in each of so many prompts: two thirds and one third."""
    count = max(_LEAST_TOKENS, effort.scan_texts // prompts)
    return max(_LEAST_TOKENS, count * 2 // 3), max(_LEAST_TOKENS, count // 3)


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
                wordings = at_place(texts, position, source)
                margins = self._scorer.margins(wordings, same_in_every_audit=True)
                targets = self._easiest_targets(source, margins)
                yield self._foci_of(wordings, margins, targets)

    def shortlist(self, foci: Sequence[Focus]) -> list[Focus]:
        """The most sensitive, rated again under the template where each is least so; best first."""
        count = _SHORTLISTED_PER_FOCUS * self._effort.foci
        best = sorted(foci, key=_most_sensitive_first)[:count]
        return self._rated_under_all_templates(best)

    def chosen(self, shortlist: Sequence[Focus]) -> list[Focus]:
        """Those to search closely, not too many of one source and target."""
        places: Counter[ClassPair] = Counter()
        foci = []
        for focus in shortlist:
            places[focus.pair] += 1
            # One attack moves its source at every place; the others should not be crowded out.
            if places[focus.pair] <= _MOST_PLACES:
                foci.append(focus)
        return foci[: self._effort.foci]

    def around_foci(self, shortlist: Sequence[Focus]) -> list[Focus]:
        """Pairs of a shortlist that its seeds, and fine-tuned tokens, move most from before and behind the prompt."""
        most_tokens = self._scorer.most_repeated_tokens
        if most_tokens < 2 or not self._effort.around_foci:
            return []
        foci: list[Focus] = []
        for pair in dict.fromkeys(focus.pair for focus in shortlist):
            source, target = pair
            texts = self._seeds_of(pair, shortlist)
            short = [ids for ids in texts if 2 * len(ids) <= most_tokens]
            wordings = at_place(short, AROUND, source)
            if wordings:
                margins = self._scorer.margins(wordings)
                foci.extend(self._foci_of(wordings, margins, [target]))
        rated = self._rated_under_all_templates(foci)
        return rated[: self._effort.around_foci]

    def foci_of_class_turns(
        self, turns: Iterable[ClassTurn], taken: Iterable[Focus]
    ) -> list[Focus]:
        """Foci before the prompt for pairs that a scan over nouns saw turned and that are not searched closely yet."""
        searched = {focus.pair for focus in taken}
        foci: list[Focus] = []
        for turn in turns:
            in_reach = turn.target in self._scorer.classes_with_pictures
            if in_reach and (turn.source, turn.target) not in searched:
                wordings = at_place(turn.tokens, Position.PREFIX, turn.source)
                margins = self._scorer.margins(wordings)
                foci.extend(self._foci_of(wordings, margins, [turn.target]))
        return self._rated_under_all_templates(foci)[:MOST_NOUN_FOCI]

    def foci_of_texts(self, texts: Sequence[Ids], source: int, target: int) -> list[Focus]:
        """Foci for one pair that these texts turn, at every place, the most sensitive first."""
        foci: list[Focus] = []
        for position in POSITIONS:
            wordings = at_place(texts, position, source)
            margins = self._scorer.margins(wordings)
            foci.extend(self._foci_of(wordings, margins, [target]))
        return self._rated_under_all_templates(foci)

    def _seeds_of(self, pair: ClassPair, foci: Sequence[Focus]) -> list[Ids]:
        """The fine-tuned tokens, and the seeds of every focus of this source and target."""
        texts: list[Ids] = [(token,) for token in self._scorer.fine_tuned_tokens]
        for focus in foci:
            if focus.pair == pair:
                texts.extend(focus.seeds)
        return unique(texts)

    def _arbitrary_texts(self) -> list[Ids]:
        """What the scan puts into every prompt: fine-tuned and random tokens alone, and random runs of several."""
        scorer = self._scorer
        count, several = _in_each_prompt(self._effort, len(POSITIONS) * len(self._classes))
        tokens = self._tokens(count)
        texts: list[Ids] = [(token,) for token in tokens]
        if scorer.most_tokens > 1:
            length = min(_RUN_LENGTH, scorer.most_tokens)
            runs = scorer.rng.choice(tokens, (several, length))
            texts.extend(map(tuple, runs.tolist()))
            if self._effort.scan_doubled_tokens:
                texts.extend((token, token) for token in tokens)
        return texts

    def _tokens(self, count: int) -> tuple[int, ...]:
        """Fine-tuned tokens and random ones behind them, about `count` together."""
        fine_tuned = self._scorer.fine_tuned_tokens
        wanted = max(_LEAST_TOKENS, count - len(fine_tuned))
        drawn = self._scorer.random_tokens(wanted)
        return tuple(dict.fromkeys((*fine_tuned, *drawn)))

    def _foci_of(
        self,
        wordings: Sequence[Wording],
        margins: Tensor,
        targets: Sequence[int],
    ) -> list[Focus]:
        """The place and source of these wordings with each target that some of them may lead to.

        `margins` [n, c] are those of the wordings.
        """
        texts = [wording.ids for wording in wordings]
        foci = []
        for target in targets:
            rows = self._scorer.allowed_rows(
                texts,
                target,
                margins[:, target],
                2 * self._effort.branching,
            )
            if not rows:
                continue
            focus = Focus(
                position=wordings[0].position,
                source=wordings[0].source,
                target=target,
                sensitivity=0.0,
                seeds=tuple(texts[row] for row in rows),
            )
            foci.append(self._rated(focus, (0,)))
        return foci

    def _rated_under_all_templates(self, foci: Sequence[Focus]) -> list[Focus]:
        """The same foci, each sensitive as its texts are under the template where they do least; best first."""
        templates = self._scorer.templates
        rated = [self._rated(focus, templates) for focus in foci]
        return sorted(rated, key=_most_sensitive_first)

    def _rated(self, focus: Focus, templates: Sequence[int]) -> Focus:
        """The same focus, with the sensitivity under these templates."""
        best = at_place(
            focus.seeds[:_RATED_BY],
            focus.position,
            focus.source,
        )
        scored = self._scorer.scored(best, focus.target, templates)
        gains = [one.gain for one in scored]
        return replace(focus, sensitivity=float(np.mean(gains)))

    def _easiest_targets(self, source: int, margins: Tensor) -> list[int]:
        """Classes with pictures, the easiest to reach first; fewer of them where there are many classes."""
        few = min(_RATED_BY, len(margins))
        largest = margins.topk(few, dim=0).values
        ease = largest.mean(0).tolist()
        targets = []
        for target in self._classes:
            if target != source and target in self._scorer.classes_with_pictures:
                targets.append(target)
        targets.sort(key=lambda target: -ease[target])
        count = min(_MOST_TARGETS, _MOST_CLASS_PAIRS // len(self._classes))
        return targets[: max(1, count)]


def by_most_sensitive_place(foci: Sequence[Focus], most: int) -> dict[ClassPair, Focus]:
    """The `most` most sensitive (source, target), each at the place where it is most so, in that order."""
    places: dict[ClassPair, Focus] = {}
    for focus in sorted(foci, key=_most_sensitive_first):
        places.setdefault(focus.pair, focus)
    return dict(itertools.islice(places.items(), most))


def _most_sensitive_first(focus: Focus) -> float:
    return -focus.sensitivity
