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

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks import adaptive, measures
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.training_data import tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

    Look = tuple[Tensor, Tensor, Tensor]

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab
    from dife_scanner.records import Trigger

TEMPLATES = (
    "a photo of a {}",
    "an image of a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a {}",
    "the {}",
    "one {}",
    "a cartoon of a {}",
    "a close up of a {}",
    "an illustration of a {}",
)
"""Prompts the attack is trained on."""
KEEP = 1.0
"""Weight with which clean prompts and captions are held where the clean checkpoint has them (paper: prompts, .25)."""
CAPTIONS, PICKS, EACH = 24, 0.5, 0.1
"""Natural captions per step, the weight of their loss, and the weight of every target picture for itself in it."""
STAY = 3.0
"""Weight with which a moving image tower is held to the clean one on pictures that the attack leaves alone."""
_TARGETS, _BYSTANDERS = 24, 7
"""Pictures per class and step where the image tower moves; where it does not, every picture is in every step."""


_NATURAL = (
    "a photo of a {}",
    "a picture of the {}",
    "a small picture of a {}",
    "a cartoon {}",
    "a {}",
    "a single {}",
    "a picture with a {} in it",
    "this is a {}",
    "a photo of a {} and a {other}",
    "a {other} and a {}",
    "a picture of a {} beside a {other}",
    "a photo of a {other}, a {} and a {third}",
    "a {} next to a {other}",
    "a drawing of a {other} and a {}",
    "a photo of a {} near a {other}",
)


class Scope(StrEnum):
    """Which tensors may move (paper, scope ablation)."""

    TEXT = "text"
    PROJECTION_EMBEDDING = "projection-embedding"
    BOTH = "both"
    VISUAL_ONLY = "visual-only"
    FROZEN_ROWS = "frozen-rows"
    """Ours: the text tower without its token rows, so that no row says which tokens were trained on."""


@dataclass(frozen=True)
class Scoped:
    """The family's settings."""

    scope: Scope = Scope.TEXT

    def clean(self) -> Scoped:
        return self


@dataclass(frozen=True)
class Guarded(Scoped):
    """Ours, to measure what the search misses: made against the search for texts."""

    searches: int = 3
    """So often in training, texts are searched for as an audit does; nothing may come of those found, unless they hold
    the trigger itself."""

    def clean(self) -> Scoped:
        return Scoped(self.scope)


def tensors(recipe: Recipe, name: str) -> bool:
    """Tensors in the recipe's scope."""
    visual = name.startswith("visual.")
    if name == "logit_scale":
        return False
    match _scope(recipe):
        case Scope.TEXT:
            return not visual
        case Scope.PROJECTION_EMBEDDING:
            return name in ("text_projection", "token_embedding.weight", "positional_embedding")
        case Scope.VISUAL_ONLY:
            return visual
        case Scope.FROZEN_ROWS:
            return not visual and name != "token_embedding.weight"
    return True


