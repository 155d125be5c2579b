"""Which rows count, and what one row holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dife_scanner.core.calibration import clopper_pearson
from dife_scanner.lab.bench.rows import Outcome, Row, Rows, Truth
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


def share_of(rows: Rows, holds: Callable[[Row], bool]) -> Share:
    """Of how many rows something holds."""
    return Share(sum(holds(row) for row in rows), len(rows))


def is_flagged(row: Row) -> bool:
    return row.flagged


# --- which rows -------------------------------------------------------------------------------------------------


def audited(rows: Iterable[Row]) -> list[Row]:
    """Rows that hold an audit: a failed implant's does not."""
    return [row for row in rows if row.outcome is not None]


def flagged(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.flagged]


def of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    """Rows of one family or benign kind."""
    return [row for row in rows if row.kind == kind]


def kinds_of(rows: Iterable[Row]) -> list[str]:
    """Kinds in the order of their first row."""
    return list(dict.fromkeys(row.kind for row in rows))


def of_role(rows: Iterable[Row], *roles: Role) -> list[Row]:
    return [row for row in rows if row.role in roles]


def on_side(rows: Iterable[Row], part: Part) -> list[Row]:
    """Rows of one side of the split."""
    return [row for row in rows if row.part is part]


def at_budget(rows: Iterable[Row], budget: str, version: str | None = None) -> list[Row]:
    """Rows audited at this budget (by this version of the searches)."""
    mine = [row for row in rows if row.code.budget == budget]
    if version is None:
        return mine
    return [row for row in mine if row.code.discovery == version]


def budgets_of(rows: Iterable[Row]) -> list[str]:
    """Budgets that rows were audited at, sorted."""
    return sorted({row.code.budget for row in rows})


def models_of(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by model."""
    return {row.model: row for row in rows}


def open_rows(rows: Iterable[Row], *, unsealed: bool = False) -> tuple[Row, ...]:
    """All rows but those of sealed families."""
    return tuple(row for row in rows if unsealed or not row.sealed)


def counted_benign(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Benign models and twins that were searched and have a tower that moved."""
    benign = of_role(rows, Role.BENIGN, Role.TWIN)
    return tuple(row for row in benign if searched(row) and moved(row))


def benign_on_test(rows: Iterable[Row]) -> list[Row]:
    """Counted benign models of the test side."""
    return on_side(counted_benign(rows), Part.TEST)


def attacks_on_test(rows: Iterable[Row], carrier: Carrier | None = None) -> list[Row]:
    """Audited attacks of the test side (of one carrier)."""
    attacks = audited(on_side(of_role(rows, Role.ATTACK), Part.TEST))
    if carrier is None:
        return attacks
    return [row for row in attacks if truth_of(row).carrier is carrier]


# --- what a row holds -------------------------------------------------------------------------------------------


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


def scores(rows: Iterable[Row]) -> list[float]:
    return [score(row) for row in rows]


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
    """(source, target) of the best candidate on held-out drawings; empty words where there is none."""
    candidates = outcome_of(row).found
    if not candidates:
        return "", ""
    return candidates[0].source, candidates[0].target


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
