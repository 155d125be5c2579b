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
    """Direction of each from the mean of all [n, d]."""
    mean: Tensor
    """That mean [d]."""

    @classmethod
    def of(cls, towers: Towers, embedded: Tensor) -> ConceptSpace:
        """From the prompts of all concepts [n, d]."""
        mean = embedded.mean(0)
        return cls(towers, unit(embedded - mean), mean)

    def cosines(self, embedded: Tensor) -> Tensor:
        """Of prompts [t, d] with every concept [t, n]."""
        return unit(embedded - self.mean) @ self.rows.T
