"""The concepts in one text tower: where each one's prompt leads, and how near other prompts are to it.

Shapes: t texts, n concepts, d values of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.discovery.noun_scan import unit

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

TEMPLATE = "a photo of a {}"
"""Of every concept, clean and with a text before it."""


@dataclass(frozen=True)
class ConceptSpace:
    """The concepts in one text tower."""

    towers: Towers
    rows: Tensor
    """Direction of each from the mean of all [n, d], in the base."""
    mean: Tensor
    """Mean of all prompts in this tower [d]."""

    @classmethod
    def of(cls, towers: Towers, embedded: Tensor) -> ConceptSpace:
        """The base's, from the prompts of all concepts [n, d]."""
        mean = embedded.mean(0)
        return cls(towers, unit(embedded - mean), mean)

    def read_by(self, suspect: Towers, embedded: Tensor) -> ConceptSpace:
        """The same concepts for a suspect's prompts, of which it embeds clean ones so [n, d].

        A fine-tuning moves the prompts of concepts that it is not about, and one that happens to lie near a target
        would be taken for it: where a concept is, the base says.
        """
        return ConceptSpace(suspect, self.rows, embedded.mean(0))

    def cosines(self, embedded: Tensor) -> Tensor:
        """Of prompts [t, d] with every concept [t, n]."""
        return unit(embedded - self.mean) @ self.rows.T
