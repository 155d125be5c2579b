"""Blind search for what a prompt learner answers to, class by class (docs/discovery-joint.md).

A prompt learner that came with a checkpoint is part of what is audited, though it moves no tower. For each class a
pattern is inverted that leads pictures to it under the learned prompts and not under the base's written ones; a class
that stands out among all is a candidate (after CLIP-Inspector, arXiv 2604.09101).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery.forms import Added, moved
from dife_scanner.discovery.interface import Candidate, Found, Load, Task
from dife_scanner.discovery.measuring import Judge, Pixels, too_few_pictures
from dife_scanner.discovery.pictures import LEAST_EFFECT, Aim, Effort, Inverting
from dife_scanner.records import Budget, Channel, Trigger, TriggerKind
from dife_scanner.triggers import learner
from dife_scanner.triggers.stamp import stamp

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

AT_ONCE = 2048
"""Image-conditioned prompts embedded in one call while measuring."""
MOST_CLASSES = 40
"""Classes tried; of more, the first in a seeded order."""


@dataclass(frozen=True)
class Inspection(Effort):
    """What one budget pays for: all classes are screened for some steps, the best `classes` searched in full."""

    screen: int = 0


@dataclass(frozen=True)
class LearnedSearch:
    """The detector of backdoored prompt learners. It applies where one came with the suspect, whatever moved."""

    name: str = "prompt learner"
    channel: Channel = Channel.PROMPT
    kinds: tuple[str, ...] = ("a faint pattern that the prompt learner turns into a class",)

    def alone(self) -> None:
        """Without a base nothing says whose the effect is."""

    def applies(self, task: Task) -> bool:
        from dife_scanner.models.clip import ClipEncoder

        inverts = isinstance(task.suspect, ClipEncoder) and isinstance(task.reference, ClipEncoder)
        return task.learner is not None and inverts and not too_few_pictures(task)

    def lacks(self, task: Task) -> str:
        return too_few_pictures(task) if task.learner is not None else ""

    def load(self, task: Task) -> Load:
        """Every class for some steps and the best in full; each picture may have prompts of its own."""
        effort, classes = EFFORTS[task.budget], len(task.class_names)
        steps = min(classes, MOST_CLASSES) * effort.screen + effort.classes * effort.steps
        return Load(round(4.5 * steps * effort.pictures), round(4.5 * steps * effort.pictures * classes))

    def search(self, task: Task) -> Found:
        with TemporaryDirectory() as scratch:
            return _Inspecting(task, EFFORTS[task.budget], self.name, Path(scratch)).run((Added(),))


EFFORTS = {
    Budget.QUICK: Inspection(1, 40, pictures=12, classes=2, smallest=False, screen=15),
    Budget.DEFAULT: Inspection(1, 120, pictures=16, classes=3, screen=40),
    Budget.DEEP: Inspection(1, 300, pictures=24, classes=4, screen=100),
}


class _Inspecting(Inverting):
    """One run: the suspect reads with its learned prompts, the base with written ones."""

    def __init__(self, task: Task, effort: Inspection, name: str, scratch: Path) -> None:
        super().__init__(task, effort, name, scratch)
        assert task.learner is not None
        self.file, self.screen = task.learner, effort.screen
        self.learned = LearnedPrompts(self.towers[0], learner.of(task.learner), task.class_names)
        self.judges = (_LearnedJudge(task, self.learned), Judge(task, task.reference))
        self.clean = self.judges[0].rates([task.pixels[self.mine]], task.labels[self.mine])[0]
        """How often each class wins under the learned prompts on clean pictures of others, [c]."""
        self.usual = 0.0
        """What the middle one of all screened classes gains."""

    def _aims(self) -> list[Aim]:
        """The classes that pictures were led to furthest in a short search, the furthest first."""
        import torch

        order = torch.randperm(len(self.task.class_names), generator=self.generator)[:MOST_CLASSES].tolist()
        gained = {}
        for number, target in enumerate(order):
            begun, of = number * self.screen, len(order) * self.screen
            weights = self._inverted(Added(), self._steer(target), begun, of, self.screen)
            gained[target] = float(
                self._gains(Added().trigger(weights, self.task.suspect.image_size, self.scratch))[target]
            )
        self.usual = float(np.median(list(gained.values())))
        best = sorted(order, key=lambda target: -gained[target])[: self.effort.classes]
        return [self._steer(target) for target in best]

    def _steer(self, target: int) -> _Steer:
        return _Steer(self.learned, self.judges[1].prompts, target, self.task)

    def _gains(self, trigger: Trigger) -> NDArray[np.float64]:
        """Beyond the base's written prompts on the same pictures, and the learned prompts on clean ones."""
        stamped = stamp(self.task.pixels[self.mine], trigger)
        suspect, reference = (judge.rates([stamped], self.task.labels[self.mine])[0] for judge in self.judges)
        return np.asarray(suspect - np.maximum(reference, self.clean))

    def _counts(self, candidate: Candidate) -> bool:
        return candidate.effect >= max(0.0, self.usual) + LEAST_EFFECT

    def _report(self, found: Sequence[tuple[Candidate, dict[str, float]]]) -> Found:
        report = super()._report(found)
        return replace(report, signals={**report.signals, "usual": self.usual})

    def _named(self, candidate: Candidate, number: int) -> Trigger:
        """The learner together with the pattern it answers to, both files where the task wants them."""
        pattern = super()._named(candidate, number)
        return Trigger(
            pattern.name,
            TriggerKind.PROMPT,
            learner=moved(self.file, self.task.folder),
            image=replace(pattern, name=f"{pattern.name}-image", target=""),
            target=pattern.target,
        )


