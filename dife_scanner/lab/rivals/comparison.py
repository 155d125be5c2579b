"""Every statistic compared with ours, on the models that both have seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core.calibration import RESAMPLES, auroc
from dife_scanner.lab.bench.results import of_kind, of_role, score, searched, truth_of
from dife_scanner.lab.bench.rows import Row, Rows
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.lab.rivals.entries import Entries, Entry
from dife_scanner.lab.rivals.statistics import DRIFTS, RIVALS, Rival, Statistic
from dife_scanner.records import Interval

_FEWEST = 3
"""Models on a side from which an interval is given."""
HOME = 0.9
"""AUROC on its home attack from which a published idea counts as working here."""


@dataclass(frozen=True)
class Line:
    """One statistic on the models that both it and ours have seen."""

    statistic: Statistic
    home: tuple[int, int, float | None]
    """Models of its home family, benign models, AUROC."""
    attacks: int
    benign: int
    auroc: float
    ours: float
    """Of our score, or of the detector it is compared with, on the very same models."""
    difference: Interval | None
    """95 % interval of ours minus its, models resampled in pairs; `None` where there are too few."""
    seconds: float
    """Median over models whose tower it had not seen before; 0 where it had seen all."""
    passes: float | None
    """Median; `None` where no entry has it."""

    @property
    def lost(self) -> bool:
        """Whether it is somebody's idea that does not find even what it was published for."""
        return self.statistic.published and (self.home[2] is None or self.home[2] < HOME)


@dataclass(frozen=True)
class _Side:
    """Attacks or benign models."""

    its: NDArray[np.float64]
    ours: NDArray[np.float64]

    @property
    def n(self) -> int:
        return len(self.its)


def lines(shown: Rows, entries: Entries) -> tuple[Line, ...]:
    """One line per statistic that has seen both sides: attacks through its channels, and benign models of any side.

    What an earlier version of a rival measured does not count.
    """
    found = []
    for statistic, mine in _measured(shown, entries):
        line = line_of(statistic, shown, mine)
        if line is not None:
            found.append(line)
    return tuple(found)


def _measured(shown: Rows, entries: Entries) -> Iterator[tuple[Statistic, dict[str, Entry]]]:
    """Every statistic with its entries by model."""
    for rival in RIVALS.values():
        yield rival, _of_rival(rival, entries)
    for drift in DRIFTS.values():
        drifts = {}
        for row in shown:
            if row.looks:
                drifts[row.model] = Entry(
                    row.model,
                    drift.name,
                    drift.read(row.looks),
                    0.0,
                    "",
                    "",
                )
        yield drift, drifts


def _of_rival(rival: Rival, entries: Entries) -> dict[str, Entry]:
    found = {}
    for (name, model), entry in entries.items():
        if name == rival.name and entry.version == rival.version:
            found[model] = entry
    return found


def line_of(statistic: Statistic, shown: Rows, entries: Mapping[str, Entry]) -> Line | None:
    """One statistic compared with ours; `None` where it has not seen both sides."""
    seen = [row for row in shown if row.model in entries and searched(row)]
    attacked = of_role(seen, Role.ATTACK)
    attacks = [row for row in attacked if truth_of(row).channel in statistic.channels]
    benign = [row for row in seen if row.role is not Role.ATTACK]
    if not attacks or not benign:
        return None
    high = _side(attacks, statistic, entries)
    low = _side(benign, statistic, entries)
    at_home = _side(of_kind(attacks, statistic.home), statistic, entries)
    measured = [entries[row.model] for row in seen]
    return Line(
        statistic=statistic,
        home=(at_home.n, low.n, auroc(at_home.its, low.its) if at_home.n else None),
        attacks=high.n,
        benign=low.n,
        auroc=auroc(high.its, low.its),
        ours=auroc(high.ours, low.ours),
        difference=_paired(high, low) if min(high.n, low.n) >= _FEWEST else None,
        # A tower that was met before costs nothing, so only others say what one takes.
        seconds=_median(entry.seconds for entry in measured if entry.seconds) or 0.0,
        passes=_median(entry.passes for entry in measured if entry.passes is not None),
    )


def _side(rows: Rows, statistic: Statistic, entries: Mapping[str, Entry]) -> _Side:
    its = [entries[row.model].value for row in rows]
    ours = [_ours(row, statistic.ours) for row in rows]
    return _Side(np.asarray(its), np.asarray(ours))


def _ours(row: Row, detector: str) -> float:
    """The score of the detector it is compared with on this model; the score where it is compared with all."""
    if not detector or row.outcome is None:
        return score(row)
    return max(
        (search.best for search in row.outcome.searches if search.detector == detector), default=0.0
    )


def _median(values: Iterable[float]) -> float | None:
    """`None` without any."""
    known = list(values)
    return float(np.median(known)) if known else None


def _paired(high: _Side, low: _Side) -> Interval:
    """Ours minus its AUROC, models drawn with replacement on each side, the same for both."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        attacks = rng.integers(0, high.n, high.n)
        benign = rng.integers(0, low.n, low.n)
        ours = auroc(high.ours[attacks], low.ours[benign])
        its = auroc(high.its[attacks], low.its[benign])
        values.append(ours - its)
    bottom, top = np.quantile(values, [0.025, 0.975])
    return Interval(
        float(bottom), float(top), f"paired bootstrap over models, {RESAMPLES} resamples"
    )
