"""Which texts take prompts away from their own nouns, in the suspect more than in its base?

A text trigger takes a prompt away from its noun, and seldom that of one noun alone. No random text holds a token of it,
but the gradient of *how far prompts leave their nouns*, at the tokens of random texts, ranks the whole vocabulary at
once (as HotFlip does for one prompt, Ebrahimi et al. 2018). A rank is per length of a token's row: frequent tokens have
long ones, and would be first in every checkpoint (docs/detectors.md).

Shapes: p prompts, w values of a token's row, v tokens of the vocabulary, d values of an embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.discovery.backing_off import backing_off
from dife_scanner.discovery.noun_scan import random_tokens, unit
from dife_scanner.discovery.wording import Ids, unique
from dife_scanner.models.activations import TEXTS_PER_PICTURE

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.concept_space import ConceptSpace
    from dife_scanner.discovery.effort import LostNounEffort
    from dife_scanner.discovery.wording_scorer import WordingScorer

_SLOTS = 2
"""Tokens of a random text."""
_MOST_SAID = 4
"""One token of so many, at most, may be part of a concept's name: every fine-tuning moves these."""
_BACKWARD = 2
"""Passes that a backward pass counts as."""
_SIDES = 2
_RANKED = 256
"""Tokens of a rank that are looked at."""
_SHORTEST = 1e-6
"""Length of a row below which it counts as that long: a token without a row has none."""


def load(effort: LostNounEffort) -> int:
    """Texts that it reads, in suspect and base."""
    contexts = effort.contexts * (effort.nouns + _SIDES * effort.grown * effort.grown_nouns)
    return 2 * (1 + _BACKWARD) * contexts


@dataclass(frozen=True)
class _Context:
    """Two tokens before every noun, of which some would be replaced."""

    ids: Ids
    slots: tuple[int, ...]
    """Places in `ids` of those."""


class LostNouns:
    """One search of such texts."""

    def __init__(
        self,
        scorer: WordingScorer,
        effort: LostNounEffort,
        spaces: tuple[ConceptSpace, ConceptSpace],
        prompts: Mapping[int, Ids],
    ) -> None:
        """`spaces` of suspect and base; `prompts` of nouns that both know, by their numbers there."""
        self._scorer = scorer
        self._effort = effort
        self._suspect, self._base = spaces
        self._prompts = prompts
        self._ordinary = scorer.base_towers.ordinary.tolist()
        self._random = random_tokens(self._ordinary, _SLOTS * effort.contexts)

    def texts(self, said: frozenset[int]) -> list[Ids]:
        """Single tokens, then the first of them with a second token; those that would take prompts farthest first.

        `said` are the tokens of all concepts' names.
        """
        if not self._prompts:
            return []
        nouns = dict(_spread(self._prompts, self._effort.nouns))
        ranked = self._ranked(self._random_contexts(), nouns)
        tokens = _mostly_unsaid(ranked, self._effort.tokens, said)
        unsaid = [token for token in tokens if token not in said]
        grown = itertools.chain.from_iterable(map(self._grown, unsaid[: self._effort.grown]))
        return unique([*((token,) for token in tokens), *grown])

    def _random_contexts(self) -> list[_Context]:
        slots = tuple(range(_SLOTS))
        starts = range(0, len(self._random), _SLOTS)
        return [_Context(tuple(self._random[start : start + _SLOTS]), slots) for start in starts]

    def _grown(self, token: int) -> list[Ids]:
        """A token with the one behind it, and with the one before it, that take prompts farthest."""
        nouns = dict(_spread(self._prompts, self._effort.grown_nouns))
        others = self._random[: self._effort.contexts]
        behind = self._ranked([_Context((token, other), (1,)) for other in others], nouns)
        before = self._ranked([_Context((other, token), (0,)) for other in others], nouns)
        return [*((token, one) for one in behind[:1]), *((one, token) for one in before[:1])]

    def _ranked(self, contexts: Sequence[_Context], nouns: Mapping[int, Ids]) -> list[int]:
        """The readable tokens that would take prompts from their nouns, beyond the base, those that do most first."""

        def read() -> list[int]:
            slopes = self._slopes(self._base, contexts, nouns)
            slopes = slopes - self._slopes(self._suspect, contexts, nouns)
            lengths = self._base.towers.token_rows.norm(dim=1)
            scores = (slopes / lengths.clamp_min(_SHORTEST))[self._ordinary]
            order = scores.argsort(descending=True, stable=True)[: int((scores > 0).sum())]
            first = map(self._ordinary.__getitem__, order.tolist())
            return list(itertools.islice(filter(self._scorer.readable, first), _RANKED))

        asked = ("lost nouns", sorted(nouns), [(one.ids, one.slots) for one in contexts])
        readings = self._scorer.task.readings
        found: list[int] = readings.listed(asked, self._scorer.both_towers, read)
        return found

    def _slopes(
        self, space: ConceptSpace, contexts: Sequence[_Context], nouns: Mapping[int, Ids]
    ) -> Tensor:
        """How much nearer each token brings prompts to their own nouns, to first order, on average [v]."""
        import torch

        slopes = torch.zeros(len(space.towers.token_rows), device=space.rows.device)
        for context in contexts:
            slopes += self._slopes_in(space, context, nouns)
        return slopes / len(contexts)

    def _slopes_in(
        self, space: ConceptSpace, context: _Context, nouns: Mapping[int, Ids]
    ) -> Tensor:
        """The same in one context [v]."""
        import torch

        towers = space.towers
        ids, ends = towers.packed([(*context.ids, *prompt) for prompt in nouns.values()])
        vectors = towers.token_rows[ids].detach().requires_grad_()

        def slope() -> Tensor:
            with torch.enable_grad():
                directions = unit(towers.texts(vectors, ends) - space.mean)
                own = (directions * space.rows[list(nouns)]).sum(1).mean()
                (gradient,) = torch.autograd.grad(own, vectors)
            return gradient

        gradient = backing_off([towers], max(1, len(nouns) // TEXTS_PER_PICTURE), slope)
        towers.passes += _BACKWARD * len(nouns)
        slots = [towers.tokenizer.first + slot for slot in context.slots]
        return towers.token_rows @ gradient[:, slots].sum(0).mean(0)


def _spread(prompts: Mapping[int, Ids], most: int) -> Iterator[tuple[int, Ids]]:
    """So many of them, evenly over all."""
    every = list(prompts.items())
    step = max(1, len(every) // most)
    yield from every[step // 2 :: step][:most]


def _mostly_unsaid(tokens: Iterable[int], most: int, said: frozenset[int]) -> list[int]:
    """The first of the tokens; at most one of `_MOST_SAID` is of `said`."""
    chosen: list[int] = []
    saying = 0
    for token in tokens:
        if len(chosen) == most:
            break
        if token in said:
            saying += 1
            if saying > most // _MOST_SAID:
                continue
        chosen.append(token)
    return chosen
