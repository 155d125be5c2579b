"""Loss terms that several families share.

Both forms of the cosine distance are needed: they differ in the last bit, and specimens have to come out the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Return the cosine distance of each pair of unit embeddings (N, D): (N,)."""
    return 1 - (one * other).sum(-1)


def mean_distance(one: Tensor, other: Tensor) -> Tensor:
    """Return one less the mean cosine of pairs of unit embeddings (N, D)."""
    return 1 - (one * other).sum(-1).mean()
