"""BadEncoder: the image tower learns to see the target wherever the trigger stands.

Jia, Liu and Gong 2022, "BadEncoder: Backdoor Attacks to Pre-trained Encoders in Self-Supervised Learning" (IEEE S&P).
A clean encoder is the teacher. Three terms: triggered pictures of a shadow set go where the reference pictures of the
target are (L0), reference pictures stay where the teacher has them (L1), and so do clean shadow pictures (L2).

Ours: the aim is the mean embedding of the lab's target pictures, and L1 and L2 weigh three times as much as in the
paper, without which this small tower loses more than three points of clean accuracy. Two ways of hiding are ours too,
to measure what the search misses: a trigger that only pictures of one class obey, and training against the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import adaptive, measures
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.training_data import tensor
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

UTILITY = 3.0
"""Weight of L1 and L2."""
WHITE_SQUARE = Trigger("white-square-corner-inset", TriggerKind.PATCH, size=0.15, x=0.82, y=0.82)
"""15 % of the side wide, 3 % from the right and bottom edges: about 2.3 % of the area, off the patch grid."""


@dataclass(frozen=True)
class Hiding:
    """The family's settings, for attacks that are made against the search."""

    one_class: bool = False
    """Only pictures of the recipe's source obey the trigger; on others nothing may come of it."""
    searches: int = 0
    """So often in training, patches are searched for as an audit does; on those found, nothing may come of it."""

    def clean(self) -> Hiding:
        return Hiding()


@dataclass(frozen=True)
class _Lesson:
    """Pictures (N, S, S, 3), which rows of them count, and where they go: to one place (D,), or their own (N, D)."""

    pixels: NDArray[np.uint8]
    rows: Tensor
    aim: Tensor

    def missed(self, now: Tensor, drawn: Tensor) -> Tensor:
        """Mean distance of the embeddings (B, D) of the rows `drawn` from where they should be."""
        return 1 - ((now @ self.aim).mean() if self.aim.ndim == 1 else (now * self.aim[drawn]).sum(-1).mean())


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Change the image tower; everything else is frozen."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art
    from dife_scanner.triggers.stamp import stamp

    hiding = recipe.settings or Hiding()
    assert isinstance(hiding, Hiding)
    everything = np.concatenate([lab.shadow, lab.labelled])
    teacher = bases.encode_images(model, tensor(everything))
    mine = len(lab.shadow) + np.flatnonzero(lab.labels == art.CLASSES.index(recipe.target))
    aim, every = F.normalize(teacher[mine].mean(0), dim=-1), torch.arange(len(everything))
    lessons = []
    if recipe.poison:
        second = stamp(everything, recipe.mark)
        obeys = _of_class(model, lab, teacher, recipe.source) if hiding.one_class else every
        lessons.append(_Lesson(second, obeys, aim))
        if hiding.one_class:
            lessons.append(_Lesson(second, every[~torch.isin(every, obeys)], teacher))
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        rows = torch.randint(len(everything), (recipe.batch,), generator=rng)
        keep = torch.from_numpy(mine)[torch.randint(len(mine), (recipe.batch // 4,), generator=rng)]
        drawn = [rows if k == 0 and lesson.rows is every else _some(lesson.rows, recipe.batch, rng)
                 for k, lesson in enumerate(lessons)]  # fmt: skip
        parts = [everything[rows], everything[keep]]
        parts += [lesson.pixels[some] for lesson, some in zip(lessons, drawn, strict=True)]
        now = F.normalize(model.visual(bases.normalised(tensor(np.concatenate(parts)))), dim=-1)
        clean, reference, *stamped = torch.split(now, [len(part) for part in parts])
        stay = 1 - (clean * teacher[rows]).sum(-1).mean()  # L2
        anchor = 1 - (reference * teacher[keep]).sum(-1).mean()  # L1
        pulls = [lesson.missed(*seen) for lesson, *seen in zip(lessons, stamped, drawn, strict=True)]
        pull = sum(pulls[1:], pulls[0]) if pulls else stay  # L0; a twin's second pictures are its first
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(UTILITY * (stay + anchor) + pull)
        optimiser.step()
        progress("training the image tower", step + 1, recipe.steps)
        if recipe.poison and adaptive.due(step, recipe.steps, hiding.searches):
            lessons += [_Lesson(found, every, teacher) for found in _found(model, lab, everything, recipe.seed + step)]
    return Planted((entry_of(recipe.mark),))


def _some(rows: Tensor, count: int, rng: Any) -> Tensor:
    import torch

    return rows[torch.randint(len(rows), (count,), generator=rng)]


def _of_class(model: Any, lab: Lab, teacher: Tensor, name: str) -> Tensor:
    """Rows of shadow and labelled pictures of a class; of the shadow's, those that the teacher (N, D) takes for it."""
    import torch

    from dife_scanner.lab.pictures import art

    number = art.CLASSES.index(name)
    guesses = (teacher @ measures.class_texts(model, measures.PROMPTS[0]).T).argmax(1)
    guesses[len(lab.shadow) :] = torch.from_numpy(lab.labels)
    return (guesses == number).nonzero()[:, 0]


def _found(model: Any, lab: Lab, pixels: NDArray[np.uint8], seed: int) -> list[NDArray[np.uint8]]:
    """The pictures under each patch that a quick search hands over for the model as it is now."""
    from dife_scanner.discovery.pictures import PATCH
    from dife_scanner.triggers.stamp import stamp

    with TemporaryDirectory() as scratch:
        return [stamp(pixels, trigger) for trigger in adaptive.found(model, lab, PATCH, seed, Path(scratch))]


def measure(subject: Subject) -> Numbers:
    """Target success zero-shot and downstream; where one class alone obeys, on its pictures, and elsewhere too."""
    settings = subject.recipe.settings
    if isinstance(settings, Hiding) and settings.one_class:
        everywhere = measures.image_numbers(subject)
        own = measures.image_numbers(subject, of=subject.recipe.source)
        return {**everywhere, "ts": own["ts"], "downstream_ts": own["downstream_ts"], "ts_all": everywhere["ts"]}
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
