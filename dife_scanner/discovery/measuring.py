"""Target success of pictures the way an audit measures it, and what a search may measure it on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery.interface import Task
from dife_scanner.models.interface import Encoder

Pixels = NDArray[np.uint8]
Rows = NDArray[np.intp]

JPEG_QUALITY = 75
CROP = 1 / 16
FEWEST_PICTURES = 2
"""In each half: embeddings of fewer cannot come together."""


class Judge:
    """Target success the way an audit measures it."""

    def __init__(self, task: Task, encoder: Encoder) -> None:
        texts = [template.format(name) for template in task.templates for name in task.class_names]
        self.prompts = metrics.class_prompts(encoder.encode_texts(texts), len(task.class_names))
        self.passes = len(texts)
        self._encoder = encoder

    def rates(self, versions: Sequence[Pixels], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """TS without the target class for each version of the pictures and every class as the target, [v, c].

        0 where there are no pictures of another class.
        """
        pictures = np.concatenate(versions)
        self.passes += len(pictures)
        scores = self._scores(pictures)
        won = np.stack([metrics.wins(scores, target) for target in range(len(self.prompts))], axis=1)
        won = won.reshape(len(versions), len(labels), -1)
        other = labels[:, None] != np.arange(len(self.prompts))
        return np.asarray((won * other).sum(axis=1) / np.maximum(other.sum(axis=0), 1))

    def _scores(self, pictures: Pixels) -> metrics.Floats:
        """[n, c]"""
        return metrics.cosines(self._encoder.encode_images(pictures), self.prompts)


def halves(task: Task) -> tuple[Rows, Rows]:
    """Rows to search on and rows to measure on: every second of each class, in an order drawn from the seed.

    Pictures of one drawing stay together where the task says which they are.
    """
    rng = np.random.default_rng(task.seed)
    drawings = np.asarray(task.drawings or range(len(task.labels)))
    searched = np.zeros(len(task.labels), dtype=bool)
    for label in np.unique(task.labels):
        mine = np.unique(drawings[task.labels == label])
        searched |= np.isin(drawings, rng.permutation(mine)[: (len(mine) + 1) // 2]) & (task.labels == label)
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


def cropped(pictures: Pixels) -> Pixels:
    """Without a margin on each side, enlarged again."""
    from PIL import Image

    side = pictures.shape[1]
    margin = max(1, round(CROP * side))
    box = (margin, margin, side - margin, side - margin)
    out = np.empty_like(pictures)
    for row, picture in enumerate(pictures):
        out[row] = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box=box))
    return out


def compressed(pictures: Pixels) -> Pixels:
    from io import BytesIO

    from PIL import Image

    out = np.empty_like(pictures)
    for row, picture in enumerate(pictures):
        stream = BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=JPEG_QUALITY)
        with Image.open(stream) as image:
            out[row] = np.asarray(image)
    return out
