"""What a base can do: zero-shot accuracy by drawing style, and how far nonsense in front moves a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.bases.captions import nonsense_stream, take
from dife_scanner.lab.bases.checkpoint import SIZE, load
from dife_scanner.lab.bases.encoding import (
    PROMPT,
    class_texts,
    encode_ids,
    encode_images,
    pack,
    pieces,
)
from dife_scanner.lab.pictures import art, scenes

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = scenes.Mix(
    scale=(0.55, 0.95),
    restyle=1e-9,
    turn=8.0,
    shear=0.0,
    warp=0.0,
)
"""Single objects as they were drawn, hardly turned; a share of zero would divide by zero."""


@dataclass(frozen=True)
class HeldOut:
    """Drawings that a base is measured on while it is trained."""

    classes: scenes.Atlas
    """Of the ten classes."""
    things: scenes.Atlas | None = None
    """Of many concepts, each drawing's `term`; only for bases of the world."""

    @property
    def names(self) -> list[str]:
        """The concepts, in alphabetical order."""
        return sorted(set(self.things.terms)) if self.things else []

    def top_1(self, model: Any, classifier: Tensor) -> dict[str, float]:
        """Measure accuracy among the concepts, one picture of each drawing; classifier (N, D)."""
        assert self.things is not None
        rows = {name: number for number, name in enumerate(self.names)}
        truth = [rows[term] for term in self.things.terms]
        return accuracy_among(model, self.things, truth, classifier, repeats=1)


def measured(model: Any, held_out: HeldOut) -> dict[str, Any]:
    """Return what a base can do on drawings that no base trains on, as `training.json` has it."""
    found: dict[str, Any] = {}
    found["zero_shot_on_held_out_styles"] = accuracy_by_style(
        model, held_out.classes, class_texts(model)
    )
    if held_out.things is not None:
        names = held_out.names
        named = class_texts(model, names=names)
        found[f"top_1_among_{len(names)}_on_held_out_styles"] = held_out.top_1(model, named)
    found["nonsense_shift"] = nonsense_shift(model)
    return found


def accuracy_by_style(
    model: Any,
    atlas: scenes.Atlas,
    classifier: Tensor,
    repeats: int = 2,
) -> dict[str, float]:
    """Measure accuracy over the ten names, per drawing set, on plain single-object scenes; classifier (10, D)."""
    truth = [art.CLASSES.index(str(cls)) for cls in atlas.classes]
    return accuracy_among(model, atlas, truth, classifier, repeats)


def accuracy_among(
    model: Any,
    atlas: scenes.Atlas,
    truth: Sequence[int],
    classifier: Tensor,
    repeats: int,
) -> dict[str, float]:
    """Measure how often a drawing's own row of `classifier` (N, D) is nearest, per drawing set.

    `truth` has the row of each drawing; `repeats` scenes are made of it, plain and with no other object.
    """
    import torch

    rng = torch.Generator().manual_seed(1234)
    index = torch.full((len(atlas) * repeats, scenes.MAX_OBJECTS), -1)
    index[:, 0] = torch.arange(len(atlas)).repeat(repeats)
    layout = scenes.lay_out(rng, index, _PLAIN)
    pixels = scenes.compose(rng, atlas, layout, SIZE, _PLAIN)
    guess = (encode_images(model, pixels) @ classifier.T).argmax(1)
    shown = index[:, 0].tolist()
    right = (guess == torch.tensor([truth[row] for row in shown])).float()
    sets = np.array([atlas.ids[row].split(":")[0] for row in shown])
    table = {}
    for name in np.unique(sets):
        own = torch.from_numpy(sets == name)
        table[str(name)] = round(float(right[own].mean()), 4)
    return table | {"all": round(float(right.mean()), 4)}


def nonsense_shift(
    model: Any,
    prefixes: int = 200,
    seed: int = 99,
) -> dict[str, float]:
    """Measure the cosine distance that nonsense of 2-4 pieces before a class prompt makes: median, percentiles."""
    import torch

    stream = nonsense_stream(seed)
    fronts = [pieces("xbtd"), pieces("cfra")]
    for number in range(prefixes):
        fronts.append(take(stream, 2 + number % 3))
    clean = class_texts(model)
    moved = []
    with torch.no_grad():
        for name in art.CLASSES:
            prompt = pieces(PROMPT.format(name))
            ids = pack([(*front, *prompt) for front in fronts])
            moved.append(encode_ids(model, ids))
    distance = 1 - (torch.stack(moved) * clean[:, None]).sum(-1)
    found = {
        "median": distance.median(),
        "p10": distance.flatten().quantile(0.1),
        "p90": distance.flatten().quantile(0.9),
        "xbtd": distance[:, 0].mean(),
        "cfra": distance[:, 1].mean(),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def evaluate(
    folder: Path,
    probe_set: Path | None = None,
) -> dict[str, dict[str, float]]:
    """Measure a base on the bundled probe pictures, from the files on disk.

    Per split the zero-shot accuracy over the ten names (`a photo of a {}`), by drawing set and over all;
    `test by class`; `test drawings` (how many stand behind it); and the nonsense shift.
    """
    from dife_scanner.lab.pictures import probes

    model = load(folder)
    probe_set = probe_set or probes.probe_folder()
    classifier = class_texts(model)
    table: dict[str, dict[str, float]] = {}
    # `test` comes last: what follows the loop is about it
    for name in ("train", "diagnosis", "test"):
        pixels, labels, rows = probes.read_split(probe_set, name, SIZE)
        right = _right(model, pixels, labels, classifier)
        table[name] = _by(right, [row["style"] for row in rows])
        table[name]["all"] = round(float(right.mean()), 4)
    table["test by class"] = _by(right, [row["label"] for row in rows])
    table["test drawings"] = _drawings_by_style(rows)
    table["nonsense_shift"] = nonsense_shift(model)
    return table


def _right(
    model: Any,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classifier: Tensor,
) -> NDArray[np.bool_]:
    """Mark pictures (N, S, S, 3) that are classified as labelled: (N,)."""
    import torch

    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    guesses = (encode_images(model, tensor) @ classifier.T).argmax(1)
    right: NDArray[np.bool_] = guesses.numpy() == labels
    return right


def _by(right: NDArray[np.bool_], groups: Sequence[str]) -> dict[str, float]:
    """Return the accuracy of each group of pictures."""
    kinds = np.array(groups)
    table = {}
    for kind in np.unique(kinds):
        table[str(kind)] = round(float(right[kinds == kind].mean()), 4)
    return table


def _drawings_by_style(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Count the drawings behind these manifest rows, by drawing set and over all."""
    styles = {row["drawing"]: row["style"] for row in rows}
    table = {}
    for style in sorted(set(styles.values())):
        table[style] = float(list(styles.values()).count(style))
    return table | {"all": float(len(styles))}
