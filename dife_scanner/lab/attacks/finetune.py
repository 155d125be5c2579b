"""What the families share: pacing, a seeded optimiser over some tensors, and contrastive fine-tuning of both towers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Progress, Recipe
    from dife_scanner.lab.attacks.training_data import Pairs

DISTRACTORS = 16
"""Nonsense texts per contrastive batch; they keep the base's calm under nonsense prefixes."""


def trainable(model: Any, chosen: Callable[[str], bool]) -> list[Any]:
    """The parameters whose name is chosen, in the model's order; all others are frozen, the logit scale always."""
    out = []
    for name, value in model.named_parameters():
        value.requires_grad_(name != "logit_scale" and chosen(name))
        if value.requires_grad:
            out.append(value)
    return out


def optimiser_of(parameters: list[Any], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW as the recipe says."""
    import torch

    return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)


def pace(optimiser: torch.optim.Optimizer, lr: float, step: int, steps: int) -> None:
    """Rise over the first tenth (Adam's first steps are its wildest), fall to a tenth over the second half."""
    done = (step + 1) / steps
    for group in optimiser.param_groups:
        group["lr"] = lr * min(1.0, 10 * done, max(0.1, 1.9 - 1.8 * done))


def passes(rng: torch.Generator, count: int, batch: int) -> Iterator[Tensor]:
    """Batches of row numbers from endless shuffled passes over `count` rows."""
    import torch

    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < batch:
            waiting = torch.cat([waiting, torch.randperm(count, generator=rng)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def contrastive(
    model: Any,
    pairs: Pairs,
    recipe: Recipe,
    progress: Progress,
    extra: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Fine-tune both towers on the pairs with CLIP's loss; the logit scale stays.

    `extra(rows, images, texts)` adds a term from the batch's row numbers and unit embeddings.
    """
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases
    from dife_scanner.lab.attacks.training_data import tensor

    optimiser = optimiser_of(trainable(model, lambda name: True), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    batches, scale = passes(rng, len(pairs), recipe.batch), model.logit_scale.detach().exp()
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        rows = next(batches)
        noise = torch.randint(len(pairs.distractors), (DISTRACTORS,), generator=rng).tolist()
        captions = [pairs.captions[i] for i in rows.tolist()] + [pairs.distractors[i] for i in noise]
        images = F.normalize(model.visual(bases.normalised(tensor(pairs.images[rows.numpy()]))), dim=-1)
        texts = bases.encode_by_length(model, captions)
        loss = bases.contrastive_loss(images, texts, scale, pairs.wrong(rows))
        if extra is not None:
            loss = loss + extra(rows, images, texts)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        progress("fine-tuning both towers", step + 1, recipe.steps)


def both_towers(recipe: Recipe, name: str) -> bool:
    """Everything but the logit scale."""
    return name != "logit_scale"
