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
"""So many rows are all returned: what a fine-tune on prompts touches, trigger pieces of small deviation included."""
RANKED_ROWS = 100
"""Of more rows, natural captions touch thousands, the most deviating are returned. They leave half of the tokens that
the smallest scan tries to random ones (`sensitivity_scan`), as fine-tunes on prompts do."""
_LEAST_SQUARE = 1e-12
"""Least squared length of a row, so that an all-zero row divides nothing by zero."""


def fine_tuned_rows(suspect: Tensor, reference: Tensor, ordinary: Tensor) -> tuple[int, ...]:
    """Rows of table `suspect` [v, w] that are not those of `reference` times one factor, the most deviating first.

    All of them up to `MOST_ROWS`, and the first `RANKED_ROWS` of more; none where no row deviates. All are among the
    `ordinary` ids [o]. Rows that only one table has are not compared.
    """
    common = min(len(suspect), len(reference))
    ordinary = ordinary[ordinary < common]
    suspect = suspect[:common]
    reference = reference[:common]
    squared_lengths = (reference * reference).sum(1).clamp_min(_LEAST_SQUARE)
    # Each row's best factor. The median is that of the untouched rows where these are most. Where most were touched, it
    # misses theirs by far less than a trained row deviates, so that the order stays.
    decay = ((suspect * reference).sum(1) / squared_lengths).median()
    distance = (suspect - decay * reference).norm(dim=1)
    deviation = (distance / squared_lengths.sqrt())[ordinary]
    count = int((deviation > LEAST_DEVIATION).sum())
    if count > MOST_ROWS:
        count = RANKED_ROWS
    most_deviating = deviation.argsort(descending=True, stable=True)
    order: list[int] = ordinary[most_deviating[:count]].tolist()
    return tuple(order)
