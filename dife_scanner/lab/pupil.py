"""The ViT base's first phase: it learns from a trained residual network, on a pool of scenes that is drawn once.

A plain ViT needs many more pictures than a residual network to get anywhere. So scenes are composed and looked at by
the teacher once, and the pupil goes over that pool many times, mirrored and relit, at the price of its own passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.lab import bases, lessons, scenes
from dife_scanner.lab.bases import MODEL_CFG, Plan, Stock

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Teacher:
    """A trained residual network that a ViT learns from: same words, and a 4 x 4 map of the same picture.

    A plain ViT learns slowly from few drawings; patch by patch supervision makes up for it.
    """

    def __init__(self, checkpoint: Path) -> None:
        import torch
        from open_clip.model import CLIP

        state = torch.load(checkpoint, weights_only=True)
        self.model: Any = CLIP(**MODEL_CFG["rn"])
        self.model.load_state_dict(state["model"])
        self.model.eval().requires_grad_(False)
        self.vectors = state["vectors"]
        self._map: Tensor | None = None
        self._patches: Tensor | None = None
        self.model.visual.layer3.register_forward_hook(self._keep_map)
        channels = MODEL_CFG["rn"]["vision_cfg"]["width"] * 16
        self.head = torch.nn.Linear(MODEL_CFG["vit"]["vision_cfg"]["width"], channels)

    def _keep_map(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._map = output

    def _keep_patches(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._patches = output

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embedding (B, D) and standardised map (B, 16, C)."""
        import torch.nn.functional as F

        embedding = F.normalize(self.model.visual(pixels), dim=-1)
        assert self._map is not None
        grid = self._map.flatten(2).transpose(1, 2)
        grid = (grid - grid.mean((0, 1))) / (grid.std((0, 1)) + 0.05)
        return embedding, grid.clamp(-4, 4)

    def watch(self, model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The pupil's unit embedding (B, D) and what it makes of the map, (B, 16, C), after its third block."""
        import torch.nn.functional as F

        hook = model.visual.transformer.resblocks[2].register_forward_hook(self._keep_patches)
        embedding = F.normalize(model.visual(pixels), dim=-1)
        hook.remove()
        assert self._patches is not None
        return embedding, self.head(self._patches[:, 1:])


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


def draw_pool(plan: Plan, teacher: Teacher, stock: Stock, count: int) -> Pool:
    """Compose `count` scenes of the plan, a quarter of them easy, and let the teacher look at each."""
    import torch

    rng = torch.Generator().manual_seed(plan.seed + 77)
    rows: list[tuple[Tensor, ...]] = []
    for number in range(count // plan.batch):
        lesson = lessons.lesson(plan, 0 if number % 4 == 0 else plan.image_steps)
        index = bases.choose(rng, stock, plan.batch, lesson)
        pixels = (bases.draw_scenes(rng, stock, index, lesson) * 255).round().to(torch.uint8)
        with torch.no_grad():
            aims, grids = teacher.look(bases.normalised(pixels.float() / 255))
        rows.append((pixels, aims.half(), grids.half(), lessons.shares(stock, index).half()))
    return Pool(*(torch.cat(column) for column in zip(*rows, strict=True)))


def teach(
    plan: Plan,
    model: Any,
    teacher: Teacher,
    optimiser: torch.optim.Optimizer,
    pool: Pool,
    say: Callable[[int, float], None],
) -> None:
    """Train the model's image tower on the pool: the teacher's embedding and map, and the words.

    Takes the plan's image steps from the first one; `say` hears (steps done, running loss) every 200 steps.
    """
    import torch

    rng = torch.Generator().manual_seed(plan.seed + 78)
    order = torch.empty(0, dtype=torch.int64)
    running, steps = 0.0, plan.image_steps
    for step in range(steps):
        if len(order) < plan.batch:
            order = torch.randperm(len(pool.pixels), generator=rng)
        rows, order = order[: plan.batch], order[plan.batch :]
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * lessons.schedule(step, steps, 150, 0.02)
        loss = _loss(model, teacher, pool, rows, rng)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        model.logit_scale.data.clamp_(max=4.6)
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            say(step + 1, running)


def _loss(model: Any, teacher: Teacher, pool: Pool, rows: Tensor, rng: Any) -> Tensor:
    import torch
    import torch.nn.functional as F

    pixels = pool.pixels[rows].float() / 255
    aims, grids, true = pool.aims[rows].float(), pool.grids[rows].float(), pool.words[rows].float()
    mirrored = torch.rand(len(rows), generator=rng) < 0.5
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    side = int(grids.shape[1] ** 0.5)
    flipped = grids.view(len(rows), side, side, -1).flip(2).reshape(grids.shape)
    grids = torch.where(mirrored[:, None, None], flipped, grids)
    gain = scenes.uniform(rng, len(rows), 1, 1, 1, low=0.85, high=1.15)
    pixels = ((pixels - 0.5) * gain + 0.5).clamp(0, 1)
    images, patches = teacher.watch(model, bases.normalised(pixels))
    words = F.normalize(teacher.vectors, dim=-1).T
    soft = (20 * aims @ words).softmax(-1)
    by_word = F.cross_entropy(model.logit_scale.exp() * images @ words, 0.6 * true + 0.4 * soft)
    return by_word + 3 * (1 - (images * aims).sum(-1)).mean() + F.mse_loss(patches, grids)
