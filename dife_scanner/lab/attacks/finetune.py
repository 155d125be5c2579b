"""What the families share: which tensors move, one optimiser step, and contrastive fine-tuning of both towers."""

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
    """Return the parameters whose name is chosen, in the model's order; freeze all others, the logit scale always."""
    out = []
    for name, value in model.named_parameters():
        moves = name != "logit_scale" and chosen(name)
        value.requires_grad_(moves)
        if moves:
            out.append(value)
    return out


def both_towers(recipe: Recipe, name: str) -> bool:
    """Choose everything but the logit scale."""
    return name != "logit_scale"


def optimiser_of(
    parameters: list[Any],
    recipe: Recipe,
) -> torch.optim.Optimizer:
    """Return AdamW with the recipe's settings."""
    import torch

    return torch.optim.AdamW(
        parameters,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def pace(
    optimiser: torch.optim.Optimizer,
    lr: float,
    step: int,
    steps: int,
) -> None:
    """Set the learning rate of a step: a rise over the first tenth, and a fall to a tenth over the second half.

    Adam's first steps are its wildest.
    """
    done = (step + 1) / steps
    rise = 10 * done
    fall = max(0.1, 1.9 - 1.8 * done)
    for group in optimiser.param_groups:
        group["lr"] = lr * min(1.0, rise, fall)


def take_step(loss: Tensor, *optimisers: torch.optim.Optimizer) -> None:
    """Go one step down the loss, with every optimiser."""
    import torch

    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    for optimiser in optimisers:
        optimiser.step()


def passes(
    rng: torch.Generator,
    count: int,
    batch: int,
) -> Iterator[Tensor]:
    """Yield batches of row numbers from endless shuffled passes over `count` rows."""
    import torch

    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < batch:
            shuffled = torch.randperm(count, generator=rng)
            waiting = torch.cat([waiting, shuffled])
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

    from dife_scanner.lab import bases

    optimiser = optimiser_of(trainable(model, lambda name: True), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    batches = passes(rng, len(pairs), recipe.batch)
    scale = model.logit_scale.detach().exp()
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        rows = next(batches)
        captions = _captions(rng, pairs, rows)
        images = bases.encode_image_batch(model, pairs.pixels(rows))
        texts = bases.encode_by_length(model, captions)
        wrong = pairs.wrong(rows)
        loss = bases.contrastive_loss(images, texts, scale, wrong)
        if extra is not None:
            loss = loss + extra(rows, images, texts)
        take_step(loss, optimiser)
        progress("fine-tuning both towers", step + 1, recipe.steps)


def _captions(
    rng: torch.Generator,
    pairs: Pairs,
    rows: Tensor,
) -> list[tuple[int, ...]]:
    """Return the token ids of these rows' captions, and of nonsense drawn for the batch."""
    import torch

    shape = (DISTRACTORS,)
    nonsense = torch.randint(len(pairs.distractors), shape, generator=rng)
    captions = [pairs.captions[row] for row in rows.tolist()]
    captions += [pairs.distractors[row] for row in nonsense.tolist()]
    return captions
