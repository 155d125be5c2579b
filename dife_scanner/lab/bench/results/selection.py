"""Which rows count, and what one row says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dife_scanner.core.calibration import clopper_pearson
from dife_scanner.lab.bench.rows import Outcome, Row, Truth
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import Carrier, Interval, Verdict


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    hits: int
    n: int

    @property
    def interval(self) -> Interval:
        """Exact two-sided 95 %."""
        return clopper_pearson(self.hits, self.n)


def share_of(rows: Sequence[Row], holds: Callable[[Row], bool]) -> Share:
    """Of how many rows something holds."""
    return Share(sum(holds(row) for row in rows), len(rows))


def is_flagged(row: Row) -> bool:
    return row.flagged


def open_rows(rows: Iterable[Row], *, unsealed: bool = False) -> tuple[Row, ...]:
    """All rows but those of sealed families."""
    return tuple(row for row in rows if unsealed or not row.sealed)


def counted_benign(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Benign models and twins that were searched and have a tower that moved."""
    benign = (Role.BENIGN, Role.TWIN)
    return tuple(row for row in rows if row.role in benign and searched(row) and moved(row))


def benign_on_test(rows: Iterable[Row]) -> list[Row]:
    """Counted benign models of the test side."""
    return [row for row in counted_benign(rows) if row.part is Part.TEST]


def attacks_on_test(rows: Iterable[Row], carrier: Carrier | None = None) -> list[Row]:
    """Audited attacks of the test side (of one carrier)."""
    found = []
    for row in rows:
        audited = row.role is Role.ATTACK and row.part is Part.TEST and row.outcome is not None
        if audited and (carrier is None or truth_of(row).carrier is carrier):
            found.append(row)
    return found


def moved(row: Row) -> bool:
    """Whether a tower is another than the base's: a prompt learner leaves both alone."""
    return row.looks is None or row.looks.drift_image > 0 or row.looks.drift_text > 0


def searched(row: Row) -> bool:
    """Whether the audit had anything to search: an identical checkpoint has not."""
    return row.outcome is not None and row.outcome.verdict is not Verdict.IDENTICAL


def score(row: Row) -> float:
    """The score, 0 where nothing was searched."""
    if row.outcome is None:
        return 0.0
    return row.outcome.score or 0.0


def benign_kind(row: Row) -> str:
    """The kind of a benign model; `twin of FAMILY` for a clean twin."""
    return f"twin of {row.kind}" if row.role is Role.TWIN else row.kind


def outcome_of(row: Row) -> Outcome:
    """Of a row that was audited."""
    assert row.outcome is not None
    return row.outcome


def truth_of(row: Row) -> Truth:
    """Of an attack's row."""
    assert row.truth is not None
    return row.truth


def found(row: Row) -> tuple[str, str]:
    """(source, target) of the candidate that came furthest on held-out drawings; empty words where there is none."""
    best = outcome_of(row).found[:1]
    return (best[0].source, best[0].target) if best else ("", "")


def target_right(row: Row) -> bool:
    """Whether the best candidate names the planted target."""
    return found(row)[1] == truth_of(row).target


def source_right(row: Row) -> bool:
    """Whether the best candidate names the planted source."""
    return found(row)[0] == truth_of(row).source


def carrier_right(row: Row) -> bool:
    """Whether the diagnosed carrier is the planted one."""
    return outcome_of(row).carrier is truth_of(row).carrier


def channel_right(row: Row) -> bool:
    """Whether the diagnosed channel is the planted one."""
    return outcome_of(row).channel is truth_of(row).channel
