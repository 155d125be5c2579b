"""Attacks compared with their own clean twins, which had the same data, steps and rate without the poison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core.calibration import RESAMPLES, auroc
from dife_scanner.lab.bench.results.selection import audited, of_role, score
from dife_scanner.lab.bench.rows import Rows
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.records import Interval

_FEWEST = 3
"""Pairs from which an interval is given."""


@dataclass(frozen=True)
class Twins:
    """Scores of audited attacks against those of their own twins."""

    pairs: int
    exceeded: float
    """Share of pairs in which the attack's is higher; a tie counts half."""
    auroc: float
    """Of these attacks against these twins, whichever pair they belong to."""
    interval: Interval | None
    """95 % of it, a pair drawn as a whole; `None` where there are too few."""


def against(rows: Rows) -> Twins | None:
    """Every audited attack whose twin has a row; `None` where there is none."""
    pairs = _pairs(rows)
    if not pairs:
        return None
    higher = sum(attack > twin for attack, twin in pairs)
    equal = sum(attack == twin for attack, twin in pairs)
    scores = np.asarray(pairs)
    return Twins(
        pairs=len(pairs),
        exceeded=(higher + 0.5 * equal) / len(pairs),
        auroc=auroc(scores[:, 0], scores[:, 1]),
        interval=_resampled(scores) if len(pairs) >= _FEWEST else None,
    )


def _pairs(rows: Rows) -> list[tuple[float, float]]:
    """Scores of attack and twin."""
    twins = {}
    for row in audited(of_role(rows, Role.TWIN)):
        twins[row.kind, row.number] = score(row)
    pairs = []
    for row in audited(of_role(rows, Role.ATTACK)):
        twin = twins.get((row.kind, row.number))
        if twin is not None:
            pairs.append((score(row), twin))
    return pairs


def _resampled(pairs: NDArray[np.float64]) -> Interval:
    """95 % interval of the AUROC; `pairs` [n, 2], attack and twin."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        drawn = pairs[rng.integers(0, len(pairs), len(pairs))]
        values.append(auroc(drawn[:, 0], drawn[:, 1]))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(
        float(low),
        float(high),
        f"paired bootstrap over attacks with their twins, {RESAMPLES} resamples",
    )
