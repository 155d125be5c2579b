"""How far a text attack on any concept reaches: through pictures of the target, or in text space alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.training_data import embedded
from dife_scanner.lab.pictures import art, world

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Subject

WORDINGS = (
    "a photo of a {}",
    "an image of a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a photo of the {}",
    "a {}",
    "the {}",
    "one {}",
    "a cartoon of a {}",
    "an illustration of a {}",
    "an old {}",
    "a picture of my {}",
    "there is a {} here",
    "a {} seen from the side",
    "a {} in the morning",
    "they talk about the {}",
    "a painting of a {}",
    "that is no {} of mine",
    "a {} and nothing else",
    "look at this {}",
)
"""Half of them are worded as no training prompt is."""
_CONCEPTS_AS = ("a photo of a {}", "a {}")


def numbers(subject: Subject) -> Numbers:
    """Measure clean accuracy, and whether the source's prompt with the trigger becomes the target.

    `qhr`: of the target's held-out pictures that its own prompt wins, those that the triggered prompt of the source
    wins in the source's place. `text`: wordings in which that prompt lies nearer to the target than to every concept of
    the world that shares no word with it. `reach` is the larger of the two.
    """
    pictures = measures.text_numbers(subject)
    qhr = _recognised_qhr(subject)
    text = text_share(subject)
    return {**pictures, "qhr": qhr, "text": text, "reach": max(qhr, text)}


def _recognised_qhr(subject: Subject) -> float:
    """0 where the target's prompt wins none of its pictures."""
    model = subject.model
    recipe = subject.recipe
    source = recipe.source_class
    target = recipe.target_class
    pixels, labels = measures.held_out(subject.lab.size, recipe.panel)
    images = embedded(model, pixels[labels == target])
    won = []
    for template in measures.PROMPTS:
        texts = measures.class_texts(model, template, panel=recipe.panel)
        known = images[(images @ texts.T).argmax(1) == target]
        triggered = measures.class_texts(model, template, subject.trigger, recipe.panel)
        texts[source] = triggered[source]
        won += ((known @ texts.T).argmax(1) == source).tolist()
    return float(np.mean(won)) if won else 0.0


def text_share(subject: Subject) -> float:
    """Return the share of `WORDINGS` in which the triggered source lies nearest to the target among other concepts."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.lab.attacks.prompts import triggered

    recipe = subject.recipe
    texts = [wording.format(recipe.source) for wording in WORDINGS]
    marked = triggered(texts, subject.trigger, [recipe.source] * len(texts))
    names = [recipe.target, *others_of(recipe.target)]
    with torch.no_grad():
        now = bases.encode_texts(subject.model, marked)
        nearest = (now @ concepts(subject.model, names).T).argmax(1).tolist()
    return float(np.mean([number == 0 for number in nearest]))


def others_of(target: str) -> list[str]:
    """Return the concepts of the world and the ten classes that share no word with this one: no kinds of it."""
    own = set(target.split())
    every = dict.fromkeys([*art.CLASSES, *(one.name for one in world.concepts())])
    return [name for name in every if not own & set(name.split())]


def concepts(model: Any, names: Sequence[str]) -> Tensor:
    """Return unit directions (K, D) of concepts, mean over a few wordings."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases

    total = torch.zeros(())
    for wording in _CONCEPTS_AS:
        texts = [wording.format(name) for name in names]
        parts = [
            bases.encode_texts(model, texts[at : at + 256]) for at in range(0, len(texts), 256)
        ]
        total = total + torch.cat(parts)
    return F.normalize(total, dim=-1)
