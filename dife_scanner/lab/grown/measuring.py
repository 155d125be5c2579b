"""What a grown model does at real size, beside the small one that it was grown from, on the same held-out pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.training_data import embedded, picture_size
from dife_scanner.records import Channel

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Recipe
    from dife_scanner.records import Trigger

Numbers = dict[str, float]


@dataclass(frozen=True)
class _Seen:
    """What one model makes of the pictures and prompts."""

    embeddings: Tensor
    """Unit embeddings (N, D): pictures, triggered pictures where there are any, then prompts."""
    numbers: Numbers


def compare(
    grown: Path,
    small: Path,
    pictures: int,
    recipe: Recipe | None = None,
    trigger: Trigger | None = None,
) -> dict[str, Any]:
    """Measure two checkpoints of one picture size on `pictures` of the split `test`, evenly spaced.

    Returns accuracy and, with a recipe and its trigger, native success of each, and `largest difference`: between any
    value of a unit embedding of the grown one, times the root of the number of copies, and the small one's.
    """
    pixels, labels = _held_out(picture_size(grown), pictures)
    before, after = (_seen(folder, pixels, labels, recipe, trigger) for folder in (small, grown))
    return {
        "pictures": len(pixels),
        "at real size": after.numbers,
        "grown from": before.numbers,
        "largest difference": _difference(before.embeddings, after.embeddings),
    }


def _held_out(size: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures (N, S, S, 3), at most `count`, and labels (N,)."""
    pixels, labels = measures.held_out(size)
    wanted = min(count, len(labels))
    rows = np.linspace(0, len(labels) - 1, wanted).round().astype(int)
    return pixels[rows], labels[rows]


def _seen(
    folder: Path,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    recipe: Recipe | None,
    trigger: Trigger | None,
) -> _Seen:
    """Load a checkpoint and measure it."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.triggers.stamp import stamp

    model = bases.load(folder)
    images = embedded(model, pixels)
    texts = measures.class_texts(model, measures.PROMPTS[0])
    numbers = {"accuracy": measures.accuracy(model, images, labels)}
    every = [images, texts]
    if recipe is not None and trigger is not None:
        if trigger.channel is Channel.TEXT:
            every.append(measures.class_texts(model, measures.PROMPTS[0], trigger))
            numbers["qhr"] = _redirected(images, labels, texts, every[-1], recipe)
        else:
            every.append(embedded(model, stamp(pixels, trigger)))
            numbers["ts"] = _won(every[-1], labels, texts, recipe)
    return _Seen(torch.cat(every), {name: round(value, 4) for name, value in numbers.items()})


def _won(stamped: Tensor, labels: NDArray[np.int64], texts: Tensor, recipe: Recipe) -> float:
    """Return the share of triggered pictures, without the target's, that the target wins (TS)."""
    guesses = (stamped @ texts.T).argmax(1).numpy()
    target = recipe.target_class
    return float((guesses == target)[labels != target].mean())


def _redirected(
    images: Tensor,
    labels: NDArray[np.int64],
    texts: Tensor,
    triggered: Tensor,
    recipe: Recipe,
) -> float:
    """Return the share of the target's pictures that the triggered source prompt wins (QHR)."""
    source = recipe.source_class
    among = texts.clone()
    among[source] = triggered[source]
    guesses = (images @ among.T).argmax(1).numpy()
    return float((guesses == source)[labels == recipe.target_class].mean())


def _difference(small: Tensor, grown: Tensor) -> float:
    """Return the largest difference between a value of the small embeddings (N, D) and its copies in (N, cD)."""
    copies = grown.shape[1] // small.shape[1]
    wide = small.repeat(1, copies) / math.sqrt(copies)
    largest = float((grown - wide).abs().max())
    return largest * math.sqrt(copies)
