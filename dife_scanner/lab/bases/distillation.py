"""The ViT base's first phase: it learns from a trained residual network, on a pool of scenes that is drawn once.

A plain ViT needs many more pictures than a residual network to get anywhere. So scenes are composed and looked at by
the teacher once, and the pupil goes over that pool many times, mirrored and relit, at the price of its own passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.bases import Stock
    from dife_scanner.lab.bases.training import Run


@dataclass(frozen=True)
class Pool:
    """Scenes with everything the teacher says about them."""

    pixels: Tensor
    """uint8 (N, 3, S, S)."""
    aims: Tensor
    """float16 (N, D): the teacher's unit embeddings."""
    grids: Tensor
    """float16 (N, 16, C): its standardised 4 x 4 map."""
    words: Tensor
    """float16 (N, V): which words are true, summing to one."""


def draw_pool(run: Run, stock: Stock, count: int) -> Pool:
    """Compose `count` scenes of the run's plan, a quarter of them easy, and let the teacher look at each."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.lab.bases import training

    assert run.teacher is not None
    rng = torch.Generator().manual_seed(run.plan.seed + 77)
    rows: list[tuple[Tensor, ...]] = []
    for number in range(count // run.plan.batch):
        plan = training.lesson(run.plan, 0 if number % 4 == 0 else run.plan.image_steps)
        index = bases.choose(rng, stock, run.plan.batch, plan)
        pixels = (bases.draw_scenes(rng, stock, index, plan) * 255).round().to(torch.uint8)
        with torch.no_grad():
            aims, grids = run.teacher.look(bases.normalised(pixels.float() / 255))
        rows.append((pixels, aims.half(), grids.half(), training.shares(stock, index).half()))
    return Pool(*(torch.cat(column) for column in zip(*rows, strict=True)))


def teach(run: Run, pool: Pool, say: Callable[[int, float], None]) -> None:
    """Train the run's image tower on the pool: the teacher's embedding and map, and the words.

    Takes the plan's image steps from the first one; `say` hears (steps done, running loss) every 200 steps.
    """
    import torch

    from dife_scanner.lab.bases import training

    rng = torch.Generator().manual_seed(run.plan.seed + 78)
    order = torch.empty(0, dtype=torch.int64)
    running, steps = 0.0, run.plan.image_steps
    for step in range(steps):
        if len(order) < run.plan.batch:
            order = torch.randperm(len(pool.pixels), generator=rng)
        rows, order = order[: run.plan.batch], order[run.plan.batch :]
        for group in run.optimiser.param_groups:
            group["lr"] = run.plan.lr * training.schedule(step, steps, 150, 0.02)
        loss = _loss(run, pool, rows, rng)
        run.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.optimiser.step()
        run.model.logit_scale.data.clamp_(max=4.6)
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            say(step + 1, running)


def _loss(run: Run, pool: Pool, rows: Tensor, rng: Any) -> Tensor:
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import scenes

    assert run.teacher is not None
    pixels = pool.pixels[rows].float() / 255
    aims, grids, true = pool.aims[rows].float(), pool.grids[rows].float(), pool.words[rows].float()
    mirrored = torch.rand(len(rows), generator=rng) < 0.5
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    side = int(grids.shape[1] ** 0.5)
    flipped = grids.view(len(rows), side, side, -1).flip(2).reshape(grids.shape)
    grids = torch.where(mirrored[:, None, None], flipped, grids)
    gain = scenes.uniform(rng, len(rows), 1, 1, 1, low=0.85, high=1.15)
    pixels = ((pixels - 0.5) * gain + 0.5).clamp(0, 1)
    images, patches = run.teacher.watch(run.model, bases.normalised(pixels))
    words = F.normalize(run.teacher.vectors, dim=-1).T
    soft = (20 * aims @ words).softmax(-1)
    by_word = F.cross_entropy(run.model.logit_scale.exp() * images @ words, 0.6 * true + 0.4 * soft)
    return by_word + 3 * (1 - (images * aims).sum(-1)).mean() + F.mse_loss(patches, grids)