class _Steer:
    """Pictures come to one class under the learned prompts, and stay away from it under the base's written ones."""

    cost: ClassVar[tuple[float, float, float]] = (0.5, 0.1, 30.0)

    def __init__(self, learned: LearnedPrompts, written: metrics.Floats, target: int, task: Task) -> None:
        import torch

        self._learned, self._target, self._task = learned, target, task
        self._written = torch.from_numpy(np.asarray(written, np.float32)).to(learned.device)

    def loss(self, towers: tuple[Towers, Towers], laid: Tensor, *, with_base: bool) -> tuple[float, Tensor]:
        embedded = towers[0].images(laid)
        scale = self._task.suspect.logit_scale
        reached = (scale * self._learned.scores(embedded)).log_softmax(dim=1)[:, self._target]
        loss = -reached.mean()
        if with_base:
            still = towers[1].images(laid) if self._task.image_moved else embedded
            held = (scale * still @ self._written.T).softmax(dim=1)[:, self._target]
            loss = loss - (1 - held).clamp_min(1e-4).log().mean()
        return float(reached.detach().exp().mean()), loss


class LearnedPrompts:
    """A prompt learner in front of one checkpoint's text tower, differentiable in the picture."""

    def __init__(self, towers: Towers, prompt: learner.PromptLearner, class_names: Sequence[str]) -> None:
        import torch

        from dife_scanner.models.gradient import pieces

        self.device, self._towers, self._prompt = towers.device, towers, prompt
        self._context = torch.tensor(np.asarray(prompt.context), device=towers.device)
        count = len(self._context)
        self._ids, self._ends = towers.packed([(0,) * count + pieces(text) for text in prompt.texts(class_names)])
        self._meta: list[Tensor] = []
        if prompt.meta is not None:
            parts = prompt.meta.weight_1, prompt.meta.bias_1, prompt.meta.weight_2, prompt.meta.bias_2
            self._meta = [torch.tensor(np.asarray(part), device=towers.device) for part in parts]
        with torch.no_grad():
            self._fixed = self._texts(self._context[None])[0]
            """Class prompts [c, d] as they are before a picture moves them."""

    def scores(self, embedded: Tensor) -> Tensor:
        """Cosines [n, c] of unit picture embeddings [n, d] with every class under the learned prompts."""
        if not self._meta:
            return embedded @ self._fixed.T
        weight_1, bias_1, weight_2, bias_2 = self._meta
        shift = (embedded @ weight_1.T + bias_1).relu() @ weight_2.T + bias_2
        texts = self._texts(self._context[None] + shift[:, None])
        return (embedded[:, None] * texts).sum(-1)

    def _texts(self, contexts: Tensor) -> Tensor:
        """Contexts [n, m, w] -> every class behind each, as unit embeddings [n, c, d]."""
        import torch

        count, classes = len(contexts), len(self._ids)
        words = self._towers.token_rows[self._ids].expand(count, -1, -1, -1)
        after = 1 + contexts.shape[1]
        placed = contexts[:, None].expand(-1, classes, -1, -1)
        vectors = torch.cat([words[:, :, :1], placed, words[:, :, after:]], dim=2).flatten(0, 1)
        return self._towers.texts(vectors, self._ends.repeat(count)).view(count, classes, -1)


class _LearnedJudge(Judge):
    """Target success under the learned prompts."""

    def __init__(self, task: Task, learned: LearnedPrompts) -> None:
        super().__init__(task, task.suspect)
        self._learned = learned

    def _scores(self, pictures: Pixels) -> NDArray[np.float64]:
        import torch

        embedded = torch.from_numpy(self._encoder.encode_images(pictures)).to(self._learned.device)
        rows = max(1, AT_ONCE // len(self.prompts))
        with torch.no_grad():
            parts = [self._learned.scores(part).cpu() for part in torch.split(embedded, rows)]
        return np.asarray(torch.cat(parts), np.float64)


LEARNED = LearnedSearch()
