"""Benign fine-tunes of the image tower: labelled pictures, and robustness against small changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab import bases
from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.training_data import tensor
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.lab.bench.zoo.fine_tuning import Tuning, draw_tuning, fit, image_tower

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.training_data import Lab

_ADVERSARY_STEP = 2 / 255
"""Smallest step of the adversary against whom an image tower is made robust."""
_ADVERSARY_STEPS = 2


class _Pictures:
    """The lab's pictures and where the base has them."""

    def __init__(self, model: Any, lab: Lab) -> None:
        self.pixels = tensor(np.concatenate([lab.shadow, lab.labelled]))
        self.first_labelled = len(lab.shadow)
        self.before = bases.encode_images(model, self.pixels)

    def draw(self, rng: torch.Generator, count: int) -> Tensor:
        """Row numbers [count] of random pictures."""
        import torch

        return torch.randint(len(self.pixels), (count,), generator=rng)


def _embedded(model: Any, pixels: Tensor) -> Tensor:
    """Unit embeddings [n, d] of pictures in 0..1, differentiable."""
    import torch.nn.functional as F

    return F.normalize(model.visual(bases.normalised(pixels)), dim=-1)


def draw_labelled(rng: Rng, seed: int) -> Tuning:
    """How strongly all pictures are held, and how much noise lies on them."""
    keep = float(pick(rng, (0.5, 1.0, 3.0)))
    noise = float(rng.uniform(0.0, 0.15))
    return draw_tuning(
        rng,
        seed,
        steps=(50, 120),
        lr=(1e-4, 6e-4),
        keep=keep,
        amount=noise,
    )


def train_labelled(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Labels for class pictures, the base's own embeddings for all, both under light noise."""
    import torch
    import torch.nn.functional as F

    pictures = _Pictures(model, lab)
    scale = model.logit_scale.detach().exp()
    texts = measures.class_texts(model, bases.PROMPT, panel=lab.classes)
    labels = torch.from_numpy(lab.labels)

    def loss(rng: torch.Generator) -> Tensor:
        any_picture = pictures.draw(rng, tuning.batch)
        labelled = torch.randint(len(labels), (tuning.batch // 2,), generator=rng)
        pixels = pictures.pixels[torch.cat([any_picture, pictures.first_labelled + labelled])]
        now = _embedded(model, _noisy(pixels, tuning.amount, rng))
        count = len(any_picture)
        drift = 1 - (now[:count] * pictures.before[any_picture]).sum(-1).mean()
        logits = scale * now[count:] @ texts.T
        return F.cross_entropy(logits, labels[labelled]) + tuning.keep * drift

    fit(model, tuning, image_tower, loss)


def _noisy(pixels: Tensor, amount: float, rng: torch.Generator) -> Tensor:
    """Pictures under normal noise of this standard deviation, in 0..1."""
    import torch

    noise = torch.randn(pixels.shape, generator=rng)
    return (pixels + amount * noise).clamp(0, 1)


def draw_robust(rng: Rng, seed: int) -> Tuning:
    """The adversary's radius: 2, 4 or 8 of 255 levels."""
    radius = float(pick(rng, (2.0, 4.0, 8.0))) / 255
    return draw_tuning(
        rng,
        seed,
        steps=(30, 70),
        lr=(1e-4, 6e-4),
        batch=24,
        amount=radius,
    )


def train_robust(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Pictures changed within a small radius to lie far off have to stay where the base has the plain ones."""
    import torch

    pictures = _Pictures(model, lab)

    def loss(rng: torch.Generator) -> Tensor:
        rows = pictures.draw(rng, tuning.batch)
        pixels = pictures.pixels[rows]
        before = pictures.before[rows]
        change = _adversarial(model, pixels, before, tuning.amount, rng)
        now = _embedded(model, torch.cat([pixels, (pixels + change).clamp(0, 1)]))
        return 1 - (now * torch.cat([before, before])).sum(-1).mean()

    fit(model, tuning, image_tower, loss)


def _adversarial(
    model: Any,
    pixels: Tensor,
    before: Tensor,
    radius: float,
    rng: torch.Generator,
) -> Tensor:
    """Projected gradient descent (Madry et al. 2018): a change within `radius` that takes embeddings far off."""
    import torch

    step = max(_ADVERSARY_STEP, radius / 2)
    change = radius * (2 * torch.rand(pixels.shape, generator=rng) - 1)
    for _ in range(_ADVERSARY_STEPS):
        change.requires_grad_()
        likeness = (_embedded(model, (pixels + change).clamp(0, 1)) * before).sum()
        (slope,) = torch.autograd.grad(likeness, change)
        change = (change.detach() - step * slope.sign()).clamp(-radius, radius)
    return change
