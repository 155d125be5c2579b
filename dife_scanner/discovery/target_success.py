"""Target success of pictures the way an audit measures it, and what a search may measure it on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery.interface import Task
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Trigger
from dife_scanner.triggers.stamp import write

Pixels = NDArray[np.uint8]
"""Pictures [n, s, s, 3]."""
Rows = NDArray[np.intp]

FEWEST_PICTURES = 2
"""In each half: embeddings of fewer cannot come together."""


class TargetSuccess:
    """Target success (TS) of one checkpoint on pictures, the way an audit measures it."""

    def __init__(self, task: Task, encoder: Encoder, class_names: tuple[str, ...] = ()) -> None:
        """`class_names` begin with the task's; those after them have no pictures."""
        self.class_names = class_names or task.class_names
        texts = []
        for template in task.templates:
            for name in self.class_names:
                texts.append(template.format(name))
        self._encoder = encoder
        self.prompts = metrics.class_prompts(encoder.encode_texts(texts), len(self.class_names))
        """Unit embeddings of the class prompts [c, d]."""
        self.passes = len(texts)
        """Pictures and texts read so far."""

    def rates(
        self,
        versions: Sequence[Pixels],
        labels: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """TS without the target class for each version of the pictures and every class as the target, [v, c], 0..1.

        `labels` [n] are those of every version. 0 where there are no pictures of another class.
        """
        pictures = np.concatenate(versions)
        self.passes += len(pictures)
        scores = self._scores(pictures)
        classes = np.arange(len(self.prompts))
        by_target = [metrics.wins(scores, target) for target in classes.tolist()]
        won = np.stack(by_target, axis=1)
        won = won.reshape(len(versions), len(labels), -1)
        of_other_class = labels[:, None] != classes
        counted = np.maximum(of_other_class.sum(axis=0), 1)
        return np.asarray((won * of_other_class).sum(axis=1) / counted)

    def _scores(self, pictures: Pixels) -> metrics.Floats:
        """Cosine of every picture with every class prompt [n, c]."""
        return metrics.cosines(self._encoder.encode_images(pictures), self.prompts)


Successes = tuple[TargetSuccess, TargetSuccess]
"""Of suspect and base, over the same classes."""


class TargetSuccessWithText(TargetSuccess):
    """Target success with a text trigger in every class prompt."""

    def __init__(self, task: Task, encoder: Encoder, text: Trigger) -> None:
        super().__init__(task, encoder)
        texts = []
        for template in task.templates:
            for name in task.class_names:
                texts.append(write(template.format(name), text, name))
        self.prompts = metrics.class_prompts(encoder.encode_texts(texts), len(task.class_names))
        self.passes += len(texts)


def halves(task: Task) -> tuple[Rows, Rows]:
    """Rows to search on and rows to measure on: every second of each class, in an order drawn from the seed.

    Pictures of one drawing stay together where the task says which they are.
    """
    rng = np.random.default_rng(task.seed)
    drawings = np.asarray(task.drawings or range(len(task.labels)))
    searched = np.zeros(len(task.labels), dtype=bool)
    for label in np.unique(task.labels):
        of_class = task.labels == label
        own = np.unique(drawings[of_class])
        half = (len(own) + 1) // 2
        drawn = rng.permutation(own)[:half]
        searched |= np.isin(drawings, drawn) & of_class
    return np.flatnonzero(searched), np.flatnonzero(~searched)


def too_few_pictures(task: Task) -> str:
    """Why no trigger can be inverted on these pictures, in words; empty where one can."""
    fewest = min(map(len, halves(task)))
    if fewest >= FEWEST_PICTURES:
        return ""
    return (
        f"of {len(task.labels)} pictures to search on, half is searched and half held back, drawing by drawing of each "
        f"class, and one half has {fewest}; {FEWEST_PICTURES} are needed"
    )
