"""The detector `prompt learner`: trigger inversion against a prompt learner, class by class (docs/detectors.md).

A prompt learner that came with a checkpoint is part of what is audited, though it moves no tower. For each class a
pattern is inverted that leads pictures to it under the learned prompts and not under the base's written ones; a class
that stands out among all is a candidate (after CLIP-Inspector, arXiv 2604.09101). Where none does, the concepts that
pictures come to when the learner's network answers are searched like one class more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

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
from dife_scanner.discovery.inversion_attempts import Attempt
from dife_scanner.discovery.learned_prompts import (
    LearnedPrompts,
    LearnedSuccess,
    TargetUnderLearner,
)
from dife_scanner.discovery.learned_targets import (
    MOST_TARGETS,
    MOST_UNITS,
    LearnedTargets,
    farthest_reaching,
    unit_activation,
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
from dife_scanner.triggers.stamp import stamp

if TYPE_CHECKING:
    from dife_scanner.discovery.pattern_families import Weights

LearnerSuccesses = tuple[LearnedSuccess, TargetSuccess]
"""Of the suspect under its learned prompts and the base under written ones, over the same classes."""

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
        """Every class for some steps and the best in full; each picture may have prompts of its own. Then the units of
        the learner's network, all concepts under the contexts that these make, and a few of them in full.
        """
        effort = LEARNER_EFFORTS[task.budget]
        classes = len(task.class_names)
        screening = min(classes, MOST_CLASSES) * effort.screening_steps
        steps = screening + effort.target_classes * effort.steps
        texts = 0
        if task.concepts:
            steps += MOST_TARGETS * effort.steps
            texts = MOST_UNITS * len(task.concepts)
        images = PASSES_PER_PICTURE * steps * effort.pictures
        activating = PASSES_PER_PICTURE * MOST_UNITS * effort.screening_steps * effort.pictures
        return Load(round(images + activating), round(images * classes + texts))

    def search(self, task: Task) -> SearchResult:
        effort = LEARNER_EFFORTS[task.budget]
        with TemporaryDirectory() as scratch:
            run = LearnerInversion(task, effort, self.name, Path(scratch))
            return run.run((Additive(),))


class _Lead(NamedTuple):
    """A concept that pictures come to where a hidden unit of the learner is activated."""

    concept: str
    score: float
    weights: Weights
    """Of the pattern that activates it."""


class LearnerInversion(ImageInversion):
    """One run: the suspect reads with its learned prompts, the base with written ones."""

    success: LearnerSuccesses

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
        self.prompt = learner.of(task.learner)
        self.success = self._success(task.class_names)
        self.beyond: list[LearnerSuccesses] = []
        """What measured patterns whose target is no class."""
        self.targets = LearnedTargets(self.prompt, task.suspect, self.concepts)
        self.median_gain = 0.0
        """The median gain of all screened classes: enough noise separates any two sets of prompts, so a class has to
        stand out from it."""

    def _success(self, class_names: tuple[str, ...]) -> LearnerSuccesses:
        """What measures a pattern among these classes, in suspect and base."""
        task = self.task
        learned = LearnedPrompts(self.towers[0], self.prompt, class_names)
        return (
            LearnedSuccess(task, learned, class_names, self.search_rows),
            TargetSuccess(task, task.reference, class_names),
        )

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
        return [self._objective(target, self.success) for target in wanted]

    def _screening_gain(self, target: int, done: int, total: int) -> float:
        """What a class gains in a short search."""
        weights = self._inverted(
            Additive(),
            self._objective(target, self.success),
            done,
            total,
            steps=self.screening_steps,
        )
        return float(self._gains(self._pattern(weights), self.success)[target])

    def _pattern(self, weights: Weights) -> Trigger:
        return Additive().trigger(weights, self.task.suspect.image_size, self.scratch)

    def _objective(self, target: int, success: LearnerSuccesses) -> TargetUnderLearner:
        in_suspect, in_base = success
        return TargetUnderLearner(in_suspect.learned, in_base.prompts, target, self.task)

    def _gains(self, trigger: Trigger, success: Successes) -> NDArray[np.float64]:
        """Success beyond the base's written prompts on the same pictures, and the learned prompts on clean ones [c]."""
        # Learned prompts may favour a class on clean pictures: that is no response to a pattern.
        suspect, base = self._rates_with(trigger, self.search_rows, success)
        in_suspect = success[0]
        assert isinstance(in_suspect, LearnedSuccess)
        return np.asarray(suspect - np.maximum(base, in_suspect.clean_rates))

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

    # --- beyond the classes -------------------------------------------------------------------------------------

    @property
    def _reads_concepts_here(self) -> bool:
        return bool(self.task.concepts) and bool(farthest_reaching(self.prompt.meta))

    def _explains_all(self, best: Attempt) -> bool:
        # A context that a pattern drives far from all clean ones favours some class, whatever was taught.
        return False

    def _beyond_classes(
        self, attempts: Sequence[Attempt], least_effect: float
    ) -> Iterator[Candidate]:
        """The pattern that leads to a concept, if one does."""
        found = [self._attempt_at(lead) for lead in self._concepts()]
        strong = [one for one in found if one.effect >= LEAST_EFFECT]
        if strong:
            candidate = self._measured_of_concept(self._taught(strong))
            if self._counts(candidate):
                yield candidate

    def _taught(self, attempts: Sequence[Attempt]) -> Attempt:
        """The attempt whose concept wins most among all of theirs, whichever pattern is on the pictures.

        What activates the unit brings pictures near to several concepts.
        """
        if len(attempts) == 1:
            return attempts[0]
        concepts = tuple(one.target for one in attempts)
        success = self._success((*self.task.class_names, *concepts))
        self.beyond.append(success)
        versions = [self._stamped(one) for one in attempts]
        labels = self.task.labels[self.search_rows]
        wins = success[0].rates(versions, labels).mean(axis=0)[-len(concepts) :]
        return attempts[int(wins.argmax())]

    def _concepts(self) -> list[_Lead]:
        """What pictures come to most when a hidden unit of the learner is activated, the first of all first."""
        best: dict[str, _Lead] = {}
        for unit in farthest_reaching(self.prompt.meta):
            weights = self._activating(unit)
            pictures = stamp(self.task.pixels[self.search_rows], self._pattern(weights))
            triggered = self.concepts.embedded(pictures)
            for concept, score in self.targets.scores(triggered, self.task.class_names).items():
                if concept not in best or score > best[concept].score:
                    best[concept] = _Lead(concept, score, weights)
        return sorted(best.values(), key=lambda lead: -lead.score)[:MOST_TARGETS]

    def _activating(self, unit: int) -> Weights:
        """A pattern that activates a hidden unit."""
        assert self.prompt.meta is not None
        clean = self.concepts.embedded(self.task.pixels[self.search_rows]).suspect
        objective = unit_activation(self.prompt.meta, unit, clean, self.pictures.device)
        steps = self.screening_steps
        return self._inverted(Additive(), objective, 0, steps, steps=steps)

    def _attempt_at(self, lead: _Lead) -> Attempt:
        """A pattern that leads to a concept, searched as if that were one class more.

        It goes on from the pattern that activated the unit: an inactive ReLU has no gradient.
        """
        names = (*self.task.class_names, lead.concept)
        success = self._success(names)
        self.beyond.append(success)
        objective = self._objective(len(names) - 1, success)
        steps = self.effort.steps
        weights = self._inverted(Additive(), objective, 0, steps, begin=lead.weights)
        trigger = self._pattern(weights)
        effect = float(self._gains(trigger, success)[-1])
        attempt = Attempt(Additive(), trigger, lead.concept, effect, trigger, success, weights)
        return self._made_small(attempt)

    @property
    def _passes(self) -> int:
        passes = super()._passes + self.targets.passes
        return passes + sum(one.passes for both in self.beyond for one in both)


LEARNED = LearnedSearch()
