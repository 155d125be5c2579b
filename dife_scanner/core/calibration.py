"""How much a score says: conformal p-values against benign models, exact bounds of rates, batches, and ranking.

None of these is the probability that a model is backdoored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Calibration, Interval, Planted, Stratum

RESAMPLES = 2000


ANOMALOUS = 0.05
"""False discovery rate over a batch: who stands out has a Benjamini-Hochberg adjusted p-value of at most this."""
FEWEST = 19
"""Benign models from which a p-value can be as low as `ANOMALOUS` at all."""
DIGITS = 4
"""Decimals to which scores are compared. They are shares of a few drawings, so equal ones have to stay equal."""
STALE_DAYS = 180
"""A pack older than this is still used, and said to be old."""


@dataclass(frozen=True)
class Searched:
    """What a score depends on beside the model: scores are read beside each other only where all of it is equal."""

    image_tower: str
    text_tower: str
    """Tower hashes of the base."""
    architecture: str
    budget: str
    discovery: str
    """Version of the discovery."""
    detectors: tuple[str, ...]
    """Names, sorted."""
    pictures: str
    """Digest of the labelled pictures that were searched on."""

    def neighbours(self, other: Searched) -> bool:
        """Whether only the weights of the base differ."""
        return self != other and self == replace(other, image_tower=self.image_tower, text_tower=self.text_tower)

    def same_place(self, other: Searched) -> bool:
        """Whether base and budget are the same, whatever searched there."""
        mine, others = ((one.image_tower, one.text_tower, one.budget, one.pictures) for one in (self, other))
        return mine == others


@dataclass(frozen=True)
class Benign:
    """One benign model of a pack."""

    kind: str
    score: float


@dataclass(frozen=True)
class Pack:
    """Scores of benign models of one base, all searched in the same way."""

    name: str
    base: str
    """Name of the reference they were made from."""
    searched: Searched
    code: str
    """Digest of the source files that searched; several, joined by `+`, where they were not all the same."""
    made_on: str
    """ISO date of the newest model."""
    models: tuple[Benign, ...]
    tested: int
    """Benign models by which the rate of false alarms is bounded …"""
    alarms: int
    """… and how many of them were flagged. A flag takes no score from the pack, so its own models may be among them."""
    presumed: bool = False
    """Whether the models are strangers' that are only presumed to be benign."""

    @property
    def n(self) -> int:
        return len(self.models)


@dataclass(frozen=True)
class PowerTable:
    """What searches found among models with planted triggers, as the package ships it."""

    base: str
    searched: Searched
    made_on: str
    side: str
    planted: tuple[Planted, ...]
    not_covered: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """A pack and the sha256 of its content."""

    pack: Pack
    digest: str


def p_value(score: float, pack: Pack) -> float:
    """Conformal p-value (1 + #{benign >= score}) / (n + 1): never below 1 / (n + 1), 1 for an empty pack.

    Right on average over packs when the audited model, were it benign, could be exchanged with the pack's.

    >>> alike = Searched("", "", "", "quick", "1", (), "")
    >>> models = (Benign("k", 0.1), Benign("k", 0.3), Benign("k", 0.2))
    >>> pack = Pack("n", "b", alike, "", "", models, tested=3, alarms=0)
    >>> p_value(0.3, pack), p_value(0.9, pack)
    (0.5, 0.25)
    """
    return conformal(score, [model.score for model in pack.models])


def conformal(score: float, benign: Sequence[float]) -> float:
    """(1 + #{benign >= score}) / (n + 1), scores compared to `DIGITS` decimals."""
    own = round(score, DIGITS)
    return (1 + sum(round(other, DIGITS) >= own for other in benign)) / (len(benign) + 1)


# --- an audit beside the packs there are -----------------------------------------------------------------------


def calibrate(score: float, mine: Searched, packs: Sequence[Kept], today: date) -> Calibration:
    """What a score says beside the largest pack of its own stratum; of another base a pack is only named.

    The choice never depends on the score.
    """
    filled = sorted((kept for kept in packs if kept.pack.n), key=lambda kept: (-kept.pack.n, kept.pack.name))
    own = next((kept for kept in filled if kept.pack.searched == mine), None)
    if own is not None:
        return _own(score, own, today)
    near = next((kept for kept in filled if mine.neighbours(kept.pack.searched)), None)
    if near is not None:
        why = f"the only pack of this architecture and budget is of another base, {near.pack.base}: a neighbour's rate "
        return _without(near, Stratum.NEIGHBOUR, why + "is not this base's")
    other = next((kept for kept in filled if mine.same_place(kept.pack.searched)), None)
    if other is not None:
        return _without(None, Stratum.NONE, f"the pack {other.pack.name} {outdated(mine, other.pack.searched)}")
    why = "no calibration pack for this base at this budget"
    budgets = sorted({kept.pack.searched.budget for kept in filled if _another_budget(kept.pack.searched, mine)})
    return _without(None, Stratum.NONE, f"{why} (there is one at {', '.join(budgets)})" if budgets else why)


def _another_budget(then: Searched, mine: Searched) -> bool:
    return then != mine and replace(then, budget=mine.budget) == mine


def outdated(mine: Searched, then: Searched) -> str:
    """In words why what was searched at the same base and budget says nothing about searches like `mine`."""
    if then.discovery != mine.discovery:
        return f"was made by {then.discovery}, this is {mine.discovery}"
    return f"was searched by {', '.join(then.detectors)}, here it was {', '.join(mine.detectors)}"


def limits(pack: Pack, today: date) -> tuple[str, ...]:
    """What has to be known about a pack before its p-values are read, in words; empty where there is nothing."""
    said = []
    if pack.n < FEWEST:
        said.append(f"a pack of {pack.n} can never give a p-value of {ANOMALOUS:g}: that takes {FEWEST}")
    if (days := age(pack, today)) > STALE_DAYS:
        said.append(f"the pack is {days} days old")
    if pack.presumed:
        said.append("its models are strangers', presumed to be benign")
    return tuple(said)


def age(made: Pack | PowerTable, today: date) -> int:
    """In days."""
    return (today - date.fromisoformat(made.made_on)).days


def _own(score: float, kept: Kept, today: date) -> Calibration:
    pack = kept.pack
    return Calibration(
        Stratum.OWN, pack.name, kept.digest, pack.n, p_value(score, pack), pack.made_on,
        upper_bound(pack.alarms, pack.tested), "; ".join(limits(pack, today)),
    )  # fmt: skip


def _without(kept: Kept | None, stratum: Stratum, reason: str) -> Calibration:
    if kept is None:
        return Calibration(stratum, "", "", 0, None, "", None, reason)
    return Calibration(stratum, kept.pack.name, kept.digest, kept.pack.n, None, kept.pack.made_on, None, reason)


# --- exact bounds and batches ----------------------------------------------------------------------------------


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
