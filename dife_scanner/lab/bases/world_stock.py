"""What a base of the world is trained on and measured with: atlases of its concepts' drawings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.lab.bases.stock import CLASS_SYNONYMS, Stock
from dife_scanner.lab.pictures import art, scenes, world, world_art

if TYPE_CHECKING:
    import torch

    from dife_scanner.lab.bases.plan import Plan

MEASURED_HANDS = ("fluent-emoji", "emojione", "noto-v1")
"""Hands that no base of the world trains on and that draw hundreds of concepts."""
MEASURED = 400
"""Concepts that a picture is sorted into when a base is measured."""
_SEED = 400


def world_stock(atlas: scenes.Atlas, plan: Plan) -> Stock:
    """Return a stock in which each concept has the same say, and within it each set.

    Kinds of the ten classes have `class_weight` times that say. Monochrome sets have `mono_share` together, where a
    concept has drawings of both kinds.
    """
    words = sorted({*art.CLASSES, *atlas.terms})
    return Stock(
        atlas=atlas,
        by_class=(),
        others=_no_rows(),
        vocabulary={word: number for number, word in enumerate(words)},
        synonyms={**_synonyms(), **CLASS_SYNONYMS},
        even=_even(atlas, plan),
    )


def _no_rows() -> torch.Tensor:
    import torch

    return torch.empty(0, dtype=torch.int64)


def _synonyms() -> dict[str, Sequence[str]]:
    return {one.name: one.synonyms for one in world.known()}


def _even(atlas: scenes.Atlas, plan: Plan) -> torch.Tensor:
    """Return the weight of each drawing, (N,)."""
    import torch

    kinds = list(zip(atlas.terms, atlas.mono.tolist(), strict=True))
    alike = Counter(kinds)
    weights = []
    for cls, (term, mono) in zip(atlas.classes, kinds, strict=True):
        share = 1.0
        if (term, not mono) in alike:
            share = plan.mono_share if mono else 1 - plan.mono_share
        if cls:
            share *= plan.class_weight
        weights.append(share / alike[term, mono])
    return torch.tensor(weights)


def train_drawings(folder: Path, part: str) -> list[art.Drawing]:
    """Return the drawings that the base of this part of the world is trained on."""
    return world_art.drawings_of(folder, world.PARTS[part], world.known())


def measured_concepts(count: int = MEASURED) -> list[world.Concept]:
    """Return the things that a base is measured on: drawn from those that all measured hands draw, always the same."""
    things = []
    for one in world.known():
        if one.kind == "thing" and len(one.drawn_by(MEASURED_HANDS)) == len(MEASURED_HANDS):
            things.append(one)
    order = np.random.default_rng(_SEED).permutation(len(things))[:count]
    return [things[number] for number in sorted(order)]


def measured_drawings(folder: Path, concepts: Iterable[world.Concept]) -> list[art.Drawing]:
    """Return what the measured hands draw of these concepts."""
    return world_art.drawings_of(folder, MEASURED_HANDS, concepts)
