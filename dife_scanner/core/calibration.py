"""How much a score says: conformal p-values against benign models, exact bounds of rates, batches, and ranking.

None of these is the probability that a model is backdoored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Interval

RESAMPLES = 2000


@dataclass(frozen=True)
class Benign:
    """One benign model of a pack."""

    kind: str
    score: float


@dataclass(frozen=True)
class Pack:
    """Scores of benign models of one base, searched at one budget by one version of the discovery."""

    base: str
    """Name of the reference they were made from."""
    image_tower: str
    text_tower: str
    """Its tower hashes: a pack speaks of audits against this base only."""
    budget: str
    discovery: str
    """Version of the discovery …"""
    digest: str
    """… and of its source files; several, joined by `+`, where the models were not all searched by the same ones."""
    detectors: tuple[str, ...]
    made_on: str
    """ISO date of the newest row."""
    models: tuple[Benign, ...]

    @property
    def n(self) -> int:
        return len(self.models)


def p_value(score: float, pack: Pack) -> float:
    """Conformal p-value (1 + #{benign >= score}) / (n + 1): never below 1 / (n + 1), 1 for an empty pack.

    Right on average over packs when the audited model, were it benign, could be exchanged with the pack's.

    >>> pack = Pack("b", "", "", "quick", "1", "", (), "", (Benign("k", 0.1), Benign("k", 0.3), Benign("k", 0.2)))
    >>> p_value(0.3, pack), p_value(0.9, pack)
    (0.5, 0.25)
    """
    return (1 + sum(model.score >= score for model in pack.models)) / (pack.n + 1)


def clopper_pearson(hits: int, n: int, level: float = 0.95) -> Interval:
    """Exact two-sided interval of a rate from `hits` of `n` independent units; 0..1 where there are none.

    >>> round(clopper_pearson(0, 99).high, 4)
    0.0366
    """
    from scipy.special import betaincinv

    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no rate")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1 - tail))
    return Interval(low, high, f"Clopper-Pearson, {n} units")


def upper_bound(hits: int, n: int, level: float = 0.95) -> float:
    """One-sided exact upper bound of a rate: 0 of 99 bounds it at 3 %; 1 where there is no unit.

    >>> round(upper_bound(0, 99), 3)
    0.03
    """
    return clopper_pearson(hits, n, 2 * level - 1).high


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: those at or below q are a batch's discoveries at false discovery rate q.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
    [0.04, 0.05333333333333334, 0.05333333333333334, 0.5]
    """
    count = len(p_values)
    adjusted, running = [0.0] * count, 1.0
    for rank, index in sorted(enumerate(sorted(range(count), key=lambda i: p_values[i]), 1), reverse=True):
        running = min(running, p_values[index] * count / rank)
        adjusted[index] = running
    return adjusted


def auroc(positives: Sequence[float] | NDArray[np.float64], negatives: Sequence[float] | NDArray[np.float64]) -> float:
    """Chance that a positive's score exceeds a negative's, ties counted half. `ValueError` where one side is empty.

    >>> auroc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    if not len(positives) or not len(negatives):
        raise ValueError("a ranking needs models on both sides")
    above, below = np.asarray(positives, float)[:, None], np.asarray(negatives, float)[None]
    return float(((above > below) + 0.5 * (above == below)).mean())


def auroc_interval(
    positives: Sequence[float],
    negatives: Sequence[float],
    clusters: tuple[Sequence[str], Sequence[str]],
    rng: np.random.Generator,
) -> Interval:
    """95 % percentile interval of the AUROC; models of one cluster (kind or family) are drawn together.

    `clusters` names each positive's and each negative's. Where a side has a single cluster its models are drawn one by
    one instead, and the interval says so.
    """
    draws = [_resampler(scores, names, rng) for scores, names in zip((positives, negatives), clusters, strict=True)]
    values = [auroc(draws[0](), draws[1]()) for _ in range(RESAMPLES)]
    low, high = np.quantile(values, [0.025, 0.975])
    units = " and ".join(_units(names) for names in clusters)
    return Interval(float(low), float(high), f"bootstrap over {units}, {RESAMPLES} resamples")


def _units(names: Sequence[str]) -> str:
    count = len(set(names))
    return f"{count} kinds" if count > 1 else f"{len(names)} models"


def _resampler(
    scores: Sequence[float], names: Sequence[str], rng: np.random.Generator
) -> Callable[[], NDArray[np.float64]]:
    values, keys = np.asarray(scores, float), np.asarray(names, str)
    groups = [values[keys == key] for key in np.unique(keys)]
    if len(groups) == 1:
        groups = [values[i : i + 1] for i in range(len(values))]
    return lambda: np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
