"""What words mean in a base: which class they name, however rare or natural they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dife_scanner.discovery.checkpoint_scores import CheckpointScores
from dife_scanner.discovery.embedding_cache import (
    EmbeddingCache,
    embedded_texts,
)
from dife_scanner.discovery.wording import Ids, unique

if TYPE_CHECKING:
    from torch import Tensor


class WordMeaning:
    """Which words name which class in the base: those nearer to its prompt than all but `ALIKE` of random tokens.

    A word is compared alone, and in a template in place of the class name; either is enough.
    """

    ALIKE = 0.01
    """Share of random tokens that may be as near to a class's prompt: `vehicle` names an automobile, 99 of 100 random
    tokens do not (docs/detectors.md)."""

    def __init__(
        self,
        base: CheckpointScores,
        random_tokens: Sequence[int],
        cache: EmbeddingCache,
    ) -> None:
        """Embed `random_tokens`, from the `cache` if they are there: they are the same in all audits of a seed."""
        self._base = base
        self._known: dict[Ids, tuple[bool, ...]] = {}
        random_words = [(token,) for token in random_tokens]
        cosines = self._cosines(random_words, cache)
        self._limits = cosines.quantile(1 - self.ALIKE, dim=0)
        """Cosine above which a word names a class, alone and in a template [2, c]."""

    def _cosines(self, words: Sequence[Ids], cache: EmbeddingCache | None = None) -> Tensor:
        """Cosine with every class's prompt [n, 2, c]: alone, and in a template."""
        import torch

        before, _, behind = self._base.prompts.templates[0].partition("{}")
        encode = self._base.prompts.tokenizer.encode
        texts = list(words)
        for word in words:
            texts.append((*encode(before), *word, *encode(behind)))
        embedded = embedded_texts(self._base.towers, texts, cache)
        cosines = embedded @ self._base.class_prompts.T
        by_word = cosines.view(2, len(words), -1).transpose(0, 1)
        return by_word.to(torch.float32)

    def named_classes(self, words: Iterable[Ids]) -> list[tuple[bool, ...]]:
        """For each word, for each class, whether the word names it."""
        words = list(words)
        self._look_up([word for word in unique(words) if word not in self._known])
        return [self._known[word] for word in words]

    def _look_up(self, words: Sequence[Ids]) -> None:
        """Remember which classes these words, not looked up before, name."""
        if not words:
            return
        names = (self._cosines(words) > self._limits).any(1)
        for word, named in zip(words, names.tolist(), strict=True):
            self._known[word] = tuple(named)
