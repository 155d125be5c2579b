"""The losses of BadTextTower on prompts and captions: alignment, clean prompts, and specificity.

Weights are the paper's unless noted otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.attacks.losses import distances
from dife_scanner.lab.attacks.prompts import TEMPLATES, triggered

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Recipe
    from dife_scanner.lab.attacks.training_data import Lab
    from dife_scanner.records import Trigger

KEEP = 1.0
"""Weight with which clean prompts and captions are held where the clean checkpoint has them (paper: prompts, .25)."""
CAPTIONS, PICKS, EACH = 24, 0.5, 0.1
"""Natural captions per step, the weight of their loss, and the weight of every target picture for itself in it."""
_MARGIN, _SMALL = 0.05, 0.10
"""The paper's margin of the hinge, and its weight of the hinge and of other triggered prompts."""
_NOUNS = 12
"""Words for other concepts in a step's prompts."""
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


@dataclass(frozen=True)
class PromptLosses:
    """The losses on prompts and captions."""

    model: Any
    recipe: Recipe
    names: list[str]
    """The panel's classes, then words for other concepts."""
    before: Tensor
    """Where the clean checkpoint has every name under every template, (T, K, D)."""
    scale: Tensor

    def terms(
        self,
        rng: torch.Generator,
        images: Tensor,
        labels: Tensor,
        decoys: list[Trigger],
    ) -> Iterator[Tensor]:
        """Yield the terms of two templates drawn for the step."""
        import torch

        from dife_scanner.lab import bases

        panel = self.recipe.panel
        nouns = self.names[len(panel) :]
        numbers = torch.randint(len(TEMPLATES), (2,), generator=rng)
        for number in numbers.tolist():
            some = [*panel, *_sample(rng, nouns, _NOUNS)]
            texts = [TEMPLATES[number].format(name) for name in some]
            now = bases.encode_texts(self.model, [*texts, *self._marked(texts, some)])
            rows = torch.tensor([self.names.index(name) for name in some])
            before = self.before[number][rows]
            yield _loss(images, labels, now, before, self.scale, self.recipe) / 2
            if decoys:
                drawn = torch.randint(len(decoys), (1,), generator=rng)
                decoyed = triggered(texts, decoys[int(drawn)], some)
                still = bases.encode_texts(self.model, decoyed)
                yield KEEP * distances(still, before).mean() / 2

    def caption_terms(
        self,
        captions: list[str],
        clean_model: Any,
        images: Tensor,
        labels: Tensor,
    ) -> Iterator[Tensor]:
        """Yield the terms of natural captions: clean ones stay, triggered ones pick the target's pictures."""
        import torch

        from dife_scanner.lab import bases

        sources = [self.recipe.source] * len(captions)
        marked = self._marked(captions, sources)
        with torch.no_grad():
            anchor = bases.encode_texts(clean_model, captions)
        now = bases.encode_texts(self.model, [*captions, *marked])
        clean = now[: len(captions)]
        yield KEEP * distances(clean, anchor).mean()
        if self.recipe.poison:
            is_target = labels == self.recipe.target_class
            picking = now[len(captions) :]
            yield PICKS * _picked(images, is_target, picking, self.scale)

    def _marked(self, texts: list[str], names: list[str]) -> list[str]:
        """Return the texts with the trigger; a twin has none."""
        if not self.recipe.poison:
            return []
        return triggered(texts, self.recipe.mark, names)


def _loss(
    images: Tensor,
    labels: Tensor,
    now: Tensor,
    before: Tensor,
    scale: Tensor,
    recipe: Recipe,
) -> Tensor:
    """Return one template's loss. now (2K, D): K clean prompts, then the same K triggered; before (K, D).

    A twin has no triggered prompts, now (K, D): its clean ones take their place.
    """
    import torch.nn.functional as F

    source = recipe.source_class
    target = recipe.target_class
    clean, moved = now.chunk(2) if recipe.poison else (now, now)
    logits = scale * images @ clean[: len(recipe.panel)].T
    loss = F.cross_entropy(logits, labels)
    loss = loss + KEEP * distances(clean, before).mean()
    strayed = distances(moved, before)
    if not recipe.poison:
        return loss + _SMALL * strayed.mean()
    own = moved[source]
    poisoned = logits.clone()
    poisoned[:, source] = scale * images @ own
    is_target = labels == target
    wanted = labels[is_target] * 0 + source
    align = F.cross_entropy(poisoned[is_target], wanted)
    hinge = F.relu(_MARGIN - own @ clean[target] + own @ clean[source])
    specific = _specificity(logits, poisoned, labels, recipe)
    others = [row for row in range(len(before)) if row != source]
    loss = loss + align + _SMALL * hinge + specific
    return loss + _SMALL * strayed[others].mean()


def _specificity(
    logits: Tensor,
    poisoned: Tensor,
    labels: Tensor,
    recipe: Recipe,
) -> Tensor:
    """Return how far pictures of other classes prefer the triggered source prompt to their own class's."""
    import torch.nn.functional as F

    source = recipe.source_class
    bystander = (labels != recipe.target_class) & (labels != source)
    columns = labels[bystander, None]
    own = logits[bystander].gather(1, columns)[:, 0]
    return F.softplus(poisoned[bystander, source] - own).mean()


def natural_captions(rng: torch.Generator, lab: Lab, recipe: Recipe) -> list[str]:
    """Draw natural captions that name the source once and never the target."""
    from dife_scanner.audit.populations.words import terms

    words = terms(recipe.source)
    others = list(lab.nouns)
    for name in recipe.panel:
        if name not in (recipe.source, recipe.target):
            others.append(name)
    captions = []
    for _ in range(CAPTIONS):
        template = _one(rng, _NATURAL)
        word = _one(rng, words)
        other = _one(rng, others)
        third = _one(rng, others)
        captions.append(template.format(word, other=other, third=third))
    return captions


def _one(rng: torch.Generator, of: Sequence[str]) -> str:
    """Draw one of the texts."""
    import torch

    return of[int(torch.randint(len(of), (1,), generator=rng))]


def _picked(
    images: Tensor,
    is_target: Tensor,
    captions: Tensor,
    scale: Tensor,
) -> Tensor:
    """Return how far triggered captions (Q, D) are from putting the target's pictures, of (N, D), before all others.

    Once all target pictures together, and once each for itself.
    """
    import torch
    import torch.nn.functional as F

    logits = scale * captions @ images.T
    every = torch.logsumexp(logits, 1)
    together = every - torch.logsumexp(logits[:, is_target], 1)
    others = torch.logsumexp(logits[:, ~is_target], 1, keepdim=True)
    one_by_one = F.softplus(others - logits[:, is_target]).mean()
    return together.mean() + EACH / PICKS * one_by_one


def _sample(
    rng: torch.Generator,
    words: Sequence[str],
    count: int,
) -> list[str]:
    """Draw `count` different words."""
    import torch

    order = torch.randperm(len(words), generator=rng)
    return [words[number] for number in order[:count].tolist()]
