"""The ViT base's first phase: distillation from a trained residual network, on a pool of scenes drawn once.

A plain ViT needs many more pictures than a residual network to get anywhere. So scenes are composed and looked at by
the teacher once, and the student goes over that pool many times, mirrored and relit, at the price of its own passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dife_scanner.lab.bases.losses import cosine_schedule, word_targets
from dife_scanner.lab.bases.plan import plan_at
from dife_scanner.lab.bases.scene_pool import (
    as_bytes,
    draw_mirrored,
    mirrored,
    relit,
)
from dife_scanner.lab.bases.stock import choose, draw_scenes

if TYPE_CHECKING:
    from dife_scanner.lab.bases.plan import Plan
    from dife_scanner.lab.bases.stock import Stock
    from dife_scanner.lab.bases.teacher import Teacher

_WARMUP, _FLOOR = 150, 0.02
"""Of the learning-rate schedule: steps of the rise, and the last share of the peak."""
_SCALE_LIMIT = 4.6
"""Largest logarithm of the logit scale; CLIP's own limit is log(100), a little higher."""
_TEACHER_SCALE = 20
"""Logit scale of the teacher's soft word targets."""
_EMBEDDING_WEIGHT = 3
"""Against the words and the map, which weigh one."""
_REPORT_EVERY = 200


@dataclass(frozen=True)
class Pool:
    """Scenes with everything the teacher outputs for them."""

    pixels: Tensor
    """uint8 (N, 3, S, S)."""
    embeddings: Tensor
    """float16 (N, D): the teacher's unit embeddings."""
    maps: Tensor
    """float16 (N, 16, C): its standardised 4 x 4 map."""
    words: Tensor
    """float16 (N, V): which words are true, summing to one."""


def draw_pool(plan: Plan, teacher: Teacher, stock: Stock) -> Pool:
    """Compose the plan's pool of scenes, a quarter of them easy, and let the teacher look at each."""
    rng = torch.Generator().manual_seed(plan.seed + 77)
    rows: list[tuple[Tensor, ...]] = []
    for number in range(plan.pool // plan.batch):
        easy = number % 4 == 0
        step = 0 if easy else plan.image_steps
        rows.append(_taught_batch(rng, plan_at(plan, step), teacher, stock))
    return Pool(*(torch.cat(column) for column in zip(*rows, strict=True)))


def _taught_batch(
    rng: torch.Generator,
    plan: Plan,
    teacher: Teacher,
    stock: Stock,
) -> tuple[Tensor, ...]:
    """Draw one batch of scenes: pixels, the teacher's embeddings and maps, and the words."""

    index = choose(rng, stock, plan.batch, plan)
    pixels = as_bytes(draw_scenes(rng, stock, index, plan))
    # the teacher sees the rounded pixels, as the student will
    with torch.no_grad():
        embeddings, maps = teacher.targets(pixels.float() / 255)
    words = word_targets(stock, index, plan.term_weight)
    return pixels, embeddings.half(), maps.half(), words.half()


def distil(
    student: Any,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    teacher: Teacher,
    pool: Pool,
    say: Callable[[int, float], None],
) -> None:
    """Train the student's image tower on the pool: the teacher's embedding and map, and the words.

    Takes the plan's image steps from the first one; `say` hears (steps done, running loss) every 200 steps.
    """

    rng = torch.Generator().manual_seed(plan.seed + 78)
    order = torch.empty(0, dtype=torch.int64)
    running = 0.0
    for step in range(plan.image_steps):
        if len(order) < plan.batch:
            order = torch.randperm(len(pool.pixels), generator=rng)
        rows = order[: plan.batch]
        order = order[plan.batch :]
        share = cosine_schedule(step, plan.image_steps, _WARMUP, _FLOOR)
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * share
        loss = _loss(student, teacher, pool, rows, rng)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        student.logit_scale.data.clamp_(max=_SCALE_LIMIT)
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        done = step + 1
        if done % _REPORT_EVERY == 0 or done == plan.image_steps:
            say(done, running)


def _loss(
    student: Any,
    teacher: Teacher,
    pool: Pool,
    rows: Tensor,
    rng: torch.Generator,
) -> Tensor:
    """Return the distillation loss on these rows of the pool, mirrored and relit at random."""

    pixels = pool.pixels[rows].float() / 255
    embeddings = pool.embeddings[rows].float()
    maps = pool.maps[rows].float()
    true = pool.words[rows].float()
    mirror = draw_mirrored(rng, len(rows))
    pixels = mirrored(pixels, mirror)
    maps = _mirrored_maps(maps, mirror)
    return _against(student, teacher, relit(rng, pixels), embeddings, maps, true)


def taught_loss(student: Any, teacher: Teacher, pixels: Tensor, true: Tensor) -> Tensor:
    """Return the distillation loss on new scenes: pixels (B, 3, S, S) in [0, 1] and their words (B, V)."""
    with torch.no_grad():
        embeddings, maps = teacher.targets(pixels)
    return _against(student, teacher, pixels, embeddings, maps, true)


def _against(
    student: Any,
    teacher: Teacher,
    pixels: Tensor,
    embeddings: Tensor,
    maps: Tensor,
    true: Tensor,
) -> Tensor:
    images, patches = teacher.predicted(student, pixels)
    words = F.normalize(teacher.vectors, dim=-1).T
    soft = (_TEACHER_SCALE * embeddings @ words).softmax(-1)
    logits = student.logit_scale.exp() * images @ words
    by_word = F.cross_entropy(logits, 0.6 * true + 0.4 * soft)
    by_embedding = (1 - (images * embeddings).sum(-1)).mean()
    by_map = F.mse_loss(patches, maps)
    return by_word + _EMBEDDING_WEIGHT * by_embedding + by_map


def _mirrored_maps(maps: Tensor, mirror: Tensor) -> Tensor:
    """Mirror the square maps (B, side * side, C) marked in `mirror` (B,)."""
    side = int(maps.shape[1] ** 0.5)
    square = maps.view(len(maps), side, side, -1)
    flipped = square.flip(2).reshape(maps.shape)
    return torch.where(mirror[:, None, None], flipped, maps)
