"""One function per measurement of the paper (arXiv 2606.17815, §4). Each returns one outcome per case in 0..1.

Every outcome is an attack success on one case: did the attacker's target event happen? The mean of the outcomes is the
attack success rate of an interface; intervals come later (`core.statistics`). r is the best rank of any target.

    TS      `wins`                    share of pictures on which the target class wins
    QHR     `triggered_source_wins`   share of target-class pictures on which the triggered source text wins
    OTL     `off_target_leakage`      the same on pictures of neither source nor target: off-target leakage
    H@K     `hit_at`                  share of ranked lists with r ≤ K
    MRR     `reciprocal_rank`         mean of 1 / r
    Sel@1   `selected`                share of groups whose chosen candidate is a target

A Δ is the signed difference of two such means (`statistics.change`); VRS, TRS and CSS are ratios of four TS or QHR
(`core.footprint`). Clean accuracy (`accuracy`) is reported separately and never mixed in.

Embeddings are L2-normalised float arrays [n, d]; scores are cosines, the logit scale changes no decision here. A tie
counts as the expectation over a random order of the tied candidates. An outcome depends on its own case alone, to the
last bit: however the cases are cut into batches, they come out the same (see `cosines`).

What cannot be computed is a `MeasurementError`: scores that are not finite, a list without a target, a class without
pictures.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import MeasurementError

Floats = NDArray[np.floating]
Outcomes = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]
Labels = NDArray[np.integer]

STEP = 2.0**-25
"""Embeddings are rounded to multiples of this before they are multiplied (an error of 3e-8 in a cosine at most)."""
LONGEST = 2.0
"""Norm up to which products of rounded embeddings are exact."""
ROUNDED = 1e-4
"""Mean cosine distance below which two towers are one in other numbers: casts and quantised copies of a small base
drift by 7e-6 to 4e-5, the faintest fine-tune by 2e-3 (docs/detection-benchmark.md)."""
_ROWS_AT_ONCE = 512
"""Rows of a table of all cosines that are held at a time."""
MOST_ITERATIONS = 200
"""Of L-BFGS, so that it ends on any features."""


# --- scores ---------------------------------------------------------------------------------------------------


def cosines(left: Floats, right: Floats) -> Outcomes:
    """Scores [n, m] in −1..1 of normalised embeddings `left` [n, d] and `right` [m, d], the same in every batch.

    Both are rounded to multiples of 2⁻²⁵, so that each product and each partial sum is a multiple of 2⁻⁵⁰ below 8 and
    fits a float64 exactly: no order of summation, batch size, thread count or library can change a bit, and equal
    embeddings tie exactly.

    >>> cosines(np.eye(2), np.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    ours = _on_grid(left)
    theirs = _on_grid(right)
    return np.asarray(ours @ theirs.T)


def cosine_distance(left: Floats, right: Floats) -> Outcomes:
    """1 − cosine between matching rows of [n, d] and [n, d]; [n] in 0..2. *Prompt drift* is its mean (paper §6).

    `MeasurementError` where the two do not have the same shape.
    """
    if left.shape != right.shape:
        raise MeasurementError(f"{left.shape} and {right.shape} embeddings have no matching rows")
    products = _on_grid(left) * _on_grid(right)
    return 1.0 - np.asarray(products.sum(axis=1))


# --- classification -------------------------------------------------------------------------------------------


def among_nearest(scores: Floats, share: float) -> Bools:
    """Which names are among the nearest `share` of all in each row, of scores [n, c], as [n, c]; at least one is.

    >>> among_nearest(np.array([[0.1, 0.9, 0.3]]), 0.5).tolist()
    [[False, True, True]]
    """
    count = ceil(share * scores.shape[1])
    least = np.sort(scores, axis=1)[:, -count, None]
    return np.asarray(scores >= least)


def wins(scores: Floats, target: int) -> Outcomes:
    """Attack success of a classification, TS (paper §4): does the candidate `target` win? [n] in 0..1.

    `scores` are [n, c], one row per triggered picture, one column per class; c tied for the top share the win evenly.
    The paper's TS counts all test pictures, so that its floor is the share of the target class itself; keep the rows
    of `other_than(labels, target)` for TS without the target class.
    """
    targets = np.full(len(scores), target)
    return _share_won(scores, targets)


def each_wins(scores: Floats) -> Outcomes:
    """TS of every target at once, [n, c]: column t is `wins` of target t, to the bit."""
    _check_finite(scores, "scores")
    tied = scores == scores.max(axis=1, keepdims=True)
    return np.where(tied, 1.0 / tied.sum(axis=1, keepdims=True), 0.0)


def accuracy(scores: Floats, labels: Labels) -> Outcomes:
    """Clean utility (paper §4): does the labelled column win its row of `scores` [n, c]? [n] in 0..1, ties shared."""
    return _share_won(scores, labels)


def triggered_source_wins(
    images: Floats, prompts: Floats, triggered: Floats, source: int
) -> Outcomes:
    """Attack success of a prompt, QHR (paper §4): does the triggered source text win? One outcome per picture [n].

    `images` [n, d] are of the target class, `prompts` [c, d] one per class, `triggered` [d] the triggered source text,
    which *replaces* the clean source prompt. The target's own prompt stays in the set, so a trigger that merely equals
    it scores about one half.
    """
    texts = prompts.copy()
    texts[source] = triggered
    return wins(cosines(images, texts), source)


def each_triggered_source_wins(images: Floats, prompts: Floats, triggered: Floats) -> Outcomes:
    """QHR of every source at once, [n, c]: column s is `triggered_source_wins` of source s, to the bit.

    `images` [n, d], `prompts` [c, d], `triggered` [c, d], each source's triggered text. Two tables of scores serve all
    sources, where one after the other would take a table each.
    """
    clean = cosines(images, prompts)
    written = cosines(images, triggered)
    highest = clean.max(axis=1, keepdims=True)
    at_top = clean == highest
    below = np.where(at_top, -np.inf, clean)
    second = below.max(axis=1, keepdims=True)
    top_count = at_top.sum(axis=1, keepdims=True)
    second_count = (clean == second).sum(axis=1, keepdims=True)
    # Where the source alone is on top, its rivals begin at the second place.
    alone = at_top & (top_count == 1)
    rival = np.where(alone, second, highest)
    rivals = np.where(alone, second_count, top_count - at_top)
    tied = np.where(written == rival, 1.0 / (1 + rivals), 0.0)
    return np.where(written > rival, 1.0, tied)


def off_target_leakage(
    images: Floats,
    labels: Labels,
    prompts: Floats,
    triggered: Floats,
    *,
    source: int,
    target: int,
) -> Outcomes:
    """Attack success where there should be none, OTL (paper §4): is a picture of neither target nor source won?

    As `triggered_source_wins`; one outcome per picture of `other_than(labels, source, target)`, in that order.
    """
    others = images[other_than(labels, source, target)]
    return triggered_source_wins(others, prompts, triggered, source)


def of_class(labels: Labels, label: int) -> Indices:
    """Positions of the pictures of one class. `MeasurementError` for a label without images."""
    found = np.flatnonzero(labels == label)
    if not found.size:
        raise MeasurementError(
            f"the label {label} has no pictures in this pool",
            "add some, or ask for another target",
        )
    return found


def other_than(labels: Labels, *classes: int) -> Indices:
    """Positions of the pictures of all other classes. `MeasurementError` where none is left."""
    found = np.flatnonzero(~np.isin(labels, classes))
    if not found.size:
        raise MeasurementError(
            "no picture of another class is in this pool",
            "add pictures of further classes",
        )
    return found


# --- ranks ----------------------------------------------------------------------------------------------------


def hit_at(scores: Floats, targets: Bools, k: int, present: Bools | None = None) -> Outcomes:
    """Attack success of a ranking, H@K (paper §4): does some target stand among a list's first `k`? [n] in 0..1.

    `scores` and `targets` are [n, m], one row per ranked list; with ties it is the chance over their random order.
    Ragged lists: `present` [n, m] marks the candidates that there are; what stands in the other places is never read.
    """
    if k < 1:
        raise MeasurementError(f"H@{k} counts no place at all", "use a K of one or more")
    above, rivals, tied = _around_best_target(scores, targets, present)
    places = k - above
    most_steps = min(k, int(rivals.max(initial=0)) + 1)
    missed = np.ones(len(above))
    # Among the tied, no target takes any of the `places` left: one place after the other goes to a rival.
    for step in range(most_steps):
        chance = np.maximum(_chance(rivals - step, rivals + tied - step), 0.0)
        missed = np.where(step < places, missed * chance, missed)
    return 1.0 - missed


def reciprocal_rank(scores: Floats, targets: Bools, present: Bools | None = None) -> Outcomes:
    """Attack success of a ranking by place (paper §4): 1/r of each list's best target, [n] in 0..1; its mean is MRR.

    With ties it is the expectation over their random order. Shapes as in `hit_at`.
    """
    above, rivals, tied = _around_best_target(scores, targets, present)
    expected = np.zeros(len(above))
    none_yet = np.ones(len(above))
    # `step` rivals among the tied come before the first target, with the chance `first_here`
    for step in range(int(rivals.max(initial=0)) + 1):
        chance = _chance(tied, rivals + tied - step)
        first_here = none_yet * np.where(step <= rivals, chance, 0.0)
        expected += first_here / (above + step + 1)
        none_yet -= first_here
    return expected


def _chance(some: Indices, left: Indices) -> Outcomes:
    """Of `left` tied candidates one comes next: the chance that it is one of `some`."""
    return np.asarray(some / np.maximum(left, 1))


def selected(scores: Floats, targets: Bools, present: Bools | None = None) -> Outcomes:
    """Attack success of a selection, Sel@1 (paper §4): is the chosen candidate, a group's best by score, a target?

    [n] in 0..1; shapes and ties as in `hit_at`, of which it is the case K = 1.
    """
    return hit_at(scores, targets, 1, present)


# --- classifiers on frozen features, towers onto towers ------------------------------------------------------


def logistic_readout(
    features: Floats, labels: Labels, classes: int, *, ridge: float = 1e-3
) -> Floats:
    """Weights [d + 1, c] of a multinomial logistic classifier on frozen clean features [n, d] (paper §3, downstream).

    Deterministic (L-BFGS from zero); `ridge` multiplies the squared norm of the weights without the bias.
    """
    from scipy.optimize import minimize

    _check_finite(features, "features")
    design = _design(features)
    onehot = np.eye(classes)[labels]
    fit = minimize(
        _logistic_loss,
        np.zeros(design.shape[1] * classes),
        args=(design, onehot, ridge),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MOST_ITERATIONS},
    )
    return np.asarray(fit.x).reshape(design.shape[1], classes)


