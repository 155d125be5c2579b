"""A pattern under which pictures come together at one point that is no concept: its target has no name.

The point is the mean of the pictures searched on with the pattern on them, and a class among where clean pictures of
each class are. Suspect and base have each their own: what hides a picture whole brings it there in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.core.one_point import OnePoint
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.open_targets import OpenTargets
from dife_scanner.discovery.target_success import Pixels, Rows, Successes, TargetSuccess
from dife_scanner.models.interface import Encoder

UNNAMED = ""
"""The target of such a pattern."""


class PointSuccess(TargetSuccess):
    """The same where the target is a point, and classes are where clean pictures of them are."""

    def __init__(self, task: Task, encoder: Encoder, point: OnePoint, shown: Sequence[int]) -> None:
        """`shown` are the numbers of the classes that have a place, in ascending order."""
        self.class_names = (*(task.class_names[number] for number in shown), UNNAMED)
        self.prompts = point.places
        self.passes = 0
        self._encoder = encoder
        self._point = point
        self._shown = np.asarray(shown)

    def rates(self, versions: Sequence[Pixels], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        return super().rates(versions, np.searchsorted(self._shown, labels))

    def _scores(self, pictures: Pixels) -> metrics.Floats:
        return self._point.cosines(self._encoder.encode_images(pictures))


class UnnamedTargets:
    """Where pictures of a task come together under patterns, as suspect and base embed them."""

    def __init__(self, task: Task, rows: Rows, read: OpenTargets) -> None:
        """`rows` are the pictures searched on; `read` embeds them."""
        self._task = task
        self._rows = rows
        self._read = read
        self._made: list[TargetSuccess] = []

    def effect(self, triggered: Pixels) -> float:
        """The share of these pictures that come to their own mean in the suspect, less the base's, -1..1."""
        embedded = self._read.embedded(triggered)
        suspect, base = self._points(triggered)
        return float(suspect.came(embedded.suspect).mean() - base.came(embedded.base).mean())

    def success(self, triggered: Pixels) -> Successes:
        """What measures a pattern among the classes and the mean of these pictures, which is the last."""
        task = self._task
        shown = np.unique(task.labels[self._rows]).tolist()
        suspect, base = self._points(triggered)
        of_suspect = PointSuccess(task, task.suspect, suspect, shown)
        of_base = PointSuccess(task, task.reference, base, shown)
        self._made += [of_suspect, of_base]
        return of_suspect, of_base

    @property
    def passes(self) -> int:
        """Pictures that `success` read; those of `OpenTargets` are counted there."""
        return sum(one.passes for one in self._made)

    def _points(self, triggered: Pixels) -> tuple[OnePoint, OnePoint]:
        clean = self._read.embedded(self._task.pixels[self._rows])
        moved = self._read.embedded(triggered)
        labels = self._task.labels[self._rows]
        return (
            OnePoint.of(clean.suspect, labels, moved.suspect),
            OnePoint.of(clean.base, labels, moved.base),
        )
