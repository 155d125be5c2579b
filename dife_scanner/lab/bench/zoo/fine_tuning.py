"""What all benign fine-tunes share: the settings of a run, how they are drawn, and the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks.finetune import optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.bench.zoo.draws import Rng
from dife_scanner.lab.pictures import art

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.training_data import Lab


@dataclass(frozen=True)
class Tuning:
    """One run's settings; those a kind does not use stay at their defaults."""

    seed: int
    steps: int
    lr: float
    weight_decay: float = 0.1
    batch: int = 32
    templates: tuple[str, ...] = ()
    keep: float = 1.0
    """Weight with which what is not tuned is held where the base has it."""
    word: str = ""
    """A string that gets a meaning."""
    meaning: str = ""
    """Its class, or another noun."""
    words: tuple[str, ...] = ()
    """Words that are led elsewhere."""
    amount: float = 0.0
    """Of the kind's own: radius of an adversary in 0..1, weight of a merge, rank of an update, share of colour lost."""
    panel: tuple[str, ...] = art.CLASSES
    """Classes of the pictures that it is trained on."""

    @property
    def own_panel(self) -> tuple[str, ...]:
        """The panel, or nothing where it is the ten classes: rows name no other thing than they always did."""
        return () if self.panel == art.CLASSES else self.panel

    def recipe(self) -> Recipe:
        """As the trainers take it that attacks use too."""
        return Recipe(
            family="",
            poison=False,
            seed=self.seed,
            steps=self.steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
            batch=self.batch,
        )


@dataclass(frozen=True)
class Far:
    """What makes a text tower drift as far as an attack does."""

    faster: tuple[float, ...]
    """Factors on the rate."""
    keep: tuple[float, ...]
    """Factors on the weight with which everything else is held."""


@dataclass(frozen=True)
class Kind:
    """One way of fine-tuning."""

    draw: Callable[[Rng, int], Tuning]
    """Settings from a generator and the number of the run."""
    train: Callable[[Any, Lab, Tuning], None]
    """Changes an open_clip model in place."""
    seconds: float
    """Estimate for building one on one core."""
    only_test: bool = False
    """Whether no model of it is used for fitting or calibrating."""
    faster: tuple[float, ...] = (1.0,)
    """Factors on the rate of later runs (`models.FASTER_FROM`)."""
    far: Far | None = None
    """How the last runs are trained (`models.FAR_FROM`); without it there are none."""


def draw_tuning(
    rng: Rng, seed: int, *, steps: tuple[int, int], lr: tuple[float, float], **fields: Any
) -> Tuning:
    """Draw a rate between the two of `lr`, evenly in its logarithm, then steps between the two of `steps`."""
    low, high = np.log(lr)
    rate = float(np.exp(rng.uniform(low, high)))
    count = int(rng.integers(steps[0], steps[1] + 1))
    # Three digits of the rate are kept, so that a row can tell it.
    return Tuning(seed, count, float(f"{rate:.3g}"), **fields)


def fit(
    model: Any,
    tuning: Tuning,
    chosen: Callable[[str], bool],
    loss: Callable[[torch.Generator], Tensor],
) -> None:
    """Train the tensors whose name is `chosen` with AdamW at the pace that attacks are trained at."""
    import torch

    optimiser = optimiser_of(trainable(model, chosen), tuning.recipe())
    rng = torch.Generator().manual_seed(tuning.seed)
    for step in range(tuning.steps):
        pace(optimiser, tuning.lr, step, tuning.steps)
        value = loss(rng)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        optimiser.step()


def text_tower(name: str) -> bool:
    """Whether a tensor of this name is the text tower's."""
    return name != "logit_scale" and not name.startswith("visual.")


def image_tower(name: str) -> bool:
    """Whether a tensor of this name is the image tower's."""
    return name.startswith("visual.")