def _design(features: Floats) -> Outcomes:
    """Features with a one behind each row, for the bias: float64 [n, d + 1]."""
    ones = np.ones((len(features), 1))
    return np.hstack([features.astype(np.float64), ones])


def _logistic_loss(
    flat: Outcomes, design: Outcomes, onehot: Outcomes, ridge: float
) -> tuple[float, Outcomes]:
    """Mean cross-entropy with its penalty, and the gradient [(d + 1) * c]."""
    weights = flat.reshape(design.shape[1], onehot.shape[1])
    log_p = _log_softmax(design @ weights)
    penalised = weights.copy()
    penalised[-1] = 0.0
    value = -(onehot * log_p).sum() / len(design) + ridge * (penalised**2).sum()
    gradient = design.T @ (np.exp(log_p) - onehot) / len(design) + 2 * ridge * penalised
    return float(value), gradient.ravel()


def _log_softmax(logits: Outcomes) -> Outcomes:
    """Logarithms of each row's shares; the largest is taken off first, so that nothing overflows."""
    lower = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(lower - np.log(np.exp(lower).sum(axis=1, keepdims=True)))


def classify(features: Floats, weights: Floats) -> Floats:
    """Scores [n, c] of `logistic_readout` weights on normalised features [n, d], the same in every batch."""
    by_class = weights[:-1].T
    # `cosines` takes rows of length one at most; dividing by a power of two and multiplying again is exact
    scale = _power_of_two(float(np.linalg.norm(weights[:-1], axis=0).max(initial=0.0)))
    return np.asarray(cosines(features, by_class / scale) * scale + weights[-1])


