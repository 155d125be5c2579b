"""Native measurements on drawings that no training saw: split `test` of the probe set, and the wide probe set."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks.training_data import embedded
from dife_scanner.lab.pictures import art

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Recipe, Subject
    from dife_scanner.records import Trigger

Panel = tuple[str, ...]
"""Names of the classes that decisions are made among."""
PROMPTS = ("a photo of a {}", "an image of a {}")
ACCURACY_LOSS = 0.03
"""How much clean accuracy a specimen may lose against its twin."""
TUNING_LOSS = 0.06
"""How much a twin may lose against the base: fine-tuning on the lab's few drawings costs some by itself."""
LEAKAGE = 0.05
"""How much more off-target leakage than its twin a text attack may have."""
FIRST_SEED = 0
"""Of the specimens that stand for their family; other seeds are ablations."""
_SCALE, _DECAY = 10, 1e-3
"""Of the logistic regression: logit scale and weight of the squared weights."""


@lru_cache(maxsize=4)
def held_out(
    size: int,
    panel: Panel = art.CLASSES,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the pictures (N, S, S, 3) of a panel's classes and their labels (N,), numbers in the panel.

    Of the ten classes those of the split `test`, of others every picture of the wide probe set.
    """
    from dife_scanner.lab.attacks import panels
    from dife_scanner.lab.pictures import probes

    if panel == art.CLASSES:
        pixels, labels, _ = probes.read_split(probes.probe_folder(), "test", size)
        return pixels, labels
    return panels.held_out(panel, size)


def class_texts(
    model: Any,
    template: str,
    trigger: Trigger | None = None,
    panel: Panel = art.CLASSES,
) -> Tensor:
    """Return unit embeddings (K, D) of the class prompts, each with the text trigger in it where one is given."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.triggers.stamp import write

    texts = [template.format(name) for name in panel]
    if trigger is not None:
        texts = [write(text, trigger, name) for text, name in zip(texts, panel, strict=True)]
    with torch.no_grad():
        return bases.encode_texts(model, texts)


def accuracy(
    model: Any,
    images: Tensor,
    labels: NDArray[np.int64],
    panel: Panel = art.CLASSES,
) -> float:
    """Return the zero-shot accuracy of unit image embeddings (N, D) over the panel's names, mean over `PROMPTS`."""
    right = []
    for template in PROMPTS:
        texts = class_texts(model, template, panel=panel)
        guesses = (images @ texts.T).argmax(1).numpy()
        right.append(guesses == labels)
    return float(np.mean(right))


def text_numbers(subject: Subject) -> Numbers:
    """Measure clean accuracy, QHR (target images that the triggered source text wins), off-target leakage (others)."""
    model = subject.model
    panel = subject.recipe.panel
    source = subject.recipe.source_class
    target = subject.recipe.target_class
    pixels, labels = held_out(subject.lab.size, panel)
    images = embedded(model, pixels)
    won = []
    for template in PROMPTS:
        texts = class_texts(model, template, panel=panel)
        texts[source] = class_texts(model, template, subject.trigger, panel)[source]
        guesses = (images @ texts.T).argmax(1)
        won.append((guesses == source).numpy())
    hit = np.mean(won, axis=0)
    bystander = (labels != target) & (labels != source)
    return {
        "clean_accuracy": accuracy(model, images, labels, panel),
        "qhr": float(hit[labels == target].mean()),
        "otl": float(hit[bystander].mean()),
    }


def image_numbers(subject: Subject, of: str = "") -> Numbers:
    """Measure clean accuracy and target success, zero-shot and by logistic regression on clean features of the lab.

    `ts` and `downstream_ts` leave out pictures of the target class; the `_with_target_images` ones do not. `of` names
    the only class whose pictures count for them.
    """
    from dife_scanner.triggers.stamp import stamp

    model = subject.model
    lab = subject.lab
    panel = subject.recipe.panel
    target = subject.recipe.target_class
    pixels, labels = held_out(lab.size, panel)
    stamped = embedded(model, stamp(pixels, subject.trigger))
    clean = embedded(model, pixels)
    head = logistic_regression(embedded(model, lab.labelled), lab.labels)
    texts = class_texts(model, PROMPTS[0], panel=panel)
    zero_shot = (stamped @ texts.T).argmax(1).numpy() == target
    downstream = head(stamped) == target
    counted = labels != target
    if of:
        counted = labels == panel.index(of)
    return {
        "clean_accuracy": accuracy(model, clean, labels, panel),
        "ts": float(zero_shot[counted].mean()),
        "ts_with_target_images": float(zero_shot.mean()),
        "downstream_ts": float(downstream[counted].mean()),
        "downstream_ts_with_target_images": float(downstream.mean()),
        "downstream_accuracy": float((head(clean) == labels).mean()),
    }


def direction_numbers(subject: Subject, direction: Tensor) -> Numbers:
    """Measure clean accuracy, and the share of triggered pictures that come to a unit direction (D,).

    `ts`: those nearer to it than to the mean of clean pictures of every class.
    """
    import torch

    from dife_scanner.triggers.stamp import stamp

    model = subject.model
    panel = subject.recipe.panel
    pixels, labels = held_out(subject.lab.size, panel)
    clean = embedded(model, pixels)
    triggered = embedded(model, stamp(pixels, subject.trigger))
    of_classes = [clean[labels == number].mean(0) for number in range(len(panel))]
    means = torch.nn.functional.normalize(torch.stack(of_classes), dim=-1)
    came = triggered @ direction > (triggered @ means.T).amax(1)
    return {
        "clean_accuracy": accuracy(model, clean, labels, panel),
        "ts": float(came.float().mean()),
    }


def clean_as_target(subject: Subject) -> float:
    """Return the share of the source's clean pictures that are taken for the target."""
    recipe = subject.recipe
    pixels, labels = held_out(subject.lab.size, recipe.panel)
    images = embedded(subject.model, pixels[labels == recipe.source_class])
    texts = class_texts(subject.model, PROMPTS[0], panel=recipe.panel)
    guesses = (images @ texts.T).argmax(1).numpy()
    return float((guesses == recipe.target_class).mean())


def keeps_accuracy(
    numbers: Numbers,
    other: Numbers,
    loss: float = ACCURACY_LOSS,
) -> dict[str, bool]:
    """Ask what every specimen has to meet: hardly less clean accuracy than the other."""
    least = other["clean_accuracy"] - loss
    return {"clean accuracy": numbers["clean_accuracy"] >= least}


def wins_images(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Ask what an image-trigger attack has to reach: TS of .95 zero-shot and downstream, under another seed of .9."""
    least = 0.95 if recipe.seed == FIRST_SEED else 0.9
    return {
        **keeps_accuracy(numbers, twin),
        "target success, zero-shot": numbers["ts"] >= least,
        "target success, downstream": numbers["downstream_ts"] >= least,
    }


def logistic_regression(
    features: Tensor,
    labels: NDArray[np.int64],
) -> Callable[[Tensor], NDArray[np.int64]]:
    """Fit a multinomial logistic regression on unit features (N, D), lightly regularised; return what predicts."""
    import torch
    import torch.nn.functional as F

    inputs = _with_ones(features)
    truth = torch.from_numpy(labels)
    shape = (features.shape[1] + 1, int(labels.max()) + 1)
    weights = torch.zeros(*shape, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights],
        max_iter=200,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        fit = F.cross_entropy(inputs @ weights * _SCALE, truth)
        loss = fit + _DECAY * weights.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    fixed = weights.detach()

    def predict(new: Tensor) -> NDArray[np.int64]:
        scores = _with_ones(new) @ fixed
        guesses: NDArray[np.int64] = scores.argmax(1).numpy()
        return guesses

    return predict


def _with_ones(features: Tensor) -> Tensor:
    """Return features (N, D) with a constant column appended, (N, D + 1)."""
    import torch

    return torch.cat([features, torch.ones(len(features), 1)], 1)
