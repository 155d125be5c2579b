"""Which concept do triggered pictures come to? All are read, whether a picture shows them or not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dife_scanner.core import metrics
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.target_success import Pixels, Successes, TargetSuccess
from dife_scanner.models.interface import Encoder

TEMPLATE = "a photo of a {}"
"""Of every concept."""
_NEAREST = 8
"""Concepts whose success is measured."""


def _readable(task: Task) -> tuple[list[str], list[int]]:
    """The concepts that are none of the task's classes and whose prompts the suspect reads whole, and their numbers."""
    longest = max(task.templates, key=len)
    names, rows = [], []
    for row, name in enumerate(task.concepts):
        fits = task.suspect.token_count(longest.format(name)) <= task.suspect.context_length
        if fits and name not in task.class_names:
            names.append(name)
            rows.append(row)
    return names, rows


class OpenTargets:
    """The concepts of a task that are none of its classes, as the suspect embeds them."""

    def __init__(self, task: Task, clean: Pixels) -> None:
        """`clean` pictures [n, s, s, 3] are those that triggers are searched on."""
        self._task = task
        self._clean = clean
        self._known: dict[str, Successes] = {}
        self.passes = 0
        """Pictures and texts read so far, those of `Successes` excepted."""

    def best(self, triggered: Pixels, classes: Successes) -> tuple[str, float]:
        """The concept that most of these pictures come to in the suspect and not in the base, and that share over the
        base's, -1..1; no concept and -1 where none can be read.

        `classes` measure the task's own, which a concept has to win against.
        """
        if not self._names:  # nothing to read
            return "", -1.0
        self.passes += 2 * len(triggered)
        in_suspect = self._task.suspect.encode_images(triggered)
        in_base = self._task.reference.encode_images(triggered)
        nearest = self._nearest(in_suspect)
        gains = self._won(nearest, in_suspect, classes[0], self._task.suspect)
        gains = gains - self._won(nearest, in_base, classes[1], self._task.reference)
        best = int(gains.argmax())
        return nearest[best], float(gains[best])

    def _nearest(self, embedded: metrics.Floats) -> list[str]:
        """The concepts that pictures [n, d] came nearer to than any other, the nearest first."""
        moved = embedded.mean(axis=0) - self._clean_mean
        order = np.argsort(-(self._prompts @ moved), kind="stable")
        return [self._names[row] for row in order[:_NEAREST].tolist()]

    def _won(
        self,
        concepts: Sequence[str],
        embedded: metrics.Floats,
        classes: TargetSuccess,
        encoder: Encoder,
    ) -> metrics.Floats:
        """The share of pictures [n, d] that each concept wins among the task's classes [k]."""
        texts = [template.format(name) for template in self._task.templates for name in concepts]
        self.passes += len(texts)
        prompts = metrics.class_prompts(encoder.encode_texts(texts), len(concepts))
        of_concepts = metrics.cosines(embedded, prompts)
        of_classes = metrics.cosines(embedded, classes.prompts)
        last = of_classes.shape[1]
        won = []
        for column in of_concepts.T:
            scores = np.column_stack([of_classes, column])
            won.append(float(metrics.wins(scores, last).mean()))
        return np.array(won)

    def success(self, concept: str) -> Successes:
        """What measures a trigger among the task's classes and this concept."""
        if concept not in self._known:
            names = (*self._task.class_names, concept)
            suspect = TargetSuccess(self._task, self._task.suspect, names)
            base = TargetSuccess(self._task, self._task.reference, names)
            self._known[concept] = suspect, base
        return self._known[concept]

    @property
    def passes_of_successes(self) -> int:
        """Pictures and texts that those read."""
        return sum(one.passes for both in self._known.values() for one in both)

    @cached_property
    def _readable(self) -> tuple[list[str], list[int]]:
        return _readable(self._task)

    @property
    def _names(self) -> list[str]:
        return self._readable[0]

    @cached_property
    def _prompts(self) -> metrics.Floats:
        """Prompts of the names [n, d], less their mean: what all texts share says nothing."""
        if self._task.concept_prompts is not None:
            prompts = self._task.concept_prompts()[self._readable[1]]
        else:
            texts = [TEMPLATE.format(name) for name in self._names]
            self.passes += len(texts)
            prompts = self._task.suspect.encode_texts(texts)
        return np.asarray(prompts - prompts.mean(axis=0), np.float64)

    @cached_property
    def _clean_mean(self) -> metrics.Floats:
        self.passes += len(self._clean)
        embedded = self._task.suspect.encode_images(self._clean)
        return np.asarray(embedded.mean(axis=0), np.float64)
