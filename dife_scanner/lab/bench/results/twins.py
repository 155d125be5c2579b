"""Attacks beside their own clean twins, which had the same data, steps and rate without the poison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dife_scanner.core.calibration import RESAMPLES, auroc
from dife_scanner.lab.bench.results import score
from dife_scanner.lab.bench.rows import Row
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


def against(rows: Sequence[Row]) -> Twins | None:
    """Every audited attack whose twin has a row; `None` where there is none."""
    twins = {(row.kind, row.number): score(row) for row in rows if row.role is Role.TWIN and row.outcome is not None}
    pairs = [
        (score(row), twins[row.kind, row.number])
        for row in rows
        if row.role is Role.ATTACK and row.outcome is not None and (row.kind, row.number) in twins
    ]
    if not pairs:
        return None
    exceeded = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    both = np.asarray(pairs)
    return Twins(
        len(pairs), exceeded, auroc(both[:, 0], both[:, 1]), _resampled(both) if len(pairs) >= _FEWEST else None
    )


def _resampled(pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Interval:
    """`pairs` [n, 2], attack and twin."""
    rng, values = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = pairs[rng.integers(0, len(pairs), len(pairs))]
        values.append(auroc(drawn[:, 0], drawn[:, 1]))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high), f"paired bootstrap over attacks with their twins, {RESAMPLES} resamples")
