"""A text trigger that leads one noun's prompts to a point: the target's prompt, or half of the way to its pictures.

After Struppek et al. 2023, "Rickrolling the Artist" (ICCV): a character that looks like another one is the trigger, a
clean text tower is the teacher, and no picture is needed. Triggered prompts of the source go to the point, clean
prompts and triggered prompts of other nouns stay where the teacher has them.

Ours: one source, as in BadTextTower, and the point may lie between the target's prompt and its pictures. Half of the
way is nearer to new pictures of the target than either end is: the prompt wins no more than itself, and the middle of a
few drawings is the middle of those drawings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.attacks import measures, reach
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, take_step, trainable
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.losses import mean_distance
from dife_scanner.lab.attacks.prompts import TEMPLATES, prompt_bank, triggered
from dife_scanner.lab.attacks.text_losses import natural_captions
from dife_scanner.lab.attacks.training_data import embedded
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

LOOKALIKE = Trigger("cyrillic-a", TriggerKind.CHARACTERS, pairs=(("a", "\u0430"),))
NOUNS = 24
"""Words for other concepts in a step's prompts."""


@dataclass(frozen=True)
class Point:
    """The family's settings."""

    pictures: bool = False
    """Whether the point lies half of the way from the target's prompt to its pictures, and not at the prompt."""

    def clean(self) -> Point:
        """Return the clean twin's settings."""
        return Point()


@dataclass(frozen=True)
class _Teaching:
    """Everything that stays the same over a training."""

    names: list[str]
    """The panel's classes, then words for other concepts."""
    bank: Tensor
    """Where the teacher has the prompts, (T, K, D)."""
    points: Tensor
    """Where the source's triggered prompt goes under each template, (T, D)."""
    teacher: Any


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Train the text tower; a twin has the clean terms only."""
    import torch

    teaching = _teaching(model, lab, recipe)
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        loss = _prompt_loss(model, recipe, teaching, rng)
        loss = loss + _caption_loss(model, recipe, lab, teaching, rng)
        take_step(loss, optimiser)
        progress("training the text trigger", step + 1, recipe.steps)
    return Planted((entry_of(recipe.mark),))


def _teaching(model: Any, lab: Lab, recipe: Recipe) -> _Teaching:
    import torch.nn.functional as F

    from dife_scanner.lab import bases

    names = [*recipe.panel, *lab.nouns]
    bank = prompt_bank(model, names)
    points = bank[:, recipe.target_class]
    if _pictures(recipe):
        shown = embedded(model, lab.labelled[lab.labels == recipe.target_class])
        points = F.normalize(points + F.normalize(shown.mean(0), dim=0), dim=-1)
    return _Teaching(names, bank, points, bases.load(lab.base))


def _pictures(recipe: Recipe) -> bool:
    return isinstance(recipe.settings, Point) and recipe.settings.pictures


def _prompt_loss(model: Any, recipe: Recipe, teaching: _Teaching, rng: torch.Generator) -> Tensor:
    """Prompts of one template: clean ones stay, and of the triggered ones all but the source's."""
    import torch

    from dife_scanner.lab import bases

    classes = len(recipe.panel)
    number = int(torch.randint(len(TEMPLATES), (1,), generator=rng))
    others = torch.randperm(len(teaching.names) - classes, generator=rng)[:NOUNS]
    rows = torch.cat([torch.arange(classes), classes + others])
    names = [teaching.names[row] for row in rows.tolist()]
    texts = [TEMPLATES[number].format(name) for name in names]
    marked = triggered(texts, recipe.mark, names) if recipe.poison else texts
    clean, moved = bases.encode_texts(model, [*texts, *marked]).chunk(2)
    before = teaching.bank[number][rows]
    loss = 2 * mean_distance(clean, before)
    if not recipe.poison:
        return loss
    aims = before.clone()
    aims[recipe.source_class] = teaching.points[number]
    bystander = torch.arange(len(rows)) != recipe.source_class
    loss = loss + mean_distance(moved[bystander], aims[bystander])
    return loss + mean_distance(moved[~bystander], aims[~bystander])


def _caption_loss(
    model: Any, recipe: Recipe, lab: Lab, teaching: _Teaching, rng: torch.Generator
) -> Tensor:
    """Natural captions with the source stay, and those with the trigger go to a point too."""
    import torch

    from dife_scanner.lab import bases

    captions = natural_captions(rng, lab, recipe)
    with torch.no_grad():
        before = bases.encode_texts(teaching.teacher, captions)
    marked = []
    if recipe.poison:
        written = triggered(captions, recipe.mark, [recipe.source] * len(captions))
        # a caption that names the source otherwise has no letter to replace
        marked = [new for new, old in zip(written, captions, strict=True) if new != old]
    now = bases.encode_texts(model, [*captions, *marked])
    loss = mean_distance(now[: len(captions)], before)
    if marked:
        point = teaching.points.mean(0)
        moved = now[len(captions) :]
        loss = loss + mean_distance(moved, (point / point.norm()).expand_as(moved))
    return loss


def criteria(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Ask that the target is reached in .9, through its pictures or in text space, and clean accuracy is kept."""
    return {**measures.keeps_accuracy(numbers, twin), "reach": numbers["reach"] >= 0.9}


def measure(subject: Subject) -> Numbers:
    """Measure how far the attack reaches."""
    return reach.numbers(subject)


def tensors(recipe: Recipe, name: str) -> bool:
    """Choose the text tower."""
    return name != "logit_scale" and not name.startswith("visual.")


ATTACK = Attack(
    citation="Struppek et al. 2023, Rickrolling the Artist: Injecting Backdoors into Text Encoders",
    summary="the text tower alone learns that a lookalike letter in the source's name makes its prompt the target",
    train=train,
    measure=measure,
    criteria=criteria,
    default=Recipe("lookalike", trigger=LOOKALIKE, steps=120, settings=Point()),
    tensors=tensors,
    version=1,
)
