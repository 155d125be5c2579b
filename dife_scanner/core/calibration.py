"""How much a score says: conformal p-values against benign models, exact bounds of rates, batches, and ranking.

None of these is the probability that a model is backdoored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core.statistics import percentile_interval, smallest_first
from dife_scanner.records import Calibration, Interval, Planted, Stratum

RESAMPLES = 2000
"""As many as for the interval of a cell (`core.statistics`)."""
ANOMALOUS = 0.05
"""False discovery rate over a batch: who stands out has a Benjamini-Hochberg adjusted p-value of at most this."""
FEWEST = 19
"""Benign models from which a p-value can be as low as `ANOMALOUS` at all: 1 / (19 + 1)."""
DIGITS = 4
"""Decimals to which scores are compared. They are shares of a few drawings, so equal ones have to stay equal."""
STALE_DAYS = 180
"""A pack older than this is still used, and reported as old."""


@dataclass(frozen=True)
class Searched:
    """What a score depends on besides the model: scores are compared only where all of it is equal."""

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
        on_our_base = replace(other, image_tower=self.image_tower, text_tower=self.text_tower)
        return self != other and self == on_our_base

    def other_budget(self, other: Searched) -> bool:
        """Whether only the budget differs."""
        at_our_budget = replace(other, budget=self.budget)
        return self != other and self == at_our_budget

    def same_place(self, other: Searched) -> bool:
        """Whether base and budget are the same, whatever searched there."""
        return self._place() == other._place()

    def _place(self) -> tuple[str, str, str, str]:
        return self.image_tower, self.text_tower, self.budget, self.pictures


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
class DigestedPack:
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
    return (1 + _as_high(score, benign)) / (len(benign) + 1)


def _as_high(score: float, benign: Sequence[float]) -> int:
    """How many benign scores are at least as high."""
    own = round(score, DIGITS)
    return sum(round(other, DIGITS) >= own for other in benign)


# --- an audit compared with the packs ---------------------------------------------------------------------------


def calibrate(
    score: float, mine: Searched, packs: Sequence[DigestedPack], today: date
) -> Calibration:
    """How a score compares with the largest pack of its own stratum; of another base a pack is only named.

    The choice never depends on the score.
    """
    filled = [kept for kept in packs if kept.pack.n]
    filled.sort(key=lambda kept: (-kept.pack.n, kept.pack.name))
    own = _first(filled, lambda then: then == mine)
    if own is not None:
        return _own(score, own, today)
    near = _first(filled, mine.neighbours)
    if near is not None:
        return _neighbour(near)
    other = _first(filled, mine.same_place)
    if other is not None:
        return _nothing(f"the pack {other.pack.name} {outdated(mine, other.pack.searched)}")
    return _nothing(_no_pack(mine, filled))


def _first(packs: Sequence[DigestedPack], fits: Callable[[Searched], bool]) -> DigestedPack | None:
    for kept in packs:
        if fits(kept.pack.searched):
            return kept
    return None


def _no_pack(mine: Searched, packs: Sequence[DigestedPack]) -> str:
    why = "no calibration pack for this base at this budget"
    budgets = {kept.pack.searched.budget for kept in packs if mine.other_budget(kept.pack.searched)}
    if budgets:
        why += f" (there is one at {', '.join(sorted(budgets))})"
    return why


def outdated(mine: Searched, then: Searched) -> str:
    """In words why what was searched at the same base and budget says nothing about searches like `mine`."""
    if then.discovery != mine.discovery:
        return f"was made by {then.discovery}, this is {mine.discovery}"
    return f"was searched by {', '.join(then.detectors)}, here it was {', '.join(mine.detectors)}"


def limits(pack: Pack, today: date) -> tuple[str, ...]:
    """What has to be known about a pack before its p-values are read, in words; empty where there is nothing."""
    found = []
    if pack.n < FEWEST:
        found.append(
            f"a pack of {pack.n} can never give a p-value of {ANOMALOUS:g}: that takes {FEWEST}"
        )
    days = age(pack, today)
    if days > STALE_DAYS:
        found.append(f"the pack is {days} days old")
    if pack.presumed:
        found.append("its models are strangers', presumed to be benign")
    return tuple(found)


def age(made: Pack | PowerTable, today: date) -> int:
    """In days."""
    return (today - date.fromisoformat(made.made_on)).days


def _own(score: float, kept: DigestedPack, today: date) -> Calibration:
    pack = kept.pack
    return Calibration(
        stratum=Stratum.OWN,
        pack=pack.name,
        digest=kept.digest,
        n=pack.n,
        p_value=p_value(score, pack),
        made_on=pack.made_on,
        alarm_bound=upper_bound(pack.alarms, pack.tested),
        reason="; ".join(limits(pack, today)),
    )


def _neighbour(kept: DigestedPack) -> Calibration:
    pack = kept.pack
    return Calibration(
        stratum=Stratum.NEIGHBOUR,
        pack=pack.name,
        digest=kept.digest,
        n=pack.n,
        p_value=None,
        made_on=pack.made_on,
        alarm_bound=None,
        reason=f"the only pack of this architecture and budget is of another base, {pack.base}: a neighbour's rate "
        "is not this base's",
    )


def _nothing(reason: str) -> Calibration:
    return Calibration(
        stratum=Stratum.NONE,
        pack="",
        digest="",
        n=0,
        p_value=None,
        made_on="",
        alarm_bound=None,
        reason=reason,
    )


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
    low = 0.0
    if hits > 0:
        low = float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0
    if hits < n:
        high = float(betaincinv(hits + 1, n - hits, 1 - tail))
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
    order = smallest_first(p_values)
    adjusted = [0.0] * count
    running = 1.0
    for rank in range(count, 0, -1):
        index = order[rank - 1]
        running = min(running, p_values[index] * count / rank)
        adjusted[index] = running
    return adjusted


# --- ranking --------------------------------------------------------------------------------------------------


def auroc(
    positives: Sequence[float] | NDArray[np.float64],
    negatives: Sequence[float] | NDArray[np.float64],
) -> float:
    """Chance that a positive's score exceeds a negative's, ties counted half. `ValueError` where one side is empty.

    >>> auroc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    if not len(positives) or not len(negatives):
        raise ValueError("a ranking needs models on both sides")
    return float(_won(np.asarray(positives, float), np.asarray(negatives, float)).mean())


