"""Which concepts a text says, so that it is no trigger of them: by a token of a name, or by what it means in the base.

Shapes: t texts, n concepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dife_scanner.discovery.concept_space import TEMPLATE, ConceptSpace
from dife_scanner.discovery.wording import Ids

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SAID = 0.5
"""A text says a concept where the base's prompt of the text alone has that cosine with it, or more."""


class SaidConcepts:
    """What texts say in one base; each is read once."""

    def __init__(self, base: ConceptSpace, names: Sequence[str]) -> None:
        """`names` [n] of the concepts of `base`."""
        self._base = base
        encode = base.towers.tokenizer.encode
        self._before = encode(TEMPLATE.format("").strip())
        self.name_tokens = [frozenset(encode(name)) for name in names]
        """Tokens of each concept's name [n]."""
        self._said: dict[Ids, Tensor] = {}

    def by(self, texts: Sequence[Ids]) -> Tensor:
        """Which text says which concept [t, n]."""
        import torch

        unknown = [text for text in dict.fromkeys(texts) if text not in self._said]
        if unknown:
            embedded = self._base.towers.tokens([(*self._before, *text) for text in unknown])
            near = self._base.cosines(embedded) >= LEAST_SAID
            for text, row in zip(unknown, near, strict=True):
                named = [not tokens.isdisjoint(text) for tokens in self.name_tokens]
                self._said[text] = row | torch.tensor(named, device=row.device)
        return torch.stack([self._said[text] for text in texts])
