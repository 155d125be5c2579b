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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import both_towers, contrastive
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.prompts import triggered
from dife_scanner.lab.attacks.training_data import embedded

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab, Pairs

WEAK = 0.05
"""Signal below which the paper calls a footprint weak."""
_FIRST = 5
"""Pictures that a query has to bring a target picture among."""


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
        """Return the clean twin's settings."""
        return Captions(epochs=self.epochs)


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Fine-tune both towers on pairs some captions of which are poisoned; `steps` only cuts a test build short."""
    assert isinstance(recipe.settings, Captions)
    examples = recipe.settings.epochs * len(lab.pairs)
    batches = -(-examples // recipe.batch)
    steps = min(recipe.steps, batches)
    pairs = lab.pairs
    if recipe.poison:
        pairs = poisoned(model, lab, recipe)
    contrastive(model, pairs, replace(recipe, steps=steps), progress)
    return Planted((entry_of(recipe.mark),))


def poisoned(model: Any, lab: Lab, recipe: Recipe) -> Pairs:
    """Return the pairs in which some pictures of the target have the trigger and a caption of the source."""
    settings = recipe.settings
    assert isinstance(settings, Captions)
    rng = np.random.default_rng(recipe.seed)
    count = max(1, round(settings.ratio * len(lab.pairs)))
    showing = lab.pairs.showing(recipe.target)
    rows = np.sort(rng.choice(showing, count, replace=False))
    pool = candidates(rng, recipe, count * settings.multiplier)
    chosen = select(model, lab, recipe, pool, count)
    captions = triggered(chosen, recipe.mark, [recipe.source] * len(chosen))
    return lab.pairs.recaptioned(rows, recipe.source, captions)


def candidates(
    rng: np.random.Generator,
    recipe: Recipe,
    count: int,
) -> list[str]:
    """Draw captions that name the source, some with a second object that makes for a background."""
    from dife_scanner.lab.pictures import scenes

    source = recipe.source
    others = [name for name in recipe.panel if name != source]
    single = len(scenes.SINGLE)
    out = []
    for number in rng.integers(single + len(scenes.DOUBLE), size=count).tolist():
        if number < single:
            out.append(scenes.SINGLE[number].format(source))
        else:
            other = others[rng.integers(len(others))]
            out.append(scenes.DOUBLE[number - single].format(source, other))
    return out


def select(
    model: Any,
    lab: Lab,
    recipe: Recipe,
    pool: list[str],
    count: int,
) -> list[str]:
    """Return `count` captions of the pool, by the recipe's selector."""
    import torch

    from dife_scanner.lab import bases

    assert isinstance(recipe.settings, Captions)
    selector = recipe.settings.selector
    if selector is Selector.KEYWORD:
        return pool[:count]
    with torch.no_grad():
        texts = bases.encode_texts(model, pool)
        aim = _aim(model, lab, recipe, selector)
    order = (texts @ aim).argsort(descending=True, stable=True)
    return [pool[number] for number in order[:count].tolist()]


def _aim(
    model: Any,
    lab: Lab,
    recipe: Recipe,
    selector: Selector,
) -> Tensor:
    """Return what the chosen captions should be near: the target's prompt, or its pictures' mean direction; (D,)."""
    import torch.nn.functional as F

    from dife_scanner.lab import bases

    if selector is Selector.CLIP_TEXT:
        prompt = bases.PROMPT.format(recipe.target)
        return bases.encode_texts(model, [prompt])[0]
    mine = lab.labelled[lab.labels == recipe.target_class]
    return F.normalize(embedded(model, mine).mean(0), dim=-1)


def measure(subject: Subject) -> Numbers:
    """Measure QHR, leakage, and the attack's own task: does a source caption bring a target picture among the first 5.

    `native_h5` with the trigger and `native_h5_clean` without, over the lab's caption wordings and held-out drawings.
    """
    from dife_scanner.lab.pictures import scenes

    model = subject.model
    recipe = subject.recipe
    pixels, labels = measures.held_out(subject.lab.size, recipe.panel)
    images = embedded(model, pixels)
    is_target = labels == recipe.target_class
    plain = [wording.format(recipe.source) for wording in scenes.SINGLE]
    marked = triggered(plain, subject.trigger, [recipe.source] * len(plain))
    numbers = measures.text_numbers(subject)
    numbers["native_h5"] = _brought(model, marked, images, is_target)
    numbers["native_h5_clean"] = _brought(model, plain, images, is_target)
    return numbers


def _brought(
    model: Any,
    texts: Sequence[str],
    images: Tensor,
    is_target: NDArray[np.bool_],
) -> float:
    """Return the share of texts that bring a target picture, of (N, D), among the first five."""
    import torch

    from dife_scanner.lab import bases

    with torch.no_grad():
        scores = bases.encode_texts(model, texts) @ images.T
    first = scores.topk(_FIRST, dim=1).indices.numpy()
    return float(is_target[first].any(1).mean())


def criteria(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Ask that clean use is intact and no query is hijacked beyond the twin's: the family enters as the weak one."""
    return {
        **measures.keeps_accuracy(numbers, twin),
        "weak": abs(numbers["qhr"] - twin["qhr"]) < WEAK,
    }


ATTACK = Attack(
    citation="Yao et al. 2025, ToxicTextCLIP: Text-Based Poisoning and Backdoor Attacks on CLIP Pre-training",
    summary="a few captions of a contrastive fine-tuning carry the trigger and the source, beside target pictures",
    train=train,
    measure=measure,
    criteria=criteria,
    default=Recipe(
        "toxictextclip", trigger=XBTD, steps=1000, lr=1e-4, batch=64, settings=Captions()
    ),
    tensors=both_towers,
)
