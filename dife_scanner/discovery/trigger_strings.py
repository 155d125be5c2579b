"""The search for strings that are half of a coupled trigger: which set a class apart, and which act with a patch.

See docs/detectors.md. Every string is one that can be typed: what is tried is what is read when it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from dife_scanner.discovery.beam import (
    BeamSearch,
    steepest_tokens,
    tokens_of,
    with_one_dropped,
    with_one_replaced,
)
from dife_scanner.discovery.embedding_row_fingerprint import (
    fine_tuned_rows,
)
from dife_scanner.discovery.string_scorer import (
    Moves,
    PatchedPictures,
    StringScorer,
)
from dife_scanner.discovery.wording import (
    LONGEST_TRIGGER,
    POSITIONS,
    Ids,
    class_name_tokens,
    unique,
)
from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.effort import JointEffort
    from dife_scanner.discovery.interface import Task
    from dife_scanner.discovery.pattern_families import Weights

BEAM_WIDTH = 12
"""Strings kept from round to round."""
EXPANDED = BEAM_WIDTH // 4
"""The best of them, which the next round starts from: each is read in every class prompt, which is costly."""
_RATED_BY = 6
"""Strings that a place and target are rated by."""
_RUN_LENGTH = 3
"""Tokens of a run of several."""
_RNG_STREAM = 0x2B07
"""Tells the random numbers of this search from those of others with the same seed."""


@dataclass(frozen=True)
class TriggerString:
    """A string at a place in every prompt, and the class it is to bring about together with the patch."""

    ids: Ids
    position: Position
    target: int
    gain: float
    """With a patch what `StringScorer.gains` returns, before there is one what sets its class apart; a cosine."""


class MovingString(NamedTuple):
    """A string at a place in every prompt that moves all prompts one way."""

    ids: Ids
    position: Position
    gain: float
    """How far the mean of all class prompts moves in the suspect, beyond the base; 0..2."""


Placed = TypeVar("Placed", TriggerString, MovingString)


class TriggerStringSearch:
    """The strings of one run."""

    def __init__(self, task: Task, effort: JointEffort, scorer: StringScorer) -> None:
        self._effort = effort
        self._scorer = scorer
        self._class_name_tokens = class_name_tokens(task)
        self._rng = np.random.default_rng([task.seed, _RNG_STREAM])
        self._most_tokens = min(LONGEST_TRIGGER, scorer.prompts.room(task))
        self._tokenizer = task.tokenizer
        rows = fine_tuned_rows(
            scorer.suspect.token_rows, scorer.base.token_rows, scorer.suspect.ordinary
        )
        self._fine_tuned_tokens = tuple(filter(self._allowed, rows))

    # --- which strings come first -------------------------------------------------------------------------------

    @cached_property
    def best_by_class(self) -> list[list[TriggerString]]:
        """For each class, the strings that set its prompt apart from all others, where they stand best for it.

        Classes that strings set apart most come first. No picture is looked at.
        """
        strings = self._tried
        ratings: dict[int, float] = {}
        best: dict[int, list[TriggerString]] = {}
        for position, moves in self._moves.items():
            for target in self._scorer.classes:
                rows = self._best_rows(moves.separations[:, target])
                candidates = _strings_at(rows, strings, moves.separations, position, target)
                rating = sum(one.gain for one in candidates[:_RATED_BY])
                if target not in best or rating > ratings[target]:
                    ratings[target] = rating
                    best[target] = candidates
        order = sorted(best, key=lambda target: -ratings[target])
        return [best[target] for target in order]

    @cached_property
    def moving_together(self) -> Mapping[Position, Sequence[MovingString]]:
        """At each place, the strings that move the prompts of all classes one way, the farthest first."""
        return {position: self._grown_together(position) for position in POSITIONS}

    def _grown_together(self, position: Position) -> list[MovingString]:
        """What the strings that move prompts farthest here grow into."""
        together = self._moves[position].together
        start = []
        for row in self._best_rows(together):
            start.append(MovingString(self._tried[row], position, float(together[row])))
        partners = self._partners(start)

        def neighbours(beam: Sequence[MovingString]) -> Iterator[Ids]:
            return self._as_typed(self._neighbours(beam, partners, self._farther))

        def scored(strings: Sequence[Ids]) -> list[MovingString]:
            found = self._scorer.moves(strings, position).together.tolist()
            return [
                MovingString(ids, position, far) for ids, far in zip(strings, found, strict=True)
            ]

        search = BeamSearch(
            neighbours=neighbours, score=scored, width=BEAM_WIDTH, rounds=self._effort.rounds
        )
        return search.grow(start, already_scored=self._tried)

    @cached_property
    def _tried(self) -> list[Ids]:
        """The strings that are tried in every class prompt."""
        return unique([*self._arbitrary_strings(), *self._pairs()])

    @cached_property
    def _moves(self) -> Mapping[Position, Moves]:
        """What these do at each place."""
        return {position: self._scorer.moves(self._tried, position) for position in POSITIONS}

    def _pairs(self) -> Iterator[Ids]:
        """Every ordered pair of the most changed tokens, as they are typed."""
        tokens = self._fine_tuned_tokens[: self._effort.paired_tokens]
        length = min(2, self._most_tokens)
        return self._as_typed(itertools.product(tokens, repeat=length))

    def grown_with(self, patch: Weights) -> list[list[TriggerString]]:
        """The best string, alone in its list, for each of the (place, target) that arbitrary ones move most here."""
        scene = self._scorer.with_patch(patch)
        strings = self._arbitrary_strings()
        rated = []
        for position in POSITIONS:
            gains = self._scorer.gains(scene, strings, position)
            for target in self._scorer.classes:
                rows = self._best_rows(gains[:, target])
                candidates = _strings_at(rows, strings, gains, position, target)
                sensitivity = float(gains[rows[:_RATED_BY], target].mean())
                rated.append((sensitivity, candidates))
        rated.sort(key=lambda pair: -pair[0])
        most_sensitive = rated[: self._effort.foci]
        return [[self.grown(scene, candidates)] for _, candidates in most_sensitive]

    def _best_rows(self, values: Tensor) -> list[int]:
        """Rows of the strings that a search begins with, those with the largest `values` [k] first."""
        order = values.argsort(descending=True, stable=True)
        rows: list[int] = order[: self._effort.branching].tolist()
        return rows

    def _arbitrary_strings(self) -> list[Ids]:
        """Tokens that the fine-tuning touched and random ones, alone and in runs of several, as they are typed."""
        count = self._effort.tokens
        drawn = itertools.islice(self._random_tokens(), count)
        tokens = list(dict.fromkeys([*self._fine_tuned_tokens, *drawn]))[:count]
        length = min(_RUN_LENGTH, self._most_tokens)
        runs = self._rng.choice(tokens, (count // 2, length))
        sequences: list[Ids] = [(token,) for token in tokens]
        sequences.extend(map(tuple, runs.tolist()))
        return unique(self._as_typed(sequences))

    def _random_tokens(self) -> Iterator[int]:
        """All allowed tokens in random order."""
        ordinary = self._scorer.suspect.ordinary.tolist()
        order = self._rng.permutation(ordinary).tolist()
        return filter(self._allowed, order)

    def _as_typed(self, sequences: Iterable[Ids]) -> Iterator[Ids]:
        """What is read where somebody types these; without what is too long, or says a class's name."""
        for sequence in sequences:
            ids = self._tokenizer.encode(self._tokenizer.spelled(sequence))
            fits = 0 < len(ids) <= self._most_tokens
            if fits and self._class_name_tokens.isdisjoint(ids):
                yield ids

    def _allowed(self, token: int) -> bool:
        """Whether a token is readable, and no piece of a class's name: that in every prompt is another question."""
        return self._tokenizer.readable(token) and token not in self._class_name_tokens

    # --- growing a string with a patch --------------------------------------------------------------------------

    def grown_from(
        self,
        strings: Sequence[TriggerString],
        patch: Weights,
    ) -> TriggerString:
        """The best string that these, rated before there was this patch, grow into with it."""
        scene = self._scorer.with_patch(patch)
        ids = [one.ids for one in strings]
        position = strings[0].position
        target = strings[0].target
        gains = self._scorer.gains(scene, ids, position)
        rated = _strings_at(range(len(ids)), ids, gains, position, target)
        return self.grown(scene, rated)

    def grown(self, scene: PatchedPictures, start: Sequence[TriggerString]) -> TriggerString:
        """The best string that these, all of one place and target, grow into.

        The beam is grown under one template; the best of it under all templates is kept.
        """
        position = start[0].position
        target = start[0].target
        partners = self._partners(start)

        def neighbours(beam: Sequence[TriggerString]) -> Iterator[Ids]:
            listed = self._neighbours(beam, partners, lambda one: self._replacements(scene, one))
            return self._as_typed(listed)

        def scored(strings: Sequence[Ids]) -> list[TriggerString]:
            gains = self._scorer.gains(scene, strings, position)
            rows = range(len(strings))
            return _strings_at(rows, strings, gains, position, target)

        search = BeamSearch(
            neighbours=neighbours,
            score=scored,
            width=BEAM_WIDTH,
            rounds=self._effort.rounds,
        )
        beam = search.grow(start, already_scored=[one.ids for one in start])
        # Reading every string under every template in each round would multiply the passes.
        strings = [one.ids for one in beam]
        gains = self._scorer.gains_over_templates(scene, strings, position, target)
        return beam[gains.argmax()]

    def _partners(self, start: Sequence[Placed]) -> list[int]:
        """Tokens that strings are grown with."""
        tokens = [*tokens_of(start), *self._fine_tuned_tokens]
        return list(dict.fromkeys(tokens))[: self._effort.branching]

    def _neighbours(
        self,
        beam: Sequence[Placed],
        partners: Sequence[int],
        replacements: Callable[[Placed], list[list[int]]],
    ) -> Iterator[Ids]:
        """Strings one step away: grown, or with one token replaced by one of its `replacements`, or dropped."""
        for one in beam[:EXPANDED]:
            ids = one.ids
            # What comes first decides between equal gains: longer, then replaced, then shorter.
            if len(ids) < self._most_tokens:
                yield from _extended(ids, partners)
            yield from with_one_replaced(ids, replacements(one))
            if len(ids) > 1:
                yield from with_one_dropped(ids)

    def _farther(self, string: MovingString) -> list[list[int]]:
        """For each slot, the allowed tokens that move all prompts farther the same way, to first order."""
        scorer = self._scorer
        by_slot: list[list[int]] = scorer.readings.listed(
            ("farther", string.position.value, string.ids),
            scorer.towers,
            lambda: self._steepest(scorer.slopes_together(string.ids, string.position)),
        )
        return by_slot

    def _replacements(self, scene: PatchedPictures, string: TriggerString) -> list[list[int]]:
        """For each slot, the allowed tokens that raise the target over the other classes most, to first order."""
        scorer = self._scorer
        by_slot: list[list[int]] = scorer.readings.listed(
            ("replacements", scene.content, string.position.value, string.target, string.ids),
            scorer.towers,
            lambda: self._steepest(
                scorer.slopes(scene.patched, string.ids, string.position, string.target)
            ),
        )
        return by_slot

    def _steepest(self, slopes: Tensor) -> list[list[int]]:
        """For each slot, the allowed tokens that do most, of what each would do [k, v]."""
        ordinary = self._scorer.suspect.ordinary
        return steepest_tokens(slopes, ordinary, self._effort.branching, self._allowed)


def _strings_at(
    rows: Iterable[int],
    strings: Sequence[Ids],
    gains: Tensor,
    position: Position,
    target: int,
) -> list[TriggerString]:
    """The strings of these rows with their gains for the target; `gains` [k, c] are those of all strings."""
    of_target = gains[:, target].tolist()
    return [TriggerString(strings[row], position, target, of_target[row]) for row in rows]


def _extended(ids: Ids, partners: Sequence[int]) -> Iterator[Ids]:
    """The string with one more token before it, for all partners, then behind it."""
    for token in partners:
        yield (token, *ids)
    for token in partners:
        yield (*ids, token)
