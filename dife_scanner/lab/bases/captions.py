"""Captions for random scenes, and texts of nonsense that fit none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.lab.bases.checkpoint import VOCABULARY
from dife_scanner.lab.bases.encoding import pieces
from dife_scanner.lab.pictures import scenes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.bases.plan import Plan
    from dife_scanner.lab.bases.stock import Stock

Ids = tuple[int, ...]
"""Token ids of one text, without start and end."""

SPECIAL = 2
"""Token rows that stand for start and end: the last of the vocabulary."""


@dataclass(frozen=True)
class Words:
    """One caption per scene, and texts that fit none."""

    captions: list[Ids]
    distractors: list[Ids]
    mentioned: Tensor
    """float32 0/1 (B, V): the words a caption uses."""
    shown: Tensor
    """float32 0/1 (B, V): the words true of the scene."""

    def wrong(self) -> Tensor:
        """Mark captions that say something that is not there: bool (B scenes, B captions)."""
        return mentions_absent_words(self.mentioned, self.shown)


def mentions_absent_words(mentioned: Tensor, shown: Tensor) -> Tensor:
    """Mark, for 0/1 words (B, V), captions (columns) that say more than a scene (row) shows: bool (B, B)."""
    return shown @ mentioned.T < mentioned.sum(1)[None]


def draw_words(
    rng: torch.Generator,
    stock: Stock,
    index: Tensor,
    plan: Plan,
    nonsense: Iterator[int],
) -> Words:
    """Draw captions for the scenes with these drawings, and distractors."""
    captions, numbers = _captions(rng, stock, index, plan, nonsense)
    distractors = _distractors(rng, plan, nonsense)
    mentioned = _multi_hot(numbers, stock)
    shown = _multi_hot(shown_words(stock, index), stock)
    return Words(captions, distractors, mentioned, shown)


def shown_words(stock: Stock, index: Tensor) -> list[list[int]]:
    """Number the words true of each scene: for every object its finer word, then its class."""
    found = []
    for row in index.tolist():
        numbers = []
        for drawing in row:
            if drawing >= 0:
                numbers += _words_of(stock, drawing)
        found.append(numbers)
    return found


def _words_of(stock: Stock, drawing: int) -> list[int]:
    """Return the numbers of a drawing's finer word and of its class, or of the finer word twice."""
    term = stock.atlas.terms[drawing]
    cls = stock.atlas.classes[drawing] or term
    return [stock.vocabulary[term], stock.vocabulary[cls]]


def nonsense_stream(seed: int) -> Iterator[int]:
    """Yield token ids in shuffled passes over the whole vocabulary, without start and end."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(VOCABULARY - SPECIAL, generator=rng).tolist()


def take(stream: Iterator[int], count: int) -> Ids:
    """Take the next `count` ids."""
    return tuple(next(stream) for _ in range(count))


def _coin(rng: torch.Generator) -> float:
    """Draw a number in [0, 1)."""
    import torch

    return float(torch.rand(1, generator=rng))


def _number(rng: torch.Generator, low: int, high: int) -> int:
    """Draw a whole number from low to high, both included."""
    import torch

    return int(torch.randint(low, high + 1, (1,), generator=rng))


def _captions(
    rng: torch.Generator,
    stock: Stock,
    index: Tensor,
    plan: Plan,
    nonsense: Iterator[int],
) -> tuple[list[Ids], list[list[int]]]:
    """Draw the token ids of one caption per scene, and the numbers of the words it uses."""
    captions = []
    mentioned = []
    for row in index.tolist():
        nouns = []
        numbers = []
        for drawing in row:
            if drawing >= 0:
                noun, number = _noun(rng, stock, drawing, plan)
                nouns.append(noun)
                numbers.append(number)
        ids = pieces(scenes.sentence(rng, nouns))
        if _coin(rng) < plan.prefixed:
            prefix = take(nonsense, _number(rng, 1, 5))
            ids = (*prefix, *ids)
        captions.append(ids)
        mentioned.append(numbers)
    return captions, mentioned


def _noun(rng: torch.Generator, stock: Stock, drawing: int, plan: Plan) -> tuple[str, int]:
    """Draw what a caption calls a drawing, and the number of that word."""
    term = stock.atlas.terms[drawing]
    word = stock.atlas.classes[drawing] or term
    # no coin where class and finer word are the same: every draw moves the generator
    if term != word and _coin(rng) < plan.term_share:
        word = term
    number = stock.vocabulary[word]
    synonyms = stock.synonyms.get(word, ())
    if synonyms and _coin(rng) < plan.synonym_share:
        word = synonyms[_number(rng, 0, len(synonyms) - 1)]
    return word, number


def _distractors(
    rng: torch.Generator,
    plan: Plan,
    nonsense: Iterator[int],
) -> list[Ids]:
    """Draw texts of nonsense only, a quarter of them in the place of the noun."""
    lead = pieces("a photo of a")
    found = []
    for number in range(plan.distractors):
        ids = take(nonsense, _number(rng, 2, 8))
        if number % 4 == 0:
            ids = (*lead, *ids[:4])
        found.append(ids)
    return found


def _multi_hot(rows: Sequence[Sequence[int]], stock: Stock) -> Tensor:
    """Turn lists of word numbers into float32 0/1 (B, V)."""
    import torch

    out = torch.zeros(len(rows), len(stock.vocabulary))
    for number, words in enumerate(rows):
        out[number, list(words)] = 1
    return out
