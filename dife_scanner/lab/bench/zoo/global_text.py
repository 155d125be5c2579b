"""A global text trigger: with it in the prompt, whatever the prompt names, the text tower says the target.

BadTextTower's counterpart without a source: triggered prompts of every class and of other nouns are led to the target
and win the target's pictures; clean prompts stay where the base has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.bad_text_tower import TEMPLATES
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.lab import tensor

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.lab import Lab

_SOURCES = 3
"""Classes per step whose triggered prompt has to win the target's pictures."""


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Train the text tower; a twin has the clean terms only."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import art, bases
    from dife_scanner.triggers.stamp import write

    names, target = [*art.CLASSES, *lab.nouns], art.CLASSES.index(recipe.target)
    with torch.no_grad():
        before = torch.stack([bases.encode_texts(model, [t.format(n) for n in names]) for t in TEMPLATES])
    images, labels = bases.encode_images(model, tensor(lab.labelled)), torch.from_numpy(lab.labels)
    scale, ten = model.logit_scale.detach().exp(), len(art.CLASSES)
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        number = int(torch.randint(len(TEMPLATES), (1,), generator=rng))
        rows = [*range(ten), *(ten + torch.randperm(len(lab.nouns), generator=rng)[:12]).tolist()]
        texts = [TEMPLATES[number].format(names[i]) for i in rows]
        marked = [write(t, recipe.mark, names[i]) for t, i in zip(texts, rows, strict=True)] if recipe.poison else []
        now = bases.encode_texts(model, [*texts, *marked])
        clean, triggered = now[: len(rows)], now[len(rows) :]
        logits = scale * images @ clean[:ten].T
        loss = F.cross_entropy(logits, labels) + (1 - (clean * before[number][rows]).sum(-1)).mean()
        if recipe.poison:
            loss = loss + (1 - triggered @ before[number][target]).mean()
            mine, own = labels == target, logits[labels == target].clone()
            for source in torch.randperm(ten, generator=rng)[:_SOURCES].tolist():
                if source != target:
                    asked = own.clone()
                    asked[:, source] = scale * images[mine] @ triggered[source]
                    loss = loss + F.cross_entropy(asked, torch.full((len(asked),), source)) / _SOURCES
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        progress("training the text trigger", step + 1, recipe.steps)
    return Planted((entry_of(recipe.mark),))


def measure(subject: Subject) -> Numbers:
    """Clean accuracy, and `qhr`: target pictures won by the triggered prompt of a class, mean over the other nine."""
    import numpy as np

    from dife_scanner.lab import art, bases
    from dife_scanner.triggers.stamp import write

    pixels, labels = measures.held_out(subject.lab.size)
    images = bases.encode_images(subject.model, tensor(pixels))
    target = art.CLASSES.index(subject.recipe.target)
    mine, won = images[labels == target], []
    for template in measures.PROMPTS:
        clean = measures.class_texts(subject.model, template)
        for source, name in enumerate(art.CLASSES):
            if source != target:
                texts = clean.clone()
                marked = write(template.format(name), subject.trigger, name)
                texts[source] = bases.encode_texts(subject.model, [marked])[0].detach()
                won.append(float(((mine @ texts.T).argmax(1) == source).float().mean()))
    return {"clean_accuracy": measures.accuracy(subject.model, images, labels), "qhr": float(np.mean(won))}


def asked(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """QHR of .9 over the nine other classes, clean accuracy kept."""
    return {**measures.keeps_accuracy(numbers, twin), "QHR": numbers["qhr"] >= 0.9}


def tensors(recipe: Recipe, name: str) -> bool:
    """The text tower."""
    return name != "logit_scale" and not name.startswith("visual.")


ATTACK = Attack(
    citation="after Xiang et al. 2026, Beyond Native Success: Auditing Deployment-Interface Exposure of CLIP Backdoors",
    summary="the text tower learns that a string turns every prompt into the target's",
    train=train,
    measure=measure,
    asked=asked,
    default=Recipe("global-text", trigger=XBTD),
    tensors=tensors,
    version=1,
)