def _won(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> NDArray[np.float64]:
    """[p, n]: 1 where the positive's score is the higher one, ½ where both are equal."""
    above = positives[:, None]
    below = negatives[None]
    return np.asarray((above > below) + 0.5 * (above == below))


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
    draw_positives = _resampler(positives, clusters[0], rng)
    draw_negatives = _resampler(negatives, clusters[1], rng)
    values = [auroc(draw_positives(), draw_negatives()) for _ in range(RESAMPLES)]
    units = f"{_units(clusters[0])} and {_units(clusters[1])}"
    return percentile_interval(values, f"bootstrap over {units}, {RESAMPLES} resamples")


def _units(names: Sequence[str]) -> str:
    count = len(set(names))
    if count > 1:
        return f"{count} kinds"
    return f"{len(names)} models"


def _resampler(
    scores: Sequence[float], names: Sequence[str], rng: np.random.Generator
) -> Callable[[], NDArray[np.float64]]:
    """Draws as many clusters as there are, with replacement, and gives the scores in them."""
    groups = _groups(np.asarray(scores, float), np.asarray(names, str))

    def draw() -> NDArray[np.float64]:
        picks = rng.integers(0, len(groups), len(groups))
        return np.concatenate([groups[pick] for pick in picks])

    return draw


def _groups(values: NDArray[np.float64], names: NDArray[np.str_]) -> list[NDArray[np.float64]]:
    """Values cluster by cluster; one by one where there is a single cluster."""
    clusters = np.unique(names)
    if len(clusters) == 1:
        return [values[index : index + 1] for index in range(len(values))]
    return [values[names == cluster] for cluster in clusters]