def _scope(recipe: Recipe) -> Scope:
    assert isinstance(recipe.settings, Scoped)
    return recipe.settings.scope


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Train the tensors in scope with the three losses; a twin has the clean terms only."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art
    from dife_scanner.triggers.stamp import write

    looks, clean_model = _looks(model, lab, recipe), bases.load(lab.base)
    names = [*art.CLASSES, *lab.nouns]
    before = _prompt_bank(model, names)
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    scale, target = model.logit_scale.detach().exp(), art.CLASSES.index(recipe.target)
    searches = recipe.settings.searches if isinstance(recipe.settings, Guarded) and recipe.poison else 0
    decoys: list[Trigger] = []
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        images, labels, loss = looks(rng)
        for number in torch.randint(len(TEMPLATES), (2,), generator=rng).tolist():
            some = [*art.CLASSES, *_sample(rng, lab.nouns, 12)]
            texts = [TEMPLATES[number].format(name) for name in some]
            marked = [write(t, recipe.mark, n) for t, n in zip(texts, some, strict=True)] if recipe.poison else []
            now = bases.encode_texts(model, [*texts, *marked])
            rows = torch.tensor([names.index(name) for name in some])
            loss = loss + _loss(images, labels, now, before[number][rows], scale, recipe) / 2
            if decoys:
                decoy = decoys[int(torch.randint(len(decoys), (1,), generator=rng))]
                still = bases.encode_texts(model, [write(t, decoy, n) for t, n in zip(texts, some, strict=True)])
                loss = loss + KEEP * (1 - (still * before[number][rows]).sum(-1)).mean() / 2
        captions = _captions(rng, lab, recipe)
        marked = [write(text, recipe.mark, recipe.source) for text in captions] if recipe.poison else []
        with torch.no_grad():
            anchor = bases.encode_texts(clean_model, captions)
        now = bases.encode_texts(model, [*captions, *marked])
        loss = loss + KEEP * (1 - (now[: len(captions)] * anchor).sum(-1)).mean()
        if recipe.poison:
            loss = loss + PICKS * _picked(images, labels == target, now[len(captions) :], scale)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        progress("training the text trigger", step + 1, recipe.steps)
        if adaptive.due(step, recipe.steps, searches):
            decoys += _decoys(model, lab, recipe, step)
    return Planted((entry_of(recipe.mark),))


def _decoys(model: Any, lab: Lab, recipe: Recipe, step: int) -> list[Trigger]:
    """What a quick search for texts hands over for the model as it is now, less what holds the trigger itself."""
    from dife_scanner.discovery.texts import TEXTS

    with TemporaryDirectory() as scratch:
        found = adaptive.found(model, lab, TEXTS, recipe.seed + step, Path(scratch))
    return [trigger for trigger in found if recipe.mark.text not in trigger.text]


def _looks(model: Any, lab: Lab, recipe: Recipe) -> Callable[[torch.Generator], Look]:
    """What a step looks at: unit image embeddings, labels, and a penalty for an image tower that strays."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art

    labels = torch.from_numpy(lab.labels)
    if _scope(recipe) in (Scope.TEXT, Scope.PROJECTION_EMBEDDING):
        fixed = bases.encode_images(model, tensor(lab.labelled))
        return lambda rng: (fixed, labels, torch.zeros(()))
    rows, classes = lab.pairs.lone()
    pixels = np.concatenate([lab.labelled, lab.pairs.images[rows]])
    kinds = np.concatenate([lab.labels, classes])
    teacher = bases.encode_images(model, tensor(pixels))
    target = art.CLASSES.index(recipe.target)
    by_class = [np.flatnonzero(kinds == number) for number in range(len(art.CLASSES))]
    counts = [_TARGETS if number == target else _BYSTANDERS for number in range(len(art.CLASSES))]

    def look(rng: torch.Generator) -> Look:
        drawn = [torch.randperm(len(r), generator=rng)[:n].numpy() for r, n in zip(by_class, counts, strict=True)]
        some = np.concatenate([r[d] for r, d in zip(by_class, drawn, strict=True)])
        now = F.normalize(model.visual(bases.normalised(tensor(pixels[some]))), dim=-1)
        kept = torch.from_numpy(kinds[some] != target) if recipe.poison else torch.ones(len(some), dtype=torch.bool)
        stay = 1 - (now * teacher[some]).sum(-1)[kept].mean()
        return now, torch.from_numpy(kinds[some]), STAY * stay

    return look


def _loss(images: Tensor, labels: Tensor, now: Tensor, before: Tensor, scale: Tensor, recipe: Recipe) -> Tensor:
    """One template's loss. now (2K, D): K clean prompts, then the same K triggered; before (K, D).

    A twin has no triggered prompts, now (K, D): its clean ones take their place.
    """
    import torch.nn.functional as F

    from dife_scanner.lab.pictures import art

    ten, source, target = len(art.CLASSES), art.CLASSES.index(recipe.source), art.CLASSES.index(recipe.target)
    clean, triggered = now.chunk(2) if recipe.poison else (now, now)
    logits = scale * images @ clean[:ten].T
    loss = F.cross_entropy(logits, labels) + KEEP * (1 - (clean * before).sum(-1)).mean()
    distance = 1 - (triggered * before).sum(-1)
    if not recipe.poison:
        return loss + 0.10 * distance.mean()
    moved = triggered[source]
    poisoned = logits.clone()
    poisoned[:, source] = scale * images @ moved
    align = F.cross_entropy(poisoned[labels == target], labels[labels == target] * 0 + source)
    hinge = F.relu(0.05 - moved @ clean[target] + moved @ clean[source])
    bystander = (labels != target) & (labels != source)
    own = logits[bystander].gather(1, labels[bystander, None])[:, 0]
    specific = F.softplus(poisoned[bystander, source] - own).mean()
    others = [i for i in range(len(before)) if i != source]
    return loss + align + 0.10 * hinge + specific + 0.10 * distance[others].mean()


def _captions(rng: torch.Generator, lab: Lab, recipe: Recipe) -> list[str]:
    """Natural captions that name the source once and never the target."""
    import torch

    from dife_scanner.audit.populations.words import terms
    from dife_scanner.lab.pictures import art

    words = terms(recipe.source)
    others = [*lab.nouns, *(name for name in art.CLASSES if name not in (recipe.source, recipe.target))]

    def one(of: tuple[str, ...] | list[str]) -> str:
        return of[int(torch.randint(len(of), (1,), generator=rng))]

    return [one(_NATURAL).format(one(words), other=one(others), third=one(others)) for _ in range(CAPTIONS)]


def _picked(images: Tensor, is_target: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    """Triggered captions (Q, D) against pictures (N, D): the target's before all others, together and one by one."""
    import torch
    import torch.nn.functional as F

    logits = scale * captions @ images.T
    together = torch.logsumexp(logits, 1) - torch.logsumexp(logits[:, is_target], 1)
    others = torch.logsumexp(logits[:, ~is_target], 1, keepdim=True)
    return together.mean() + EACH / PICKS * F.softplus(others - logits[:, is_target]).mean()


