"""The detector `prompt learner`: trigger inversion against a prompt learner, class by class (docs/detectors.md).

A prompt learner that came with a checkpoint is part of what is audited, though it moves no tower. For each class a
pattern is inverted that leads pictures to it under the learned prompts and not under the base's written ones; a class
that stands out among all is a candidate (after CLIP-Inspector, arXiv 2604.09101).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery import pattern_files
from dife_scanner.discovery.effort import LEARNER_EFFORTS, LearnerEffort
from dife_scanner.discovery.image_inversion import (
    LEAST_EFFECT,
    ImageInversion,
    Measured,
)
from dife_scanner.discovery.interface import (
    Candidate,
    Load,
    SearchResult,
    Task,
)
from dife_scanner.discovery.learned_prompts import (
    LearnedPrompts,
    LearnedSuccess,
    TargetUnderLearner,
)
from dife_scanner.discovery.pattern_families import Additive
from dife_scanner.discovery.pictures import (
    PASSES_PER_PICTURE,
    can_invert,
)
from dife_scanner.discovery.target_success import (
    Successes,
    TargetSuccess,
    too_few_pictures,
)
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers import learner

MOST_CLASSES = 40
"""Classes tried; of more, the first in a seeded order."""


@dataclass(frozen=True)
class LearnedSearch:
    """The detector of backdoored prompt learners. It applies where one came with the suspect, whatever moved."""

    name: str = "prompt learner"
    channel: Channel = Channel.PROMPT
    kinds: tuple[str, ...] = ("a faint pattern that the prompt learner turns into a class",)

    def alone(self) -> None:
        """Without a base nothing says whose the effect is."""

    def applies(self, task: Task) -> bool:
        return task.learner is not None and can_invert(task) and not too_few_pictures(task)

    def lacks(self, task: Task) -> str:
        return too_few_pictures(task) if task.learner is not None else ""

    def load(self, task: Task) -> Load:
        """Every class for some steps and the best in full; each picture may have prompts of its own."""
        effort = LEARNER_EFFORTS[task.budget]
        classes = len(task.class_names)
        screening = min(classes, MOST_CLASSES) * effort.screening_steps
        steps = screening + effort.target_classes * effort.steps
        images = PASSES_PER_PICTURE * steps * effort.pictures
        return Load(round(images), round(images * classes))

    def search(self, task: Task) -> SearchResult:
        effort = LEARNER_EFFORTS[task.budget]
        with TemporaryDirectory() as scratch:
            run = LearnerInversion(task, effort, self.name, Path(scratch))
            return run.run((Additive(),))


class LearnerInversion(ImageInversion):
    """One run: the suspect reads with its learned prompts, the base with written ones."""

    reads_concepts = False

    def __init__(
        self,
        task: Task,
        effort: LearnerEffort,
        name: str,
        scratch: Path,
    ) -> None:
        super().__init__(task, effort, name, scratch)
        assert task.learner is not None
        self.file = task.learner
        self.screening_steps = effort.screening_steps
        prompt = learner.of(task.learner)
        self.learned = LearnedPrompts(self.towers[0], prompt, task.class_names)
        self.success = (
            LearnedSuccess(task, self.learned),
            TargetSuccess(task, task.reference),
        )
        pictures = task.pixels[self.search_rows]
        labels = task.labels[self.search_rows]
        self.clean_rates = self.success[0].rates([pictures], labels)[0]
        """How often each class wins under the learned prompts on clean pictures of others, [c], 0..1."""
        self.median_gain = 0.0
        """The median gain of all screened classes: enough noise separates any two sets of prompts, so a class has to
        stand out from it."""

    def _objectives(self) -> list[TargetUnderLearner]:
        """The classes with the largest gain in a short search, the largest first."""
        import torch

        classes = len(self.task.class_names)
        shuffled = torch.randperm(classes, generator=self.generator)
        screened = shuffled[:MOST_CLASSES].tolist()
        total = len(screened) * self.screening_steps
        gains: dict[int, float] = {}
        for number, target in enumerate(screened):
            done = number * self.screening_steps
            gains[target] = self._screening_gain(target, done, total)
        self.median_gain = float(np.median(list(gains.values())))
        best = sorted(screened, key=lambda target: -gains[target])
        wanted = best[: self.effort.target_classes]
        return [self._objective(target) for target in wanted]

    def _screening_gain(self, target: int, done: int, total: int) -> float:
        """What a class gains in a short search."""
        weights = self._inverted(
            Additive(),
            self._objective(target),
            done,
            total,
            steps=self.screening_steps,
        )
        side = self.task.suspect.image_size
        trigger = Additive().trigger(weights, side, self.scratch)
        return float(self._gains(trigger, self.success)[target])

    def _objective(self, target: int) -> TargetUnderLearner:
        written = self.success[1].prompts
        return TargetUnderLearner(self.learned, written, target, self.task)

    def _gains(self, trigger: Trigger, success: Successes) -> NDArray[np.float64]:
        """Success beyond the base's written prompts on the same pictures, and the learned prompts on clean ones [c]."""
        # Learned prompts may favour a class on clean pictures: that is no response to a pattern.
        suspect, base = self._rates_with(trigger, self.search_rows, success)
        return np.asarray(suspect - np.maximum(base, self.clean_rates))

    def _counts(self, candidate: Candidate) -> bool:
        # Where every class gives way as easily, none of them is a backdoor's.
        return candidate.effect >= max(0.0, self.median_gain) + LEAST_EFFECT

    def _report(self, measured: Sequence[Measured]) -> SearchResult:
        report = super()._report(measured)
        signals = {**report.signals, "usual": self.median_gain}
        return replace(report, signals=signals)

    def _named(self, candidate: Candidate, number: int) -> Trigger:
        """The learner together with the pattern it responds to, both files where the task wants them."""
        pattern = super()._named(candidate, number)
        image_name = f"{pattern.name}-image"
        return Trigger(
            pattern.name,
            TriggerKind.PROMPT,
            learner=pattern_files.copied(self.file, self.task.folder),
            image=replace(pattern, name=image_name, target=""),
            target=pattern.target,
        )


LEARNED = LearnedSearch()
