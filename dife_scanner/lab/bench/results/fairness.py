"""Whether the zoo is fair: what can be seen without searching must not separate attacks from benign models."""

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
from dife_scanner.lab.bench.rows import TWIN, Row, Rows, VisibleTraits
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.records import Channel

FAIR = 0.70
"""Largest AUROC that a visible trait may have between attacks and benign models."""
_DRIFTS = ("drift of the image tower", "drift of the text tower")
_TRAITS: Mapping[str, Callable[[VisibleTraits], float]] = {
    "drift of the image tower": lambda traits: traits.drift_image,
    "drift of the text tower": lambda traits: traits.drift_text,
    "moved token rows": lambda traits: traits.moved_rows,
    "accuracy change": lambda traits: -traits.accuracy_change,
    "size in bytes": lambda traits: traits.bytes,
    "dtype": lambda traits: float(traits.dtype == "F16"),
}


@dataclass(frozen=True)
class TraitSeparation:
    """How well one visible trait alone separates attacks from benign models."""

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


def zoo_audit(rows: Rows) -> tuple[TraitSeparation, ...]:
    """Every visible trait over all models that moved, and each drift among those whose own tower moved."""
    attacked = of_role(rows, Role.ATTACK)
    attacks = _traits_of(row for row in attacked if searched(row) and moved(row))
    benign = _traits_of(counted_benign(rows))
    lines = [_separation(name, "all that moved", attacks, benign) for name in _TRAITS]
    for name in _DRIFTS:
        drift = _TRAITS[name]
        own_attacks = [traits for traits in attacks if drift(traits) > 0]
        own_benign = [traits for traits in benign if drift(traits) > 0]
        lines.append(_separation(name, "where that tower moved", own_attacks, own_benign))
    return tuple(lines)


def _traits_of(rows: Iterable[Row]) -> list[VisibleTraits]:
    return [row.looks for row in rows if row.looks]


def _separation(
    name: str, among: str, attacks: Sequence[VisibleTraits], benign: Sequence[VisibleTraits]
) -> TraitSeparation:
    high = list(map(_TRAITS[name], attacks))
    low = list(map(_TRAITS[name], benign))
    value = None
    if high and low:
        found = auroc(high, low)
        value = max(found, 1 - found)
    return TraitSeparation(name, among, len(attacks), len(benign), value)


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
    drifts = [traits.drift_text for traits in _traits_of(attacks)]
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
