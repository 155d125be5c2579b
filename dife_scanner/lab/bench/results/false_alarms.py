"""False alarms among benign models and clean twins: per kind, over all, and for kinds that calibration has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dife_scanner.core.calibration import conformal, upper_bound
from dife_scanner.lab.bench.results.selection import (
    Share,
    benign_kind,
    benign_on_test,
    counted_benign,
    is_flagged,
    on_side,
    score,
    scores,
    share_of,
)
from dife_scanner.lab.bench.rows import Row, Rows
from dife_scanner.lab.bench.zoo import Part

LEVELS = (0.05, 0.1)
"""p-values at which kinds are compared."""


@dataclass(frozen=True)
class KindLine:
    """A benign kind."""

    kind: str
    counts: Mapping[Part, int]
    alarms: Share
    """On the test side."""
    worst: float | None
    """Its highest score on any side."""

    @property
    def bound(self) -> float:
        """One-sided 95 % upper bound of its false-alarm rate."""
        return upper_bound(self.alarms.hits, self.alarms.n)


@dataclass(frozen=True)
class LeftOut:
    """A benign kind against a pack that knows nothing of it."""

    kind: str
    models: int
    """Of the sides that calibrate and test."""
    pack: int
    """Models of the other kinds."""
    beyond: tuple[Share, ...]
    """How many have a p-value of at most each of `LEVELS`."""
    worst: float
    """Highest score."""


def all_alarms(rows: Rows) -> Share:
    """False alarms over every benign test model."""
    return share_of(benign_on_test(rows), is_flagged)


def kinds(rows: Rows) -> tuple[KindLine, ...]:
    """One line per benign kind and twin, the most alarms first, then the highest score."""
    lines = []
    for name, mine in _by_kind(rows).items():
        counts = {part: len(on_side(mine, part)) for part in Part}
        alarms = share_of(on_side(mine, Part.TEST), is_flagged)
        lines.append(KindLine(name, counts, alarms, max(scores(mine))))
    return tuple(sorted(lines, key=_most_alarms_first))


def _most_alarms_first(line: KindLine) -> tuple[int, float, str]:
    return -line.alarms.hits, -(line.worst or 0.0), line.kind


def _by_kind(rows: Rows) -> dict[str, list[Row]]:
    """Counted benign models by kind, in the order of their first row."""
    found: dict[str, list[Row]] = {}
    for row in counted_benign(rows):
        found.setdefault(benign_kind(row), []).append(row)
    return found


def left_out(rows: Rows) -> tuple[LeftOut, ...]:
    """Every benign kind, calibrated by the other kinds alone; the worst first."""
    calibrating = on_side(counted_benign(rows), Part.CALIBRATE)
    lines = []
    for name, of_kind in _by_kind(rows).items():
        others = [score(row) for row in calibrating if benign_kind(row) != name]
        mine = [score(row) for row in of_kind if row.part is not Part.FIT]
        if mine and others:
            lines.append(_against_others(name, mine, others))
    return tuple(sorted(lines, key=_most_beyond_first))


def _against_others(kind: str, mine: Sequence[float], others: Sequence[float]) -> LeftOut:
    """Scores of a kind read against those of all others."""
    p_values = [conformal(value, others) for value in mine]
    beyond = tuple(at_most(level, p_values) for level in LEVELS)
    return LeftOut(kind, len(mine), len(others), beyond, max(mine))


def _most_beyond_first(line: LeftOut) -> tuple[float, float, str]:
    return -line.beyond[0].hits / line.models, -line.worst, line.kind


def at_most(level: float, p_values: Sequence[float]) -> Share:
    """How many p-values are at most this level."""
    return Share(sum(value <= level for value in p_values), len(p_values))
