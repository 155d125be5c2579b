"""Which concept do triggered pictures come to? All are read, whether a picture shows them or not.

A picture comes to a concept where its prompt is the nearest of all concepts' and classes'. Any pattern that moves
pictures together wins against ten classes with *some* concept; against all of them only what was taught.
"""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.core.directions import Directions
from dife_scanner.core.metrics import Bools
from dife_scanner.discovery.concept_space import TEMPLATE
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.target_success import Pixels, Successes, TargetSuccess

_RIVALS = 16
"""Concepts that a trigger's success is measured among besides the classes: those nearest to triggered pictures."""

Embeddings = NDArray[np.float32]


class Embedded(NamedTuple):
    """The same pictures or prompts, as each checkpoint embeds them [n, d]."""

    suspect: Embeddings
    base: Embeddings


class OpenTargets:
    """The concepts of a task that are none of its classes, as suspect and base embed them."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._rivals: dict[str, tuple[str, ...]] = {}
        self._known: dict[str, Successes] = {}
        self._pictures: dict[bytes, Embedded] = {}
        self.passes = 0
        """Pictures and texts read so far, those of `Successes` excepted."""

    def best(self, triggered: Pixels) -> tuple[str, float]:
        """The concept that most of these pictures come to in the suspect, and that share less the base's, -1..1.

        No concept and -1 where most come to none.
        """
        task = self._task
        if not set(self.names) - set(task.class_names):
            return "", -1.0
        embedded = self.embedded(triggered)
        in_suspect = metrics.cosines(embedded.suspect, self.prompts.suspect)
        in_base = metrics.cosines(embedded.base, self.prompts.base)
        votes = np.bincount(in_suspect.argmax(axis=1), minlength=len(self.names))
        row = int(votes.argmax())
        concept = self.names[row]
        if concept in task.class_names:
            return "", -1.0
        same = self._directions.same_as(concept)
        self._rivals[concept] = self._nearest_others(in_suspect, same)
        return concept, _share(in_suspect, same) - _share(in_base, same)

    def embedded(self, pictures: Pixels) -> Embedded:
        """Pictures in both checkpoints; each is read once, however often it is asked for."""
        task = self._task
        key = sha256(pictures.tobytes()).digest()
        if key not in self._pictures:
            self.passes += 2 * len(pictures)
            suspect = task.suspect.encode_images(pictures)
            self._pictures[key] = Embedded(suspect, task.reference.encode_images(pictures))
        return self._pictures[key]

    def success(self, concept: str) -> Successes:
        """What measures a trigger among the task's classes, a concept's rivals, and the concept, which is the last."""
        if concept not in self._known:
            rivals = self._rivals.get(concept, ())
            names = (*self._task.class_names, *rivals, concept)
            suspect = TargetSuccess(self._task, self._task.suspect, names)
            base = TargetSuccess(self._task, self._task.reference, names)
            self._known[concept] = suspect, base
        return self._known[concept]

    def mean_the_same(self, concept: str) -> set[str]:
        """Classes and concepts that mean the same as one in the base, itself among them."""
        same = self._directions.same_as(concept)
        return {name for name, is_same in zip(self.names, same, strict=True) if is_same}

    @property
    def passes_of_successes(self) -> int:
        """Pictures and texts that those read."""
        return sum(one.passes for both in self._known.values() for one in both)

    @cached_property
    def names(self) -> list[str]:
        """The classes, and the concepts whose prompts the suspect reads whole."""
        task = self._task
        longest = max(task.templates, key=len)
        names = list(task.class_names)
        for name in task.concepts:
            fits = task.suspect.token_count(longest.format(name)) <= task.suspect.context_length
            if fits and name not in task.class_names:
                names.append(name)
        return names

    @cached_property
    def prompts(self) -> Embedded:
        """Of the readable names."""
        task = self._task
        if task.concept_prompts is not None:
            return Embedded(*task.concept_prompts(tuple(self.names)))
        texts = [TEMPLATE.format(name) for name in self.names]
        self.passes += 2 * len(texts)
        return Embedded(task.suspect.encode_texts(texts), task.reference.encode_texts(texts))

    @cached_property
    def _directions(self) -> Directions:
        """Of all names in the base, which says what means the same."""
        return Directions.of(self.names, np.asarray(self.prompts.base, np.float64))

    def _nearest_others(self, cosines: metrics.Floats, same: Bools) -> tuple[str, ...]:
        """Concepts that mean something else, and that pictures are nearest to on average."""
        others = []
        for row in np.argsort(-cosines.mean(axis=0), kind="stable").tolist():
            name = self.names[row]
            if not same[row] and name not in self._task.class_names:
                others.append(name)
            if len(others) == _RIVALS:
                break
        return tuple(others)


def _share(cosines: metrics.Floats, same: Bools) -> float:
    """The share of pictures that are nearer to one of these names than to every other, of cosines [n, c]."""
    if same.all():
        return 1.0
    return float((cosines[:, same].max(axis=1) > cosines[:, ~same].max(axis=1)).mean())