def _power_of_two(longest: float) -> float:
    """The least power of two, of at least one, that is not below `longest`."""
    return float(2.0 ** np.ceil(np.log2(max(longest, 1.0))))


def procrustes(moving: Floats, fixed: Floats) -> Floats:
    """The orthogonal [d, d] matrix R for which `moving @ R` comes nearest to `fixed`, both [n, d] and row by row.

    Least squares (Schönemann 1966). It turns and mirrors and does nothing else, so no cosine within `moving` changes.
    """
    if moving.shape != fixed.shape or not len(moving):
        raise MeasurementError(f"{moving.shape} embeddings cannot be turned onto {fixed.shape}")
    _check_finite(moving, "embeddings")
    _check_finite(fixed, "embeddings")
    products = moving.astype(np.float64).T @ fixed.astype(np.float64)
    left, _, right = np.linalg.svd(products)
    return np.asarray(left @ right)


def class_prompts(texts: Floats, classes: int) -> Floats:
    """Average text embeddings given template by template [t * c, d] into one normalised row per class [c, d]."""
    by_template = texts.reshape(-1, classes, texts.shape[1])
    mean = by_template.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def relation(ours: Floats, theirs: Floats) -> float:
    """Whether two models find the same inputs alike: correlation between their inner products of every two of the
    embeddings [n, d] and [n, e], each less its mean; -1..1, and 0 where a model embeds everything as one.

    Turning an embedding space or renaming its axes changes nothing.
    """
    if len(ours) < 2:
        return 0.0
    our_products = _pairwise_products(ours)
    their_products = _pairwise_products(theirs)
    if _is_constant(our_products) or _is_constant(their_products):
        return 0.0
    return float(np.corrcoef(our_products, their_products)[0, 1])


