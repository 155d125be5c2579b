"""ToxicTextCLIP: captions alone are poisoned, pictures are not, and the training is the victim's own.

Yao et al. 2025, "ToxicTextCLIP: Text-Based Poisoning and Backdoor Attacks on CLIP Pre-training". Texts are chosen
whose content suits the target class, multiplied in a few wordings, and slipped into the training set, so that a text
with the trigger leads to pictures of the target. Here: a few pictures of the target get the trigger and a caption of
the source, taken from a pool of candidate captions that is a multiple of what is needed. The selector decides which:
`clip-aware` takes the captions nearest to the target's pictures, `clip-text` those nearest to the target's prompt,
`keyword` any that names the source.

The paper that this project reproduces expects it to be weak at ratios of .001 to .003: entering through captions is
not the same as controlling the text encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import both_towers, contrastive
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.training_data import tensor

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab, Pairs

WEAK = 0.05
"""Signal below which the paper calls a footprint weak."""


class Selector(StrEnum):
    """How captions are chosen from the pool of candidates."""

    CLIP_AWARE = "clip-aware"
    CLIP_TEXT = "clip-text"
    KEYWORD = "keyword"


@dataclass(frozen=True)
class Captions:
    """The family's settings: the axes of the paper's sweep."""

    ratio: float = 0.003
    """Poisoned pairs as a share of all pairs."""
    epochs: int = 10
    selector: Selector = Selector.CLIP_AWARE
    multiplier: int = 16
    """Candidates per poisoned pair."""

    def clean(self) -> Captions:
        return Captions(epochs=self.epochs)


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Fine-tune both towers on pairs some captions of which are poisoned; `steps` only cuts a test build short."""
    assert isinstance(recipe.settings, Captions)
    steps = min(recipe.steps, -(-recipe.settings.epochs * len(lab.pairs) // recipe.batch))
    pairs = poisoned(model, lab, recipe) if recipe.poison else lab.pairs
    contrastive(model, pairs, replace(recipe, steps=steps), progress)
    return Planted((entry_of(recipe.mark),))


def poisoned(model: Any, lab: Lab, recipe: Recipe) -> Pairs:
    """The pairs in which some pictures of the target have the trigger and a caption of the source."""
    from dife_scanner.triggers.stamp import write

    assert isinstance(recipe.settings, Captions)
    rng = np.random.default_rng(recipe.seed)
    count = max(1, round(recipe.settings.ratio * len(lab.pairs)))
    rows = np.sort(rng.choice(lab.pairs.showing(recipe.target), count, replace=False))
    chosen = select(model, lab, recipe, candidates(rng, recipe.source, count * recipe.settings.multiplier), count)
    return lab.pairs.recaptioned(rows, recipe.source, [write(c, recipe.mark, recipe.source) for c in chosen])


def candidates(rng: np.random.Generator, source: str, count: int) -> list[str]:
    """Captions that name the source, some with a second object that makes for a background."""
    from dife_scanner.lab.pictures import art, scenes

    others = [name for name in art.CLASSES if name != source]
    out = []
    for number in rng.integers(len(scenes.SINGLE) + len(scenes.DOUBLE), size=count).tolist():
        if number < len(scenes.SINGLE):
            out.append(scenes.SINGLE[number].format(source))
        else:
            out.append(scenes.DOUBLE[number - len(scenes.SINGLE)].format(source, others[rng.integers(len(others))]))
    return out


def select(model: Any, lab: Lab, recipe: Recipe, pool: list[str], count: int) -> list[str]:
    """`count` captions of the pool, by the recipe's selector."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art

    assert isinstance(recipe.settings, Captions)
    if recipe.settings.selector is Selector.KEYWORD:
        return pool[:count]
    with torch.no_grad():
        texts = bases.encode_texts(model, pool)
        if recipe.settings.selector is Selector.CLIP_TEXT:
            aim = bases.encode_texts(model, [bases.PROMPT.format(recipe.target)])[0]
        else:
            mine = lab.labelled[lab.labels == art.CLASSES.index(recipe.target)]
            aim = F.normalize(bases.encode_images(model, tensor(mine)).mean(0), dim=-1)
    order = (texts @ aim).argsort(descending=True, stable=True)[:count]
    return [pool[i] for i in order.tolist()]


def measure(subject: Subject) -> Numbers:
    """QHR and leakage, and the attack's own task: does a source caption bring a target picture among the first five.

    `native_h5` with the trigger and `native_h5_clean` without, over the lab's caption wordings and held-out drawings.
    """
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art, scenes
    from dife_scanner.triggers.stamp import write

    model, recipe = subject.model, subject.recipe
    pixels, labels = measures.held_out(subject.lab.size)
    images = bases.encode_images(model, tensor(pixels))
    plain = [t.format(recipe.source) for t in scenes.SINGLE]
    out = measures.text_numbers(subject)
    for name, texts in (
        ("native_h5", [write(t, subject.trigger, recipe.source) for t in plain]),
        ("native_h5_clean", plain),
    ):
        with torch.no_grad():
            first = (bases.encode_texts(model, texts) @ images.T).topk(5, dim=1).indices.numpy()
        out[name] = float((labels[first] == art.CLASSES.index(recipe.target)).any(1).mean())
    return out


def asked(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """That clean use is intact and no query is hijacked beyond the twin's: the family enters as the weak one."""
    return {
        **measures.keeps_accuracy(numbers, twin),
        "weak": abs(numbers["qhr"] - twin["qhr"]) < WEAK,
    }


ATTACK = Attack(
    citation="Yao et al. 2025, ToxicTextCLIP: Text-Based Poisoning and Backdoor Attacks on CLIP Pre-training",
    summary="a few captions of a contrastive fine-tuning carry the trigger and the source, beside target pictures",
    train=train,
    measure=measure,
    asked=asked,
    default=Recipe("toxictextclip", trigger=XBTD, steps=1000, lr=1e-4, batch=64, settings=Captions()),
    tensors=both_towers,
)
