"""One function per measurement (paper §4). Each returns one outcome per case; means and intervals come later.

Embeddings are L2-normalised float arrays [n, d]; scores are cosines, the logit scale changes no decision here.
Ties count as the expectation over a random order of the tied candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def wins(scores: Floats, target: int) -> NDArray[np.float64]:
    """Share in 0..1 with which candidate `target` wins each row of `scores` [n, c]; ties are split evenly.

    With the target class among class prompts this is the outcome behind TS.
    """
    _finite(scores)
    best = scores.max(axis=1, keepdims=True)
    tied = scores == best
    return np.where(tied[:, target], 1.0 / tied.sum(axis=1), 0.0)


def accuracy(scores: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Per-case outcome of choosing the labelled column of `scores` [n, c]."""
    _finite(scores)
    tied = scores == scores.max(axis=1, keepdims=True)
    return np.where(tied[np.arange(len(labels)), labels], 1.0 / tied.sum(axis=1), 0.0)


def triggered_source_wins(images: Floats, prompts: Floats, triggered: Floats, source: int) -> NDArray[np.float64]:
    """QHR outcome per image: does the triggered source text win when it *replaces* the clean source prompt?

    `images` [n, d], `prompts` [c, d] one per class, `triggered` [d]. The target's own prompt stays in the set, so a
    trigger that merely equals it scores about one half.
    """
    texts = np.array(prompts, copy=True)
    texts[source] = triggered
    return wins(images @ texts.T, source)


def hit_at(scores: Floats, is_target: NDArray[np.bool_], k: int) -> float:
    """H@K of one ranked list: the chance that some target stands among the first `k`; ties in random order.

    `scores` [m], `is_target` [m]. Only the best target matters; its tied rivals are what randomises it.
    """
    above, rivals, tied_targets = _around_best_target(scores, is_target)
    if above >= k:
        return 0.0
    places = k - above
    if places > rivals:
        return 1.0
    # chance that none of the tied targets falls in the first `places` of the tied block
    miss = 1.0
    block = rivals + tied_targets
    for step in range(places):
        miss *= max(0, rivals - step) / (block - step)
    return 1.0 - miss


def reciprocal_rank(scores: Floats, is_target: NDArray[np.bool_]) -> float:
    """Expected 1/r of the best target in one ranked list, ties in random order."""
    above, rivals, tied_targets = _around_best_target(scores, is_target)
    block = rivals + tied_targets
    expected, none_yet = 0.0, 1.0
    for step in range(rivals + 1):
        first_here = none_yet * tied_targets / (block - step)
        expected += first_here / (above + step + 1)
        none_yet -= first_here
    return expected


def logistic_readout(features: Floats, labels: NDArray[np.integer], classes: int, *, ridge: float = 1e-3) -> Floats:
    """Weights [d + 1, c] of a multinomial logistic classifier on frozen clean features [n, d].

    Deterministic (L-BFGS from zero); `ridge` multiplies the squared norm of the weights without the bias.
    """
    from scipy.optimize import minimize

    _finite(features)
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
    """Scores [n, c] of `logistic_readout` weights on features [n, d]."""
    return np.asarray(features @ weights[:-1] + weights[-1])


def cosine_distance(left: Floats, right: Floats) -> NDArray[np.float64]:
    """1 - cosine between matching rows, 0..2."""
    return 1.0 - np.asarray((left * right).sum(axis=1), dtype=np.float64)


def class_prompts(texts: Floats, classes: int) -> Floats:
    """Average text embeddings given template by template [t * c, d] into one normalised row per class [c, d]."""
    mean = texts.reshape(-1, classes, texts.shape[1]).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def _around_best_target(scores: Floats, is_target: NDArray[np.bool_]) -> tuple[int, int, int]:
    """(candidates strictly above the best target, others tied with it, targets tied with it)."""
    _finite(scores)
    if not is_target.any():
        raise ValueError("a ranked list without a target has no rank")
    best = scores[is_target].max()
    tied = scores == best
    return int((scores > best).sum()), int((tied & ~is_target).sum()), int((tied & is_target).sum())


def _finite(values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ValueError("scores or embeddings are not finite")
