"""The close search: a beam of token sequences grown for one (place, source, target)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from dife_scanner.discovery.beam import (
    BeamSearch,
    best_of,
    steepest_tokens,
    tokens_of,
    with_one_dropped,
    with_one_replaced,
)
from dife_scanner.discovery.wording import (
    AROUND,
    Ids,
    Wording,
    at_place,
    unique,
)

if TYPE_CHECKING:
    from dife_scanner.discovery.effort import TextEffort
    from dife_scanner.discovery.sensitivity_scan import Focus
    from dife_scanner.discovery.wording_scorer import (
        ScoredWording,
        WordingScorer,
    )
    from dife_scanner.models.tokenizers import Tokenizer

BEAM_WIDTH = 16
"""Sequences kept from round to round."""
EXPANDED = BEAM_WIDTH // 2
"""The best of them, which the next round starts from."""
_LEAST_PROGRESS = 0.02
"""The gain that earns a further round."""
_LOOKED_AT = 4
"""For each sequence that is to be kept, so many of the largest margin have their full gain computed."""


class CloseSearch:
    """The beam searches of one search for texts."""

    def __init__(
        self,
        scorer: WordingScorer,
        effort: TextEffort,
        report_progress: Callable[[], None],
    ) -> None:
        """`report_progress` is called before each round and may raise `Cancelled`."""
        self._scorer = scorer
        self._effort = effort
        self._report_progress = report_progress

    def grow(self, focus: Focus) -> list[ScoredWording]:
        """The best sequences found for one focus, best first; at least half can be typed where there are as many."""
        start = self._start(focus)
        count = max(BEAM_WIDTH, 2 * self._effort.branching)
        # More than a beam holds are kept at first: their tokens are what sequences are grown with.
        first = best_of(self._scored(focus, start, count), count, self._scorer.typeable)
        partners = tokens_of(first)[: self._effort.branching]

        def neighbours(beam: Sequence[ScoredWording]) -> Iterator[Ids]:
            return self._neighbours(focus, beam, partners)

        def scored(sequences: Sequence[Ids]) -> list[ScoredWording]:
            return self._scored(focus, sequences, BEAM_WIDTH)

        search = BeamSearch(
            neighbours=neighbours,
            score=scored,
            width=BEAM_WIDTH,
            rounds=self._effort.rounds,
            preferred=self._scorer.typeable,
            least_progress=_LEAST_PROGRESS,
            before_round=self._report_progress,
        )
        return search.grow(first, already_scored=start)

    def _start(self, focus: Focus) -> list[Ids]:
        """The sequences that a search begins with: seeds, random tokens, and what is doubled."""
        texts = list(focus.seeds)
        for token in self._scorer.random_tokens(self._effort.single_tokens):
            texts.append((token,))
        texts.extend(self._doubled(focus))
        return unique(texts)

    def _doubled(self, focus: Focus) -> Iterator[Ids]:
        """Its seeds and the fine-tuned tokens, each twice in a row, at budgets that look for repeated texts."""
        if not self._effort.around_foci or focus.position == AROUND:
            return
        texts = list(focus.seeds)
        for token in self._scorer.fine_tuned_tokens:
            texts.append((token,))
        for ids in texts:
            if 2 * len(ids) <= self._scorer.most_repeated_tokens:
                yield ids + ids

    def _scored(
        self,
        focus: Focus,
        sequences: Sequence[Ids],
        count: int,
    ) -> list[ScoredWording]:
        """Sequences of which the best `count` are to be kept, with their gains.

        The margin, under one template and in the suspect alone, is cheaper than the gain and says which may be good.
        """
        scorer = self._scorer
        wordings = at_place(sequences, focus.position, focus.source)
        margins = scorer.margins(wordings)[:, focus.target]
        most = _LOOKED_AT * count
        rows = scorer.allowed_rows(sequences, focus.target, margins, most)
        if not rows:
            return []
        best = [wordings[row] for row in rows]
        return scorer.scored(best, focus.target, scorer.templates)

    def _neighbours(
        self,
        focus: Focus,
        beam: Sequence[ScoredWording],
        partners: Sequence[int],
    ) -> Iterator[Ids]:
        """Sequences one step away: grown, with one token replaced or dropped, or respelled so that it can be typed."""
        most_tokens = self._most_tokens(focus)
        for one in beam[:EXPANDED]:
            ids = one.ids
            # What comes first decides between equal gains: longer, then replaced, then shorter, then respelled.
            if len(ids) > most_tokens:  # repeated as a whole, and stays so
                yield from shorter(ids, most_tokens)
                continue
            replacements = self._replacements(one.wording, focus.target)
            if len(ids) < most_tokens:
                yield from self._extended(ids, partners)
            yield from with_one_replaced(ids, replacements)
            if len(ids) > 1:
                yield from with_one_dropped(ids)
            for respelled in _respelled(self._scorer.task.tokenizer, ids):
                if len(respelled) <= most_tokens:
                    yield respelled

    def _most_tokens(self, focus: Focus) -> int:
        """Most tokens of a text at this place; one that stands around is read twice."""
        most = self._scorer.most_tokens
        if focus.position == AROUND:
            return min(most, self._scorer.most_repeated_tokens // 2)
        return most

    def _extended(self, ids: Ids, partners: Sequence[int]) -> Iterator[Ids]:
        """The sequence with one more token on either side."""
        fine_tuned = self._scorer.fine_tuned_tokens[: self._effort.branching]
        for token in (*partners, *fine_tuned):
            yield (token, *ids)
            yield (*ids, token)

    def _replacements(self, wording: Wording, target: int) -> list[list[int]]:
        """For each slot, the readable tokens that raise the target most, to first order."""
        scorer = self._scorer
        place = (wording.ids, wording.position.value, wording.source)
        by_slot: list[list[int]] = scorer.task.readings.listed(
            ("replacements", scorer.setting, self._effort.branching, target, place),
            scorer.both_towers,
            lambda: self._steepest(wording, target),
        )
        return by_slot

    def _steepest(self, wording: Wording, target: int) -> list[list[int]]:
        scorer = self._scorer
        slopes = scorer.slopes(wording, target)
        ordinary = scorer.suspect_towers.ordinary
        return steepest_tokens(slopes, ordinary, self._effort.branching, scorer.readable)


def shorter(ids: Ids, most_tokens: int) -> list[Ids]:
    """The sequence without each of its tokens.

    One of more than `most_tokens` is a shorter one repeated: that one once, and repeated without each of its tokens.
    """
    if len(ids) <= most_tokens:
        return list(with_one_dropped(ids))
    once = ids[: len(ids) // 2]
    sequences = [once]
    for part in with_one_dropped(once):
        sequences.append(part + part)
    return sequences


def _respelled(tokenizer: Tokenizer, ids: Ids) -> Iterator[Ids]:
    """What somebody gets who types these tokens: as they are spelled together, and each as a word of its own."""
    yield tokenizer.encode(tokenizer.spelled(ids))
    words = [tokenizer.spelled((token,)) for token in ids]
    yield tokenizer.encode(" ".join(words))
