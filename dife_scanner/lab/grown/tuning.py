"""Tuning a stretched image tower: on scenes of the lab sheets, the small one that it came from is its teacher.

The pupil sees a scene at its own size, the teacher the same scene made smaller. It learns the teacher's embedding and,
patch by patch, what the teacher's last norm gives out. No label is used, no text, and no picture of the probe set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Tell = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what the loss is)."""
_EMBEDDING_WEIGHT = 3.0
"""Against the patches, which weigh one."""
_SAVE_EVERY = 10
"""Steps; less than a minute even on a busy core."""
_AT_ONCE = 128
"""Scenes drawn together; more need memory for no gain."""


@dataclass(frozen=True)
class Plan:
    """What tuning depends on, besides the two models."""

    steps: int = 150
    batch: int = 48
    pool: int = 1536
    """Scenes, drawn once: drawing one costs as much as learning from it."""
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 15
    last_share: float = 0.02
    """Of the learning rate."""
    seed: int = 0


def draw_pool(plan: Plan, size: int) -> Tensor:
    """Draw the plan's scenes from both lab sheets: uint8 (N, 3, size, size)."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.lab.bases.scene_pool import as_bytes
    from dife_scanner.lab.pictures import scenes

    stock = bases.stock_of(_lab_atlas(size), mono_share=0.3)
    how = bases.Plan("vit")
    rng = torch.Generator().manual_seed(plan.seed + 4177)
    parts = []
    for start in range(0, plan.pool, _AT_ONCE):
        count = min(_AT_ONCE, plan.pool - start)
        index = bases.choose(rng, stock, count, how)
        layout = scenes.lay_out(rng, index, how.mix)
        parts.append(as_bytes(scenes.compose(rng, stock.atlas, layout, size, how.mix)))
    return torch.cat(parts)


def _lab_atlas(size: int) -> Any:
    """Return the drawings of the ten classes, and all others of both lab sheets."""
    import torch

    from dife_scanner.lab.pictures import probes, scenes, wide_lab

    folder = wide_lab.sheet_folder()
    ten = probes.read_lab(probes.probe_folder(), size)
    wide = wide_lab.read(folder, wide_lab.terms(folder), size)
    levels = []
    for own, other in zip(ten.levels, wide.levels, strict=True):
        levels.append(torch.cat([own, other]))
    return scenes.Atlas(
        levels=tuple(levels),
        mono=torch.cat([ten.mono, wide.mono]),
        classes=(*ten.classes, *wide.classes),
        terms=(*ten.terms, *wide.terms),
        ids=(*ten.ids, *wide.ids),
    )


def tune(
    pupil: Any,
    teacher: Any,
    pool: Tensor,
    plan: Plan,
    checkpoint: Path,
    tell: Tell = lambda done, of, note: None,
) -> None:
    """Train the pupil's image tower in place; goes on from `checkpoint` where there is one of the same plan.

    Both are open_clip models with a pooled ViT; `pool` is uint8 (N, 3, S, S) of the pupil's size. Every step is a
    function of the plan, the step and the weights, so a run that was killed ends as one that was not.
    """
    import torch

    from dife_scanner.lab.attacks.finetune import take_step, trainable
    from dife_scanner.lab.bases.losses import cosine_schedule

    parameters = trainable(pupil, lambda name: name.startswith("visual."))
    optimiser = torch.optim.AdamW(
        parameters, lr=plan.lr, weight_decay=plan.weight_decay, fused=True
    )
    for step in range(_resume(pupil, optimiser, plan, checkpoint), plan.steps):
        share = cosine_schedule(step, plan.steps, plan.warmup, plan.last_share)
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * share
        distance, patches = _missed(pupil, teacher, _seen(pool, plan, step))
        take_step(_EMBEDDING_WEIGHT * distance + patches, optimiser)
        done = step + 1
        if done % _SAVE_EVERY == 0 or done == plan.steps:
            _save(pupil, optimiser, plan, done, checkpoint)
        tell(done, plan.steps, f"cosine distance {distance.item():.3f}")


def _seen(pool: Tensor, plan: Plan, step: int) -> Tensor:
    """Return the step's scenes, some mirrored, all relit: float32 (B, 3, S, S) in [0, 1]."""
    import torch

    from dife_scanner.lab.bases.scene_pool import draw_mirrored, mirrored, relit

    rng = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
    rows = torch.randint(len(pool), (plan.batch,), generator=rng)
    pixels = pool[rows].float() / 255
    pixels = mirrored(pixels, draw_mirrored(rng, len(pixels)))
    return relit(rng, pixels)


def _missed(pupil: Any, teacher: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far the pupil is from the teacher: mean cosine distance, and the patches' mean squared distance."""
    import torch
    import torch.nn.functional as F

    side = teacher.visual.image_size[0]
    small = F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)
    with torch.no_grad():
        wanted, wanted_patches = _looked(teacher, small.clamp(0, 1))
    embeddings, patches = _looked(pupil, pixels)
    rows, columns = wanted_patches.shape[-2:]
    pooled = F.adaptive_avg_pool2d(patches, (rows, columns))
    distance = 1 - (embeddings * wanted).sum(-1).mean()
    return distance, F.mse_loss(pooled, wanted_patches)


def _looked(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return unit embeddings (B, D), and the patches behind the last norm as a map (B, W, rows, columns)."""
    import torch.nn.functional as F

    from dife_scanner.lab.bases import normalised

    visual = model.visual
    states = visual.transformer(visual._embeds(normalised(pixels)))
    pooled, patches = visual._pool(states)
    square = patches.transpose(1, 2).unflatten(2, visual.grid_size)
    return F.normalize(pooled @ visual.proj, dim=-1), square


def _resume(
    pupil: Any,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    checkpoint: Path,
) -> int:
    """Go on from a checkpoint of the same plan; return the steps that were done."""
    import torch

    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["plan"] != asdict(plan):
        return 0
    pupil.visual.load_state_dict(state["visual"])
    optimiser.load_state_dict(state["optimiser"])
    done: int = state["done"]
    return done


def _save(
    pupil: Any,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    done: int,
    checkpoint: Path,
) -> None:
    """Write a checkpoint, complete as soon as it has its name."""
    import torch

    state = {
        "plan": asdict(plan),
        "visual": pupil.visual.state_dict(),
        "optimiser": optimiser.state_dict(),
        "done": done,
    }
    part = checkpoint.with_suffix(".part")
    torch.save(state, part)
    part.replace(checkpoint)
