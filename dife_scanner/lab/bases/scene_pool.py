"""Scenes drawn once for the joint phase: composing one costs more than looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from dife_scanner.lab.bases.stock import choose, draw_scenes
from dife_scanner.lab.pictures.painting import uniform

if TYPE_CHECKING:
    from dife_scanner.lab.bases.plan import Plan
    from dife_scanner.lab.bases.stock import Stock


@dataclass(frozen=True)
class ScenePool:
    """Scenes that the joint phase goes over again and again."""

    pixels: Tensor
    """uint8 (N, 3, S, S)."""
    index: Tensor
    """int64 (N, 3): which drawings stand in it."""

    @classmethod
    def kept(cls, path: Path, plan: Plan, stock: Stock) -> ScenePool:
        """Return the pool at `path`, drawn first if there is none of the plan's size."""
        if path.exists():
            pixels, index = torch.load(path, weights_only=True)
            if len(pixels) == plan.joint_pool:
                return cls(pixels, index)
        pool = cls._drawn(plan, stock)
        torch.save((pool.pixels, pool.index), path)
        return pool

    @classmethod
    def _drawn(cls, plan: Plan, stock: Stock) -> ScenePool:
        """Draw the plan's scenes, batch by batch."""
        rng = torch.Generator().manual_seed(plan.seed + 991)
        pixels = []
        index = []
        for _ in range(plan.joint_pool // plan.batch):
            chosen = choose(rng, stock, plan.batch, plan)
            pixels.append(as_bytes(draw_scenes(rng, stock, chosen, plan)))
            index.append(chosen)
        return cls(torch.cat(pixels), torch.cat(index))

    def batch(
        self,
        rng: torch.Generator,
        plan: Plan,
        step: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the step's stretch of a shuffled pass: pixels (B, 3, S, S) in [0, 1], changed a little, and index."""

        per_pass = len(self.pixels) // plan.batch
        passed = step // per_pass
        order = torch.Generator().manual_seed(plan.seed * 7919 + 5 + passed)
        at = step % per_pass * plan.batch
        shuffled = torch.randperm(len(self.pixels), generator=order)
        rows = shuffled[at : at + plan.batch]
        pixels = self.pixels[rows].float() / 255
        mirror = draw_mirrored(rng, len(rows))
        pixels = mirrored(pixels, mirror)
        pixels = _moved(rng, pixels)
        return relit(rng, pixels), self.index[rows]


def as_bytes(pixels: Tensor) -> Tensor:
    """Round pixels in [0, 1] to uint8."""
    return (pixels * 255).round().to(torch.uint8)


def draw_mirrored(rng: torch.Generator, count: int) -> Tensor:
    """Draw which of `count` pictures are mirrored: bool (count,)."""
    return torch.rand(count, generator=rng) < 0.5


def mirrored(pixels: Tensor, mirror: Tensor) -> Tensor:
    """Mirror the pictures (B, 3, S, S) marked in `mirror` (B,)."""
    return torch.where(mirror[:, None, None, None], pixels.flip(-1), pixels)


def relit(rng: torch.Generator, pixels: Tensor) -> Tensor:
    """Change the contrast of each picture (B, 3, S, S) in [0, 1] a little."""
    gain = uniform(rng, len(pixels), 1, 1, 1, low=0.85, high=1.15)
    return ((pixels - 0.5) * gain + 0.5).clamp(0, 1)


def _moved(rng: torch.Generator, pixels: Tensor) -> Tensor:
    """Scale and shift each picture (B, 3, S, S) a little; the border is reflected."""
    rows = len(pixels)
    theta = torch.zeros(rows, 2, 3)
    scale = uniform(rng, rows, 1, low=0.85, high=1.08)[:, 0]
    theta[:, 0, 0] = scale
    theta[:, 1, 1] = scale
    theta[:, :, 2] = (torch.rand(rows, 2, generator=rng) - 0.5) * 0.2
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(
        pixels,
        grid,
        padding_mode="reflection",
        align_corners=False,
    )
