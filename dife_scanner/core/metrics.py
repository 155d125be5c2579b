"""One function per measurement (paper §4). Each returns one outcome per case; means and intervals come later.

Embeddings are L2-normalised float arrays [n, d]; scores are cosines, the logit scale changes no decision here. A tie
counts as the expectation over a random order of the tied candidates. An outcome depends on its own case alone, to the
last bit: however the cases are cut into batches, they come out the same (see `cosines`).

What cannot be computed is a `MeasurementError`: scores that are not finite, a list without a target, a class without
pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import MeasurementError

Floats = NDArray[np.floating]
Outcomes = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

STEP = 2.0**-25
"""Embeddings are rounded to multiples of this before they are multiplied (an error of 3e-8 in a cosine at most)."""
LONGEST = 2.0
"""Norm up to which products of rounded embeddings are exact."""


# --- scores ---------------------------------------------------------------------------------------------------

ROUNDED = 1e-4
"""Mean cosine distance below which two towers are one in other numbers: casts and quantised copies of a small base
drift by 7e-6 to 4e-5, the faintest fine-tune by 2e-3 (docs/detection-benchmark.md)."""


def cosines(left: Floats, right: Floats) -> Outcomes:
    """Scores [n, m] of normalised embeddings `left` [n, d] and `right` [m, d], the same in every batch.

    Both are rounded to multiples of 2⁻²⁵, so that each product and each partial sum is a multiple of 2⁻⁵⁰ below 8 and
    fits a float64 exactly: no order of summation, batch size, thread count or library can change a bit, and equal
    embeddings tie exactly.

    >>> cosines(np.eye(2), np.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.asarray(_on_grid(left) @ _on_grid(right).T)


def cosine_distance(left: Floats, right: Floats) -> Outcomes:
    """1 − cosine between matching rows, 0..2: what *prompt drift* is the mean of.

    `MeasurementError` where the two do not have the same shape.
    """
    if left.shape != right.shape:
        raise MeasurementError(f"{left.shape} and {right.shape} embeddings have no matching rows")
    return 1.0 - np.asarray((_on_grid(left) * _on_grid(right)).sum(axis=1))


# --- classification -------------------------------------------------------------------------------------------


def wins(scores: Floats, target: int) -> Outcomes:
    """Share in 0..1 with which candidate `target` wins each row of `scores` [n, c]; ties are split evenly.

    With the target class among class prompts this is the outcome behind TS; keep the rows of `other_than` for TS
    without the target class.
    """
    return _share(scores, np.full(len(scores), target))


def accuracy(scores: Floats, labels: NDArray[np.integer]) -> Outcomes:
    """Clean utility: the share with which the labelled column wins each row of `scores` [n, c]."""
    return _share(scores, labels)


def triggered_source_wins(images: Floats, prompts: Floats, triggered: Floats, source: int) -> Outcomes:
    """QHR outcome per image: does the triggered source text win when it *replaces* the clean source prompt?

    `images` [n, d] of the target class, `prompts` [c, d] one per class, `triggered` [d]. The target's own prompt stays
    in the set, so a trigger that merely equals it scores about one half.
    """
    texts = np.array(prompts, copy=True)
    texts[source] = triggered
    return wins(cosines(images, texts), source)


def off_target_leakage(
    images: Floats, labels: NDArray[np.integer], prompts: Floats, triggered: Floats, *, source: int, target: int
) -> Outcomes:
    """OTL outcomes: does the triggered source text win images of neither target nor source?

    As `triggered_source_wins`; one outcome per image of `other_than(labels, source, target)`, in that order.
    """
    return triggered_source_wins(images[other_than(labels, source, target)], prompts, triggered, source)


def of_class(labels: NDArray[np.integer], label: int) -> Indices:
    """Positions of the pictures of one class. `MeasurementError` for a label without images."""
    found = np.flatnonzero(labels == label)
    if not found.size:
        raise MeasurementError(f"the label {label} has no pictures in this pool", "add some, or ask for another target")
    return found


def other_than(labels: NDArray[np.integer], *classes: int) -> Indices:
    """Positions of the pictures of all other classes. `MeasurementError` where none is left."""
    found = np.flatnonzero(~np.isin(labels, classes))
    if not found.size:
        raise MeasurementError("no picture of another class is in this pool", "add pictures of further classes")
    return found


# --- ranks ----------------------------------------------------------------------------------------------------


def hit_at(scores: Floats, targets: Bools, k: int, present: Bools | None = None) -> Outcomes:
    """H@K of each ranked list: the chance 0..1 that some target stands among its first `k`; ties in random order.

    `scores` and `targets` are [n, m]. Ragged lists: `present` [n, m] marks the candidates that there are; what stands
    in the other places is never read.
    """
    if k < 1:
        raise MeasurementError(f"H@{k} asks for no place at all", "use a K of one or more")
    above, rivals, tied = _around_best_target(scores, targets, present)
    places = k - above
    missed = np.ones(len(above))
    # Among the tied, no target takes any of the `places` left: one place after the other goes to a rival.
    for step in range(min(k, int(rivals.max(initial=0)) + 1)):
        chance = (rivals - step) / np.maximum(rivals + tied - step, 1)
        missed = np.where(step < places, missed * np.maximum(chance, 0.0), missed)
    return 1.0 - missed


def reciprocal_rank(scores: Floats, targets: Bools, present: Bools | None = None) -> Outcomes:
    """Expected 1/r of the best target of each list, ties in random order; its mean is MRR. Shapes as `hit_at`."""
    above, rivals, tied = _around_best_target(scores, targets, present)
    expected, none_yet = np.zeros(len(above)), np.ones(len(above))
    for step in range(int(rivals.max(initial=0)) + 1):
        first_here = none_yet * np.where(step <= rivals, tied / np.maximum(rivals + tied - step, 1), 0.0)
        expected += first_here / (above + step + 1)
        none_yet -= first_here
    return expected


def selected(scores: Floats, targets: Bools, present: Bools | None = None) -> Outcomes:
    """Sel@1 of each group: the chance that the chosen candidate, the best by score, is a target. As `hit_at`."""
    return hit_at(scores, targets, 1, present)


# --- classifiers on frozen features, towers onto towers ------------------------------------------------------


def logistic_readout(features: Floats, labels: NDArray[np.integer], classes: int, *, ridge: float = 1e-3) -> Floats:
    """Weights [d + 1, c] of a multinomial logistic classifier on frozen clean features [n, d].

    Deterministic (L-BFGS from zero); `ridge` multiplies the squared norm of the weights without the bias.
    """
    from scipy.optimize import minimize

    _finite(features, "features")
    design = np.hstack([features.astype(np.float64), np.ones((len(features), 1))])
    onehot = np.eye(classes)[labels]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(design.shape[1], classes)
        logits = design @ weights
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        penal = weights.copy()
        penal[-1] = 0.0
        value = -(onehot * log_p).sum() / len(design) + ridge * (penal**2).sum()
        gradient = design.T @ (np.exp(log_p) - onehot) / len(design) + 2 * ridge * penal
        return float(value), gradient.ravel()

    start = np.zeros(design.shape[1] * classes)
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(fit.x).reshape(design.shape[1], classes)


def classify(features: Floats, weights: Floats) -> Floats:
    """Scores [n, c] of `logistic_readout` weights on normalised features [n, d], the same in every batch."""
    scale = 2.0 ** np.ceil(np.log2(max(float(np.linalg.norm(weights[:-1], axis=0).max(initial=0.0)), 1.0)))
    return np.asarray(cosines(features, weights[:-1].T / scale) * scale + weights[-1])


def procrustes(moving: Floats, fixed: Floats) -> Floats:
    """The orthogonal [d, d] matrix R for which `moving @ R` comes nearest to `fixed`, both [n, d] and row by row.

    Least squares (Schönemann 1966). It turns and mirrors and does nothing else, so no cosine within `moving` changes.
    """
    if moving.shape != fixed.shape or not len(moving):
        raise MeasurementError(f"{moving.shape} embeddings cannot be turned onto {fixed.shape}")
    _finite(moving, "embeddings")
    _finite(fixed, "embeddings")
    left, _, right = np.linalg.svd(moving.astype(np.float64).T @ fixed.astype(np.float64))
    return np.asarray(left @ right)


def class_prompts(texts: Floats, classes: int) -> Floats:
    """Average text embeddings given template by template [t * c, d] into one normalised row per class [c, d]."""
    mean = texts.reshape(-1, classes, texts.shape[1]).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


# --- shared ---------------------------------------------------------------------------------------------------


def relation(ours: Floats, theirs: Floats) -> float:
    """Whether two models find the same inputs alike: correlation between their inner products of every two of the
    embeddings [n, d] and [n, e], each less its mean; -1..1, and 0 where a model embeds everything as one.

    Turning an embedding space or renaming its axes changes nothing.
    """
    if len(ours) < 2:
        return 0.0
    pairs = np.triu_indices(len(ours), 1)
    centred = [wide - wide.mean(axis=0) for wide in map(_on_grid, (ours, theirs))]
    grams = [(rows @ rows.T)[pairs] for rows in centred]
    if min(float(np.ptp(gram)) for gram in grams) < STEP:
        return 0.0
    return float(np.corrcoef(*grams)[0, 1])


def _share(scores: Floats, columns: NDArray[np.integer]) -> Outcomes:
    """Share with which `columns` [n] wins each row: 1 / (number tied for the top), or 0."""
    _finite(scores, "scores")
    tied = scores == scores.max(axis=1, keepdims=True)
    return np.where(tied[np.arange(len(scores)), columns], 1.0 / tied.sum(axis=1), 0.0)


def _around_best_target(scores: Floats, targets: Bools, present: Bools | None) -> tuple[Indices, Indices, Indices]:
    """Per list [n]: candidates strictly above the best target, others tied with it, targets tied with it."""
    there = np.ones(scores.shape, dtype=bool) if present is None else present
    _same_shape(scores.shape, (targets.shape, there.shape))
    _finite(scores[there], "scores")
    targets = targets & there
    empty = np.flatnonzero(~targets.any(axis=1))
    if empty.size:
        raise MeasurementError(
            f"list {int(empty[0])} of {len(scores)} holds no target among its candidates and so has no rank",
            "leave such lists out when the pool is drawn",
        )
    best = np.where(targets, scores, -np.inf).max(axis=1, keepdims=True)
    tied = (scores == best) & there
    return (
        ((scores > best) & there).sum(axis=1),
        (tied & ~targets).sum(axis=1),
        (tied & targets).sum(axis=1),
    )


def _on_grid(embeddings: Floats) -> Outcomes:
    """Normalised rows as float64 multiples of `STEP`."""
    _finite(embeddings, "embeddings")
    wide = np.asarray(embeddings, dtype=np.float64)
    if float(np.square(wide).sum(axis=-1).max(initial=0.0)) > LONGEST**2:
        raise MeasurementError("embeddings are not normalised", "divide each row by its norm before scoring")
    return np.asarray(np.rint(wide / STEP) * STEP)


def _same_shape(shape: tuple[int, ...], others: Sequence[tuple[int, ...]]) -> None:
    if len(shape) != 2 or any(other != shape for other in others):
        raise MeasurementError(f"scores {shape} with marks {others}: each list needs one mark per candidate")


def _finite(values: Floats, what: str) -> None:
    if not np.isfinite(values).all():
        raise MeasurementError(
            f"{what} are not all finite numbers", "the checkpoint computes NaN or infinity; it has no verdict"
        )
