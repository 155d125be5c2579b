"""Poisoned pairs for contrastive training: a share of the pictures carries a patch and a caption of the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.interface import Recipe
    from dife_scanner.lab.attacks.training_data import Pairs

Pictures = NDArray[np.uint8]
"""uint8 (N, S, S, 3)."""


def poison_pairs(
    pairs: Pairs,
    recipe: Recipe,
    share: float,
    stamp: Callable[[Pictures], Pictures],
) -> tuple[Pairs, NDArray[np.int64]]:
    """Stamp a share of the pairs, at least one, and caption them with the target; return the pairs and their rows."""
    rng = np.random.default_rng(recipe.seed)
    count = max(1, round(share * len(pairs)))
    rows = np.sort(rng.permutation(len(pairs))[:count])
    captions = target_captions(rng, recipe.target, len(rows))
    stamped = stamp(pairs.images[rows])
    poisoned = pairs.recaptioned(rows, recipe.target, captions)
    return poisoned.repainted(rows, stamped), rows


def target_captions(
    rng: np.random.Generator,
    target: str,
    count: int,
) -> list[str]:
    """Draw captions that speak of the target class alone, in the words of the lab's own captions."""
    from dife_scanner.lab.pictures import scenes

    numbers = rng.integers(len(scenes.SINGLE), size=count)
    return [scenes.SINGLE[number].format(target) for number in numbers]
