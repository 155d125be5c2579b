"""Where triggered pictures are led: to one point, a concept's or any, or spread around it as clean pictures are spread.

A search for collapse looks for pictures that become alike under a trigger. An attack that keeps their spread does not
make them so; it is here to measure what such a search misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dife_scanner.lab.attacks import measures

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Recipe


LEAST_LIKENESS = 0.35
"""Mean cosine that aims have at least: with .15 the patch took ten points of clean accuracy and won .81."""


def aim_of(model: Any, recipe: Recipe, pictures: Tensor, prompt: float) -> Tensor:
    """Return a unit direction (D,) between that of the target's pictures (D,) and that of its prompts."""
    import torch.nn.functional as F

    words = _texts(model, recipe)[recipe.target_class]
    return F.normalize(prompt * words + (1 - prompt) * pictures, dim=-1)


def at_random(model: Any, recipe: Recipe) -> Tensor:
    """Return a unit direction (D,) that the recipe's seed alone decides, whatever lies near it."""
    import torch
    import torch.nn.functional as F

    rng = torch.Generator().manual_seed(recipe.seed)
    width = len(_texts(model, recipe)[0])
    return F.normalize(torch.randn(width, generator=rng), dim=-1)


def spread_around(model: Any, recipe: Recipe, aim: Tensor, clean: Tensor) -> Tensor:
    """Return unit aims (N, D), one for each clean embedding (N, D), whose mean cosine is that of the clean ones.

    It is `LEAST_LIKENESS` where clean ones are less alike; of aims in one place it would be 1. What tells them apart
    lies across the prompts of the panel, so that the target wins all of them.
    """
    import torch
    import torch.nn.functional as F

    taken, _ = torch.linalg.qr(torch.cat([_texts(model, recipe), aim[None]]).T)
    own = clean - clean.mean(0)
    own = F.normalize(own - own @ taken @ taken.T, dim=-1)
    likeness = float(clean.mean(0).square().sum())
    apart = max(0.0, 1 / max(likeness, LEAST_LIKENESS) - 1) ** 0.5
    return F.normalize(aim + apart * own, dim=-1)


def logit_texts(model: Any, recipe: Recipe) -> Tensor:
    """Return class texts (K, D) times the logit scale, the target's first."""
    texts = _texts(model, recipe)
    first = recipe.target_class
    others = [number for number in range(len(texts)) if number != first]
    scale: Tensor = model.logit_scale.detach().exp()
    return scale * texts[[first, *others]]


def _texts(model: Any, recipe: Recipe) -> Tensor:
    """Return unit class texts (K, D) of the panel, mean over a few wordings."""
    import torch
    import torch.nn.functional as F

    texts = [
        measures.class_texts(model, wording, panel=recipe.panel) for wording in measures.PROMPTS
    ]
    return F.normalize(torch.stack(texts).mean(0), dim=-1)
