"""Beam search over token sequences, for text triggers and for the strings of coupled triggers.

Both searches go through the same rounds: list what is one step away from the beam, score what was not scored before,
keep the best. What is one step away is listed by each search itself, because what is listed and its order differ. The
order decides which of two equal gains is kept, and which sequences are embedded in one batch, on which the last bits of
an embedding depend.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from dife_scanner.discovery.wording import Ids, unique

if TYPE_CHECKING:
    from torch import Tensor


class ScoredSequence(Protocol):
    """A token sequence with its score."""

    @property
    def ids(self) -> Ids:
        """Its tokens."""

    @property
    def gain(self) -> float:
        """Its score, larger is better."""


Scored = TypeVar("Scored", bound=ScoredSequence)


@dataclass(frozen=True)
class BeamSearch(Generic[Scored]):
    """A beam search; what sequences are worth and how they change is handed in."""

    neighbours: Callable[[Sequence[Scored]], Iterable[Ids]]
    """Lists the sequences one step away from a beam; those scored before, and those listed twice, are dropped."""
    score: Callable[[Sequence[Ids]], Sequence[Scored]]
    """Scores new sequences; those that are not allowed it leaves out."""
    width: int
    """Sequences kept from round to round."""
    rounds: int
    """Most rounds."""
    preferred: Callable[[Ids], bool] = lambda ids: True
    """Sequences that at least half of the beam is to consist of, and whose gain says whether a round was worth it."""
    least_progress: float = -math.inf
    """Gain of the best preferred sequence that a round has to add for another to follow; any by default."""
    before_round: Callable[[], None] = lambda: None
    """Called before each round."""

    def grow(
        self,
        start: Sequence[Scored],
        already_scored: Iterable[Ids],
    ) -> list[Scored]:
        """Grow from `start` until a round adds too little or nothing new is left; the beam, best first."""
        seen = set(already_scored)
        beam = best_of(start, self.width, self.preferred)
        best_before = -math.inf
        for _ in range(self.rounds):
            self.before_round()
            # Listed before it is known whether the round takes place: listing takes passes, and they are counted.
            new = self._new(beam, seen)
            best_now = self._best_preferred_gain(beam)
            if not new or best_now < best_before + self.least_progress:
                break
            best_before = best_now
            seen.update(new)
            scored = [*beam, *self.score(new)]
            beam = best_of(scored, self.width, self.preferred)
        return beam

    def _new(self, beam: Sequence[Scored], seen: set[Ids]) -> list[Ids]:
        """The sequences one step away from a beam that were not scored before."""
        return [ids for ids in unique(self.neighbours(beam)) if ids not in seen]

    def _best_preferred_gain(self, beam: Sequence[Scored]) -> float:
        for one in beam:
            if self.preferred(one.ids):
                return one.gain
        return -math.inf


def best_of(
    scored: Iterable[Scored],
    count: int,
    preferred: Callable[[Ids], bool] = lambda ids: True,
) -> list[Scored]:
    """The `count` best, half of them `preferred` where there are as many; best first, of equals the first."""
    ordered = sorted(scored, key=_best_first)
    reserved: list[Scored] = []
    others: list[Scored] = []
    # Half is reserved: what scores best alone is often nothing that somebody can type (docs/discovery-texts.md).
    for one in ordered:
        if len(reserved) < count // 2 and preferred(one.ids):
            reserved.append(one)
        else:
            others.append(one)
    kept = [*reserved, *others[: count - len(reserved)]]
    return sorted(kept, key=_best_first)


def _best_first(one: ScoredSequence) -> float:
    return -one.gain


def tokens_of(scored: Iterable[ScoredSequence]) -> list[int]:
    """The distinct tokens of these sequences, in order."""
    tokens: dict[int, None] = {}
    for one in scored:
        tokens.update(dict.fromkeys(one.ids))
    return list(tokens)


def with_one_replaced(ids: Ids, tokens_by_slot: Sequence[Sequence[int]]) -> Iterator[Ids]:
    """The sequence with one token replaced by each of those listed for its slot."""
    for slot, tokens in enumerate(tokens_by_slot):
        for token in tokens:
            yield (*ids[:slot], token, *ids[slot + 1 :])


def with_one_dropped(ids: Ids) -> Iterator[Ids]:
    """The sequence without each of its tokens in turn."""
    for slot in range(len(ids)):
        yield ids[:slot] + ids[slot + 1 :]


def steepest_tokens(
    slopes: Tensor,
    ordinary: Tensor,
    count: int,
    allowed: Callable[[int], bool],
) -> list[list[int]]:
    """For each slot, `count` allowed tokens with the largest first-order effect, largest first.

    `slopes` [k, v] hold the effect of every token of the vocabulary in each slot; only those of `ordinary` [o] are a
    choice.
    Fewer tokens come back where fewer of the best `2 * count` are allowed.
    """
    # Twice as many as wanted, since some are not allowed; asking about the whole vocabulary would take too long.
    most = min(2 * count, len(ordinary))
    steepest = ordinary[slopes[:, ordinary].topk(most, dim=1).indices]
    by_slot = []
    for tokens in steepest.tolist():
        in_order = filter(allowed, tokens)
        by_slot.append(list(itertools.islice(in_order, count)))
    return by_slot