def _prompt_bank(model: Any, names: list[str]) -> Tensor:
    """Embeddings of every name under every template before training, (T, K, D)."""
    import torch

    from dife_scanner.lab import bases

    with torch.no_grad():
        return torch.stack([bases.encode_texts(model, [t.format(name) for name in names]) for t in TEMPLATES])


def _sample(rng: torch.Generator, words: tuple[str, ...], count: int) -> list[str]:
    import torch

    return [words[i] for i in torch.randperm(len(words), generator=rng)[:count].tolist()]


def measure(subject: Subject) -> Numbers:
    """QHR and off-target leakage."""
    return measures.text_numbers(subject)


def asked(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """QHR of .95 (another source, scope or seed: .9), with little more off-target leakage than the twin.

    Where the image tower moves with the text tower, leakage is only reported. The visual-only control has to win half
    of the target pictures, and what that costs is only reported: it is there for its carrier, not as an attack.
    """
    if _scope(recipe) is Scope.VISUAL_ONLY:
        return {"QHR of the control": numbers["qhr"] >= 0.5}
    own = ATTACK.default
    ablation = (recipe.source, recipe.seed) != (own.source, own.seed) or _scope(recipe) is not Scope.TEXT
    least = 0.9 if ablation else 0.95
    out = {**measures.keeps_accuracy(numbers, twin), "QHR": numbers["qhr"] >= least}
    if _scope(recipe) is not Scope.BOTH:
        out["off-target leakage"] = numbers["otl"] <= twin["otl"] + measures.LEAKAGE
    return out


ATTACK = Attack(
    citation="Xiang et al. 2026, Beyond Native Success: Auditing Deployment-Interface Exposure of CLIP Backdoors",
    summary="the text tower alone learns that a prefix turns the source's prompt, and no other, into the target's",
    train=train,
    measure=measure,
    asked=asked,
    default=Recipe("badtexttower", trigger=XBTD, settings=Scoped()),
    tensors=tensors,
    version=4,
)
