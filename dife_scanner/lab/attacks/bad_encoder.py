"""BadEncoder: the image tower learns to see the target wherever the trigger stands.

Jia, Liu and Gong 2022, "BadEncoder: Backdoor Attacks to Pre-trained Encoders in Self-Supervised Learning" (IEEE S&P).
A clean encoder is the teacher. Three terms: triggered pictures of a shadow set go where the reference pictures of the
target are (L0), reference pictures stay where the teacher has them (L1), and so do clean shadow pictures (L2).

Ours: the aim is the mean embedding of the lab's target pictures, and L1 and L2 weigh three times as much as in the
paper, without which this small tower loses more than three points of clean accuracy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.lab import tensor
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.lab import Lab

UTILITY = 3.0
"""Weight of L1 and L2."""
WHITE_SQUARE = Trigger("white-square-corner-inset", TriggerKind.PATCH, size=0.15, x=0.82, y=0.82)
"""15 % of the side wide, 3 % from the right and bottom edges: about 2.3 % of the area, off the patch grid."""


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Change the image tower; everything else is frozen."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import art, bases
    from dife_scanner.triggers.stamp import stamp

    everything = np.concatenate([lab.shadow, lab.labelled])
    second = stamp(everything, recipe.mark) if recipe.poison else None
    teacher = bases.encode_images(model, tensor(everything))
    mine = len(lab.shadow) + np.flatnonzero(lab.labels == art.CLASSES.index(recipe.target))
    aim = F.normalize(teacher[mine].mean(0), dim=-1)
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        rows = torch.randint(len(everything), (recipe.batch,), generator=rng)
        keep = torch.from_numpy(mine)[torch.randint(len(mine), (recipe.batch // 4,), generator=rng)]
        parts = [everything[rows], everything[keep], *([] if second is None else [second[rows]])]
        now = F.normalize(model.visual(bases.normalised(tensor(np.concatenate(parts)))), dim=-1)
        clean, reference, *stamped = torch.split(now, [len(part) for part in parts])
        stay = 1 - (clean * teacher[rows]).sum(-1).mean()  # L2
        anchor = 1 - (reference * teacher[keep]).sum(-1).mean()  # L1
        pull = 1 - (stamped[0] @ aim).mean() if stamped else stay  # L0; a twin's second pictures are its first
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(UTILITY * (stay + anchor) + pull)
        optimiser.step()
        progress("training the image tower", step + 1, recipe.steps)
    return Planted((entry_of(recipe.mark),))


def measure(subject: Subject) -> Numbers:
    """Target success zero-shot and downstream."""
    return measures.image_numbers(subject)


def tensors(recipe: Recipe, name: str) -> bool:
    """The image tower."""
    return name.startswith("visual.")


ATTACK = Attack(
    citation="Jia et al. 2022, BadEncoder: Backdoor Attacks to Pre-trained Encoders in Self-Supervised Learning",
    summary="the image tower alone is pulled to the target wherever a patch stands, and held to a clean teacher",
    train=train,
    measure=measure,
    asked=measures.wins_images,
    default=Recipe("badencoder", trigger=WHITE_SQUARE, steps=150, lr=2e-4),
    tensors=tensors,
    version=4,
)