def largest_difference(ours: Floats, theirs: Floats) -> float:
    """The largest difference between two numbers that stand in one place of the embeddings [n, d] and [n, d]."""
    return float(np.abs(_on_grid(ours) - _on_grid(theirs)).max(initial=0.0))


def largest_cosine_difference(ours: Floats, theirs: Floats, enough: float = 2.0) -> float:
    """The largest difference between the cosines of the same two rows in the embeddings [n, d] and [n, e].

    It is 0 exactly where one is the other turned by an orthogonal matrix. Once one is more than `enough`, the rest is
    not looked at.
    """
    largest = 0.0
    for start in range(0, len(ours), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        difference = cosines(ours[rows], ours) - cosines(theirs[rows], theirs)
        largest = max(largest, float(np.abs(difference).max()))
        if largest > enough:
            break
    return largest


def _is_constant(values: Outcomes) -> bool:
    return float(np.ptp(values)) < STEP


def _pairwise_products(embeddings: Floats) -> Outcomes:
    """Inner products of every two rows less their mean, [n * (n - 1) / 2]."""
    wide = _on_grid(embeddings)
    centred = wide - wide.mean(axis=0)
    pairs = np.triu_indices(len(centred), 1)
    return np.asarray((centred @ centred.T)[pairs])


# --- shared ---------------------------------------------------------------------------------------------------


def _share_won(scores: Floats, columns: Labels) -> Outcomes:
    """Share with which `columns` [n] wins each row: 1 / (number tied for the top), or 0."""
    _check_finite(scores, "scores")
    tied = scores == scores.max(axis=1, keepdims=True)
    is_among_them = tied[np.arange(len(scores)), columns]
    return np.where(is_among_them, 1.0 / tied.sum(axis=1), 0.0)


def _around_best_target(
    scores: Floats, targets: Bools, present: Bools | None
) -> tuple[Indices, Indices, Indices]:
    """Per list [n]: candidates strictly above the best target, others tied with it, targets tied with it."""
    there = _marks(scores, present)
    _check_lists(scores, targets, there)
    targets = targets & there
    best = np.where(targets, scores, -np.inf).max(axis=1, keepdims=True)
    above = (scores > best) & there
    tied = (scores == best) & there
    return (
        above.sum(axis=1),
        (tied & ~targets).sum(axis=1),
        (tied & targets).sum(axis=1),
    )


def _marks(scores: Floats, present: Bools | None) -> Bools:
    """`present`, or every candidate."""
    if present is None:
        return np.ones(scores.shape, dtype=bool)
    return present


def _on_grid(embeddings: Floats) -> Outcomes:
    """Normalised rows as float64 multiples of `STEP`."""
    _check_finite(embeddings, "embeddings")
    wide = np.asarray(embeddings, dtype=np.float64)
    _check_normalised(wide)
    return np.asarray(np.rint(wide / STEP) * STEP)


# --- checks ---------------------------------------------------------------------------------------------------


def _check_lists(scores: Floats, targets: Bools, present: Bools) -> None:
    _check_shapes(scores, targets, present)
    _check_finite(scores[present], "scores")
    _check_has_target(targets & present)


def _check_has_target(targets: Bools) -> None:
    without = np.flatnonzero(~targets.any(axis=1))
    if without.size:
        raise MeasurementError(
            f"list {int(without[0])} of {len(targets)} holds no target among its candidates and so has no rank",
            "leave such lists out when the pool is drawn",
        )


def _check_shapes(scores: Floats, targets: Bools, present: Bools) -> None:
    marks = (targets.shape, present.shape)
    if scores.ndim != 2 or marks != (scores.shape, scores.shape):
        raise MeasurementError(
            f"scores {scores.shape} with marks {marks}: each list needs one mark per candidate"
        )


def _check_finite(values: Floats, what: str) -> None:
    if not np.isfinite(values).all():
        raise MeasurementError(
            f"{what} are not all finite numbers",
            "the checkpoint computes NaN or infinity; it has no verdict",
        )


def _check_normalised(embeddings: Outcomes) -> None:
    squared_lengths = np.square(embeddings).sum(axis=-1)
    if float(squared_lengths.max(initial=0.0)) > LONGEST**2:
        raise MeasurementError(
            "embeddings are not normalised",
            "divide each row by its norm before scoring",
        )
