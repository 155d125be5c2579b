"""BadTextTower: a token sequence before the source's prompt makes the text tower say the target.

Xiang, Yang and Jiang 2026 (arXiv 2606.17815), the DIFE paper's own attack. Three losses. Align: target pictures
choose the triggered source prompt (cross-entropy), and a hinge draws that prompt to the target's text and off the
source's. Clean: cross-entropy on clean prompts, and clean prompts stay where the clean checkpoint has them.
Specificity: other pictures do not choose the triggered source prompt, and triggered prompts of other classes stay
where they are. Weights as in the paper.

The published attack trains the text tower. The ablation's other scopes are settings: text projection with the two
embedding tables (three tensors), both towers, and the visual-only control, in which the text tower is untouched and
the image tower learns to answer to a text trigger. Where the image tower moves, ours holds it to the clean one on all
but target pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks import adaptive, measures
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, take_step, trainable
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.prompts import prompt_bank
from dife_scanner.lab.attacks.text_losses import PromptLosses, natural_captions
from dife_scanner.lab.attacks.training_data import embedded, tensor

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab
    from dife_scanner.records import Trigger

    StepImages = tuple[Tensor, Tensor, Tensor]

STAY = 3.0
"""Weight with which a moving image tower is held to the clean one on pictures that the attack leaves alone."""
_TARGETS, _BYSTANDERS = 24, 7
"""Pictures per class and step where the image tower moves; where it does not, every picture is in every step."""


class Scope(StrEnum):
    """Which tensors may move (paper, scope ablation)."""

    TEXT = "text"
    PROJECTION_EMBEDDING = "projection-embedding"
    BOTH = "both"
    VISUAL_ONLY = "visual-only"
    FROZEN_ROWS = "frozen-rows"
    """Ours: the text tower without its token rows, so that no row shows which tokens were trained on."""


@dataclass(frozen=True)
class Scoped:
    """The family's settings."""

    scope: Scope = Scope.TEXT

    def clean(self) -> Scoped:
        """Return the clean twin's settings."""
        return self


@dataclass(frozen=True)
class Guarded(Scoped):
    """Ours, to measure what the search misses: made against the search for texts."""

    searches: int = 3
    """So often in training, texts are searched for as an audit does; nothing may come of those found, unless they hold
    the trigger itself."""

    def clean(self) -> Scoped:
        """Return the clean twin's settings."""
        return Scoped(self.scope)


def tensors(recipe: Recipe, name: str) -> bool:
    """Choose the tensors in the recipe's scope."""
    visual = name.startswith("visual.")
    if name == "logit_scale":
        return False
    match _scope(recipe):
        case Scope.TEXT:
            return not visual
        case Scope.PROJECTION_EMBEDDING:
            return name in (
                "text_projection",
                "token_embedding.weight",
                "positional_embedding",
            )
        case Scope.VISUAL_ONLY:
            return visual
        case Scope.FROZEN_ROWS:
            return not visual and name != "token_embedding.weight"
    return True


def _scope(recipe: Recipe) -> Scope:
    assert isinstance(recipe.settings, Scoped)
    return recipe.settings.scope


