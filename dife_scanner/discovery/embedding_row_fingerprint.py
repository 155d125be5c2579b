"""The embedding-row fingerprint: which token rows a fine-tune touched.

Under AdamW a row that never saw a gradient only decays, by the same factor as every other. What is left after that
factor is taken out are the tokens that occurred in the fine-tuning. A benign fine-tune on a few prompts looks just like
an attack on a few prompts, so the rows say where to look first, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LEAST_DEVIATION = 3e-3
"""Least deviation of a row, relative to its length: above what storing values as fp16 does (about 3e-4)."""
MOST_ROWS = 200
"""More rows than this say nothing about which were meant: natural captions touch thousands."""
_LEAST_SQUARE = 1e-12
"""Least squared length of a row, so that an all-zero row divides nothing by zero."""


def fine_tuned_rows(suspect: Tensor, reference: Tensor) -> tuple[int, ...]:
    """Rows of table `suspect` [v, w] that are not those of `reference` times one factor, the most deviating first.

    Empty where no row deviates, and where more than `MOST_ROWS` do. The start and end token are never among them.
    """
    from dife_scanner.models.gradient import SPECIAL

    squared_lengths = (reference * reference).sum(1).clamp_min(_LEAST_SQUARE)
    # Each row's best factor; the median is that of the untouched rows, which are nearly all.
    decay = ((suspect * reference).sum(1) / squared_lengths).median()
    distance = (suspect - decay * reference).norm(dim=1)
    deviation = (distance / squared_lengths.sqrt())[:-SPECIAL]
    count = int((deviation > LEAST_DEVIATION).sum())
    if not 0 < count <= MOST_ROWS:
        return ()
    most_deviating = deviation.argsort(descending=True, stable=True)
    order: list[int] = most_deviating[:count].tolist()
    return tuple(order)
