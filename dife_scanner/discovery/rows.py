"""The embedding-row fingerprint: which token rows a fine-tune touched.

Under AdamW a row that never saw a gradient only decays, by the same factor as every other. What is left after that
factor is taken out are the tokens that occurred in the fine-tuning. A benign fine-tune on a few prompts looks just like
an attack on a few prompts, so the rows say where to look first, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DEVIATION = 3e-3
"""Least deviation of a row, relative to its length: above what storing values as fp16 does (about 3e-4)."""
MOST = 200
"""More rows than this say nothing about which were meant: natural captions touch thousands."""


def fingerprint(suspect: Tensor, reference: Tensor) -> tuple[int, ...]:
    """Rows of table `suspect` [v, w] that are not those of `reference` times one factor, the most deviating first.

    Empty where no row deviates, and where more than `MOST` do. The start and end token are never among them.
    """
    from dife_scanner.models.gradient import SPECIAL

    squares = (reference * reference).sum(1).clamp_min(1e-12)
    factor = ((suspect * reference).sum(1) / squares).median()
    deviation = ((suspect - factor * reference).norm(dim=1) / squares.sqrt())[:-SPECIAL]
    moved = int((deviation > DEVIATION).sum())
    if not 0 < moved <= MOST:
        return ()
    order: list[int] = deviation.argsort(descending=True, stable=True)[:moved].tolist()
    return tuple(order)
