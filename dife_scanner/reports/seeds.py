"""Numbers over the seeds of one attack: mean, sample standard deviation, and how many checkpoints had them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from dife_scanner.core.cards import CARDS
from dife_scanner.records import Audit, Cell
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.reports.study import Study, entry_of
from dife_scanner.sentences.numbers import number

Reading = Callable[[Audit], float | None]


@dataclass(frozen=True)
class OverSeeds:
    """One number over the seeds of an attack: mean, sample standard deviation (n − 1), and how many had it."""

    what: str
    values: tuple[float, ...] = field(repr=False)

    @property
    def mean(self) -> float:
        """Arithmetic mean."""
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        """`None` for a single value."""
        if len(self.values) == 1:
            return None
        return stdev(self.values)


def over_seeds(record: Study) -> Sheet:
    """Mean ± sample standard deviation over the rows, for every number that at least one of them has."""
    rows = []
    for one in spreads(record):
        had = f"{len(one.values)} of {len(record.rows)}"
        rows.append((Mark(one.what, Tone.NAME), Mark(spread_text(one)), Mark(had)))
    notes = ("mean ± sample standard deviation; seeds without the number are left out and counted",)
    return Sheet("Over seeds", ("number", "mean ± sd", "seeds"), tuple(rows), notes)


def spread_text(one: OverSeeds) -> str:
    """`0.9903 ± 0.0012`, or the value alone."""
    mean = number(one.mean, 4)
    if one.sd is None:
        return mean
    return f"{mean} ± {number(one.sd, 4)}"


def spreads(record: Study) -> tuple[OverSeeds, ...]:
    """Every number that at least one row has, over all rows that have it."""
    audits = [row.audit for row in record.rows]
    found = []
    for what, read in _readings(audits):
        values = [value for value in map(read, audits) if value is not None]
        if values:
            found.append(OverSeeds(what, tuple(values)))
    return tuple(found)


def _readings(audits: Sequence[Audit]) -> list[tuple[str, Reading]]:
    """What is read of each audit, with its name in the table."""
    readings: list[tuple[str, Reading]] = [("clean accuracy", _clean_accuracy)]
    for interface, metric in _measured(audits):
        readings.append((f"{interface}, {metric}", _of_cell(interface, _attack)))
        readings.append((f"{interface}, Δ over reference", _of_cell(interface, _delta)))
    readings.append(("signal", _of_diagnosis("signal")))
    for name in ("vrs", "trs", "css"):
        readings.append((name.upper(), _of_diagnosis(name)))
    return readings


def _clean_accuracy(audit: Audit) -> float | None:
    return audit.clean_accuracy


def _measured(audits: Sequence[Audit]) -> list[tuple[str, str]]:
    """(interface, metric of its values) in the order of the cards, extensions last."""
    found: dict[tuple[str, str], None] = {}
    for audit in audits:
        for entry in audit.profile:
            if isinstance(entry, Cell):
                found[entry.interface, entry.metric.removeprefix("Δ")] = None
    order = {card.interface: place for place, card in enumerate(CARDS)}
    return sorted(found, key=lambda pair: order.get(pair[0], len(order)))


def _attack(cell: Cell) -> float:
    return cell.attack.value


def _delta(cell: Cell) -> float:
    return cell.delta


def _of_cell(interface: str, read: Callable[[Cell], float]) -> Reading:
    def value(audit: Audit) -> float | None:
        entry = entry_of(audit, interface)
        if isinstance(entry, Cell):
            return read(entry)
        return None

    return value


def _of_diagnosis(name: str) -> Reading:
    def value(audit: Audit) -> float | None:
        return getattr(audit.diagnosis, name, None)

    return value
