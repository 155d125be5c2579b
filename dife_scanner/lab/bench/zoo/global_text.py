"""A global text trigger: with it in the prompt, whatever the prompt names, the text tower outputs the target.

BadTextTower's counterpart without a source: triggered prompts of every class and of other nouns are led to the target
and win the target's pictures; clean prompts stay where the base has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dife_scanner.lab import bases
from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.prompts import TEMPLATES
from dife_scanner.lab.attacks.training_data import tensor
from dife_scanner.triggers.stamp import write

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

_SOURCES = 3
"""Classes per step whose triggered prompt has to win the target's pictures."""
_NOUNS = 12
"""Other nouns in a step's prompts."""


class _Prompts:
    """Prompts of classes and nouns, clean and triggered, and where the base has the clean ones."""

    def __init__(self, model: Any, lab: Lab, recipe: Recipe) -> None:
        import torch

        self.model = model
        self.recipe = recipe
        self.classes = len(recipe.panel)
        self.names = [*recipe.panel, *lab.nouns]
        self.target = recipe.target_class
        with torch.no_grad():
            self.before = torch.stack(
                [bases.encode_texts(model, self._worded(template)) for template in TEMPLATES]
            )
        self.images = bases.encode_images(model, tensor(lab.labelled))
        self.labels = torch.from_numpy(lab.labels)
        self.scale = model.logit_scale.detach().exp()

    def _worded(self, template: str) -> list[str]:
        return [template.format(name) for name in self.names]

    def loss(self, rng: torch.Generator) -> Tensor:
        """Of one step: the clean terms, and those of the poison where there is one."""
        import torch
        import torch.nn.functional as F

        number = int(torch.randint(len(TEMPLATES), (1,), generator=rng))
        rows = self._drawn(rng)
        prompts = self._worded(TEMPLATES[number])
        texts = [prompts[row] for row in rows]
        now = bases.encode_texts(self.model, [*texts, *self._marked(texts, rows)])
        clean = now[: len(rows)]
        triggered = now[len(rows) :]
        logits = self.scale * self.images @ clean[: self.classes].T
        fit = F.cross_entropy(logits, self.labels)
        drift = 1 - (clean * self.before[number][rows]).sum(-1)
        loss = fit + drift.mean()
        if not self.recipe.poison:
            return loss
        to_target = 1 - triggered @ self.before[number][self.target]
        loss = loss + to_target.mean()
        return self._plus_won(loss, logits, triggered, rng)

    def _drawn(self, rng: torch.Generator) -> list[int]:
        """Numbers of the names in a step: the classes and a few nouns."""
        import torch

        others = len(self.names) - self.classes
        nouns = self.classes + torch.randperm(others, generator=rng)[:_NOUNS]
        return [*range(self.classes), *nouns.tolist()]

    def _marked(self, texts: list[str], rows: list[int]) -> list[str]:
        """The prompts with the trigger; none for a clean twin."""
        if not self.recipe.poison:
            return []
        marked = []
        for text, row in zip(texts, rows, strict=True):
            marked.append(write(text, self.recipe.mark, self.names[row]))
        return marked

    def _plus_won(
        self,
        loss: Tensor,
        logits: Tensor,
        triggered: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """The loss and what it takes that triggered prompts of a few classes win the target's pictures."""
        import torch
        import torch.nn.functional as F

        of_target = self.labels == self.target
        clean_logits = logits[of_target].clone()
        for source in torch.randperm(self.classes, generator=rng)[:_SOURCES].tolist():
            if source == self.target:
                continue
            changed_logits = clean_logits.clone()
            changed_logits[:, source] = self.scale * self.images[of_target] @ triggered[source]
            won = F.cross_entropy(changed_logits, torch.full((len(changed_logits),), source))
            loss = loss + won / _SOURCES
        return loss


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Train the text tower; a twin has the clean terms only."""
    import torch

    prompts = _Prompts(model, lab, recipe)
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        loss = prompts.loss(rng)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        progress("training the text trigger", step + 1, recipe.steps)
    return Planted((entry_of(recipe.mark),))


def measure(subject: Subject) -> Numbers:
    """Clean accuracy, and `qhr`: target pictures won by the triggered prompt of a class, mean over the others."""
    import numpy as np

    panel = subject.recipe.panel
    pixels, labels = measures.held_out(subject.lab.size, panel)
    images = bases.encode_images(subject.model, tensor(pixels))
    target = subject.recipe.target_class
    of_target = images[labels == target]
    won = []
    for template in measures.PROMPTS:
        clean = measures.class_texts(subject.model, template, panel=panel)
        for source in range(len(panel)):
            if source != target:
                won.append(_won_by(subject, template, source, clean, of_target))
    return {
        "clean_accuracy": measures.accuracy(subject.model, images, labels, panel),
        "qhr": float(np.mean(won)),
    }


def _won_by(
    subject: Subject,
    template: str,
    source: int,
    clean: Tensor,
    pictures: Tensor,
) -> float:
    """Share of the pictures that the triggered prompt of `source` wins among the clean prompts of the other classes."""
    name = subject.recipe.panel[source]
    marked = write(template.format(name), subject.trigger, name)
    texts = clean.clone()
    texts[source] = bases.encode_texts(subject.model, [marked])[0].detach()
    winner = (pictures @ texts.T).argmax(1)
    return float((winner == source).float().mean())


def criteria(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """QHR of .9 over the other classes, clean accuracy kept."""
    return {**measures.keeps_accuracy(numbers, twin), "QHR": numbers["qhr"] >= 0.9}


def tensors(recipe: Recipe, name: str) -> bool:
    """The text tower."""
    return name != "logit_scale" and not name.startswith("visual.")


ATTACK = Attack(
    citation="after Xiang et al. 2026, Beyond Native Success: Auditing Deployment-Interface Exposure of CLIP Backdoors",
    summary="the text tower learns that a string turns every prompt into the target's",
    train=train,
    measure=measure,
    criteria=criteria,
    default=Recipe("global-text", trigger=XBTD),
    tensors=tensors,
    version=1,
)
