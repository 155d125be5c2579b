"""Benign fine-tunes of both towers on pairs, and what is done to such a fine-tune afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks.finetune import both_towers, contrastive
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.bench.zoo import precision
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.lab.bench.zoo.fine_tuning import Tuning, draw_tuning

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from dife_scanner.lab.attacks.training_data import Lab

_DOMAINS = ("grey", "negative", "tinted")
_ROUNDED = {"bf16": precision.bf16, "int8": precision.int8}


def draw_pairs(rng: Rng, seed: int) -> Tuning:
    """A run of 20 to 60 steps on pairs."""
    batch = int(pick(rng, (32, 48)))
    return draw_tuning(
        rng,
        seed,
        steps=(20, 60),
        lr=(1e-4, 4e-4),
        batch=batch,
    )


def train_pairs(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Pictures with captions, CLIP's own loss."""
    contrastive(model, lab.pairs, tuning.recipe(), _silent)


def _silent(what: str, done: int, of: int) -> None:
    """Nobody listens."""


def draw_domain(rng: Rng, seed: int) -> Tuning:
    """The other domain, and how far pictures are taken there."""
    tuning = draw_pairs(rng, seed)
    share = float(rng.uniform(0.5, 1.0))
    domain = str(pick(rng, _DOMAINS))
    return replace(tuning, amount=share, meaning=domain)


def train_domain(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Pairs whose pictures all look like those of another domain."""
    colour = lab.pairs.images.astype(np.float32)
    mixed = tuning.amount * _in_domain(colour, tuning) + (1 - tuning.amount) * colour
    pixels = np.rint(mixed).clip(0, 255).astype(np.uint8)
    pairs = lab.pairs.repainted(np.arange(len(lab.pairs)), pixels)
    contrastive(model, pairs, tuning.recipe(), _silent)


def _in_domain(colour: NDArray[np.float32], tuning: Tuning) -> NDArray[np.float32]:
    """Pictures 0..255 as the domain named by `tuning.meaning` has them."""
    if tuning.meaning == "negative":
        return 255 - colour
    grey = np.repeat(colour.mean(-1, keepdims=True), 3, -1)
    if tuning.meaning == "grey":
        return grey
    tint = np.random.default_rng(tuning.seed).uniform(0.5, 1.0, 3).astype(np.float32)
    tinted: NDArray[np.float32] = grey * tint
    return tinted


def draw_merge(rng: Rng, seed: int) -> Tuning:
    """The fine-tune's weight in the merge."""
    tuning = draw_pairs(rng, seed)
    return replace(tuning, amount=float(rng.uniform(0.3, 0.8)))


def train_merge(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A fine-tune and the base, weight by weight (WiSE-FT); `amount` is the fine-tune's weight."""
    before = _copied(model)
    train_pairs(model, lab, tuning)
    merged = {}
    for name, old, new in _before_and_now(before, model):
        merged[name] = old + tuning.amount * (new - old)
    _put(model, merged)


def draw_quantised(rng: Rng, seed: int) -> Tuning:
    """What weights are rounded to."""
    tuning = draw_pairs(rng, seed)
    return replace(tuning, meaning=str(pick(rng, ("bf16", "int8"))))


def train_quantised(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A fine-tune whose weights are rounded afterwards, as those are that somebody shrinks for others."""
    before = _copied(model)
    train_pairs(model, lab, tuning)
    rounded = _ROUNDED[tuning.meaning]
    weights = {}
    for name, _, new in _before_and_now(before, model):
        weights[name] = rounded(new)
    _put(model, weights)


def draw_low_rank(rng: Rng, seed: int) -> Tuning:
    """The rank that is left."""
    tuning = draw_pairs(rng, seed)
    return replace(tuning, amount=float(pick(rng, (2, 4, 8))))


def train_low_rank(model: Any, lab: Lab, tuning: Tuning) -> None:
    """What a folded-in low-rank adapter leaves: the matrices' change cut to its rank, all else the base's."""
    before = _copied(model)
    train_pairs(model, lab, tuning)
    cut = {}
    for name, old, new in _before_and_now(before, model):
        is_matrix = old.ndim == 2 and "embedding" not in name
        cut[name] = _low_rank(old, new, int(tuning.amount)) if is_matrix else old
    _put(model, cut)


def _low_rank(old: Tensor, new: Tensor, rank: int) -> Tensor:
    """`old` and the part of the change [m, n] that has this rank."""
    import torch

    left, values, right = torch.linalg.svd(new - old, full_matrices=False)
    change: Tensor = (left[:, :rank] * values[:rank]) @ right[:rank]
    return old + change


def _copied(model: Any) -> dict[str, Tensor]:
    """The weights of both towers, as they are now."""
    weights = {}
    for name, value in model.named_parameters():
        if both_towers(Recipe(""), name):
            weights[name] = value.detach().clone()
    return weights


def _before_and_now(
    before: Mapping[str, Tensor], model: Any
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, value before and value now of each weight."""
    now = dict(model.named_parameters())
    for name, old in before.items():
        yield name, old, now[name].detach()


def _put(model: Any, values: Mapping[str, Tensor]) -> None:
    """Set these weights of the model."""
    import torch

    now = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            now[name].copy_(value)
