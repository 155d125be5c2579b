"""Whether the zoo is fair: what can be seen without searching must not tell attacks from benign models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from dife_scanner.core.calibration import auroc
from dife_scanner.lab.bench.results.detection import ENOUGH_ATTACKS, ENOUGH_BENIGN
from dife_scanner.lab.bench.results.selection import (
    audited,
    counted_benign,
    kinds_of,
    moved,
    of_kind,
    of_role,
    searched,
    truth_of,
)
from dife_scanner.lab.bench.rows import TWIN, Looks, Row, Rows
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.records import Channel

FAIR = 0.70
"""Largest AUROC that a look may have between attacks and benign models."""
_DRIFTS = ("drift of the image tower", "drift of the text tower")
_LOOKS: Mapping[str, Callable[[Looks], float]] = {
    "drift of the image tower": lambda looks: looks.drift_image,
    "drift of the text tower": lambda looks: looks.drift_text,
    "moved token rows": lambda looks: looks.moved_rows,
    "accuracy change": lambda looks: -looks.accuracy_change,
    "size in bytes": lambda looks: looks.bytes,
    "dtype": lambda looks: float(looks.dtype == "F16"),
}


@dataclass(frozen=True)
class Look:
    """How well one look alone tells attacks from benign models."""

    name: str
    among: str
    attacks: int
    benign: int
    auroc: float | None
    """Read in the direction that separates better, so never below .5."""

    @property
    def fair(self) -> bool | None:
        """`None` where there are too few models to say."""
        if self.auroc is None or self.attacks < ENOUGH_ATTACKS or self.benign < ENOUGH_BENIGN:
            return None
        return self.auroc <= FAIR


def zoo_audit(rows: Rows) -> tuple[Look, ...]:
    """Every look over all models that moved, and each drift among those whose own tower moved."""
    attacked = of_role(rows, Role.ATTACK)
    attacks = _looks_of(row for row in attacked if searched(row) and moved(row))
    benign = _looks_of(counted_benign(rows))
    lines = [_look(name, "all that moved", attacks, benign) for name in _LOOKS]
    for name in _DRIFTS:
        drift = _LOOKS[name]
        own_attacks = [looks for looks in attacks if drift(looks) > 0]
        own_benign = [looks for looks in benign if drift(looks) > 0]
        lines.append(_look(name, "where that tower moved", own_attacks, own_benign))
    return tuple(lines)


def _looks_of(rows: Iterable[Row]) -> list[Looks]:
    return [row.looks for row in rows if row.looks]


def _look(name: str, among: str, attacks: Sequence[Looks], benign: Sequence[Looks]) -> Look:
    high = list(map(_LOOKS[name], attacks))
    low = list(map(_LOOKS[name], benign))
    value = None
    if high and low:
        found = auroc(high, low)
        value = max(found, 1 - found)
    return Look(name, among, len(attacks), len(benign), value)


@dataclass(frozen=True)
class Stealth:
    """What a family's working text attacks leave to see."""

    family: str
    n: int
    drift: float
    """Mean drift of clean prompts, as a cosine distance from the base: median over attacks, and the largest."""
    furthest: float
    pairs: int
    """Attacks whose own twin has a row."""
    loss: float | None
    """Loss of clean accuracy against the own twin: median over pairs, and the largest."""
    worst: float | None


def stealth(rows: Rows) -> tuple[Stealth, ...]:
    """One line per family of text attacks, on any side."""
    twins = _twin_accuracies(rows)
    attacks = audited(of_role(rows, Role.ATTACK))
    by_text = [row for row in attacks if row.looks and truth_of(row).channel is Channel.TEXT]
    return tuple(_stealth(name, of_kind(by_text, name), twins) for name in kinds_of(by_text))


def _twin_accuracies(rows: Rows) -> dict[tuple[str, int], float]:
    """Clean accuracy of every twin, by family and number: as its attack's row has it, or its own."""
    found = {}
    for row in of_role(rows, Role.TWIN):
        if row.native:
            found[row.kind, row.number] = row.native["clean_accuracy"]
    for row in rows:
        if TWIN in row.native:
            found[row.kind, row.number] = row.native[TWIN]
    return found


def _stealth(name: str, attacks: Rows, twins: Mapping[tuple[str, int], float]) -> Stealth:
    drifts = [looks.drift_text for looks in _looks_of(attacks)]
    losses = []
    for row in attacks:
        twin = twins.get((name, row.number))
        if twin is not None:
            losses.append(twin - row.native["clean_accuracy"])
    return Stealth(
        family=name,
        n=len(attacks),
        drift=median(drifts),
        furthest=max(drifts),
        pairs=len(losses),
        loss=median(losses) if losses else None,
        worst=max(losses, default=None),
    )