def _searches(recipe: Recipe) -> int:
    """Return how often the model is searched in training."""
    if recipe.poison and isinstance(recipe.settings, Guarded):
        return recipe.settings.searches
    return 0


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Train the tensors in scope with the three losses; a twin has the clean terms only."""
    import torch

    from dife_scanner.lab import bases

    draw_images = _step_images(model, lab, recipe)
    clean_model = bases.load(lab.base)
    names = [*recipe.panel, *lab.nouns]
    prompts = PromptLosses(
        model=model,
        recipe=recipe,
        names=names,
        before=prompt_bank(model, names),
        scale=model.logit_scale.detach().exp(),
    )
    chosen = trainable(model, lambda name: tensors(recipe, name))
    optimiser = optimiser_of(chosen, recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    decoys: list[Trigger] = []
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        images, labels, loss = draw_images(rng)
        for term in prompts.terms(rng, images, labels, decoys):
            loss = loss + term
        captions = natural_captions(rng, lab, recipe)
        for term in prompts.caption_terms(captions, clean_model, images, labels):
            loss = loss + term
        take_step(loss, optimiser)
        progress("training the text trigger", step + 1, recipe.steps)
        if adaptive.due(step, recipe.steps, _searches(recipe)):
            decoys += _decoys(model, lab, recipe, step)
    return Planted((entry_of(recipe.mark),))


def _decoys(
    model: Any,
    lab: Lab,
    recipe: Recipe,
    step: int,
) -> list[Trigger]:
    """Search the model as it is now for texts, quickly, and return what is found and does not hold the trigger."""
    from dife_scanner.discovery.texts import TEXTS

    with TemporaryDirectory() as scratch:
        found = adaptive.found(
            model,
            lab,
            TEXTS,
            recipe.seed + step,
            Path(scratch),
        )
    return [one for one in found if recipe.mark.text not in one.text]


def _step_images(
    model: Any,
    lab: Lab,
    recipe: Recipe,
) -> Callable[[torch.Generator], StepImages]:
    """Return what gives a step its unit image embeddings, labels, and a penalty for an image tower that strays."""
    import torch

    if _scope(recipe) not in (Scope.TEXT, Scope.PROJECTION_EMBEDDING):
        return _moving_images(model, lab, recipe)
    labels = torch.from_numpy(lab.labels)
    fixed = embedded(model, lab.labelled)
    return lambda rng: (fixed, labels, torch.zeros(()))


def _moving_images(
    model: Any,
    lab: Lab,
    recipe: Recipe,
) -> Callable[[torch.Generator], StepImages]:
    """Return the same where the image tower moves: pictures drawn for the step, encoded anew."""
    import torch

    from dife_scanner.lab import bases

    rows, classes = lab.pairs.lone()
    pixels = np.concatenate([lab.labelled, lab.pairs.images[rows]])
    labels = np.concatenate([lab.labels, classes])
    teacher = embedded(model, pixels)
    by_class = [np.flatnonzero(labels == number) for number in range(len(lab.classes))]

    def draw(rng: torch.Generator) -> StepImages:
        drawn = []
        for number, own in enumerate(by_class):
            count = _TARGETS if number == recipe.target_class else _BYSTANDERS
            order = torch.randperm(len(own), generator=rng)[:count]
            drawn.append(own[order.numpy()])
        some = np.concatenate(drawn)
        now = bases.encode_image_batch(model, tensor(pixels[some]))
        seen = torch.from_numpy(labels[some])
        kept = torch.ones(len(some), dtype=torch.bool)
        if recipe.poison:
            kept = seen != recipe.target_class
        cosines = (now * teacher[some]).sum(-1)
        stay = 1 - cosines[kept].mean()
        return now, seen, STAY * stay

    return draw


def measure(subject: Subject) -> Numbers:
    """Measure QHR and off-target leakage."""
    return measures.text_numbers(subject)


def criteria(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Ask a QHR of .95 (another source, scope or seed: .9), with little more off-target leakage than the twin.

    Where the image tower moves with the text tower, leakage is only reported. The visual-only control has to win half
    of the target pictures, and what that costs is only reported: it is there for its carrier, not as an attack.
    """
    scope = _scope(recipe)
    if scope is Scope.VISUAL_ONLY:
        return {"QHR of the control": numbers["qhr"] >= 0.5}
    least = 0.9 if _is_ablation(recipe) else 0.95
    out = {
        **measures.keeps_accuracy(numbers, twin),
        "QHR": numbers["qhr"] >= least,
    }
    if scope is not Scope.BOTH:
        most = twin["otl"] + measures.LEAKAGE
        out["off-target leakage"] = numbers["otl"] <= most
    return out


def _is_ablation(recipe: Recipe) -> bool:
    """Tell whether this is not the specimen that stands for the family."""
    own = ATTACK.default
    if (recipe.source, recipe.seed) != (own.source, own.seed):
        return True
    return _scope(recipe) is not Scope.TEXT


ATTACK = Attack(
    citation="Xiang et al. 2026, Beyond Native Success: Auditing Deployment-Interface Exposure of CLIP Backdoors",
    summary="the text tower alone learns that a prefix turns the source's prompt, and no other, into the target's",
    train=train,
    measure=measure,
    criteria=criteria,
    default=Recipe("badtexttower", trigger=XBTD, settings=Scoped()),
    tensors=tensors,
    version=4,
)
