"""Differences with their 95 % intervals, on an axis from -1 to +1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.core.statistics import EXPOSED_CUT, NEGATIVE_CUT
from dife_scanner.figures.colours import Scheme
from dife_scanner.records import Cell, Change, SelectorControl
from dife_scanner.sentences.profile import change_text, delta_text, parts_text

CUTS = (NEGATIVE_CUT, EXPOSED_CUT)
"""Where entry types change; drawn dotted."""
ENDS = (-1.0, 1.0)
"""Of the axis; what is beyond ends there."""
LEGEND = (
    f"Difference over the reference with its 95 % interval, from −1 to +1; dotted: the cuts at −{-NEGATIVE_CUT:.2f}"
    f" and +{EXPOSED_CUT:.2f}. Thinner, below: Δ trigger (dot), the same checkpoint with and without the trigger;"
    " Δ drift (square), the clean query here and in the reference. Hatched entries have no number and never count as"
    " zero; N.E. is not evaluable: the question has no meaning for this trigger. TS is the share of pictures that get"
    " the target, QHR that of the target's pictures that choose the query with the trigger, H@K that of queries with a"
    " target among the first K, Sel@1 that of groups in which a target is chosen."
)
"""What the marks of the window's profile stand for."""


class Kind(StrEnum):
    """Which difference an interval is of."""

    REFERENCE = "Δ over the reference"
    TRIGGER = "Δ trigger"
    DRIFT = "Δ drift"


@dataclass(frozen=True)
class Drawn:
    """One difference with its interval."""

    kind: Kind
    change: Change

    @property
    def square(self) -> bool:
        """Whether its mark is a square; else it is a dot. Colour is never the only signal."""
        return self.kind is Kind.DRIFT

    def color(self, scheme: Scheme) -> str | None:
        """`#rrggbb`; `None` for that of text."""
        if self.kind is Kind.REFERENCE:
            return None
        return scheme.drift if self.kind is Kind.DRIFT else scheme.whole


def intervals(entry: Cell | SelectorControl) -> tuple[Drawn, ...]:
    """What an entry has, from the top: the difference over the reference, then its two parts as far as measured."""
    return tuple(_found(entry))


def _found(entry: Cell | SelectorControl) -> Iterator[Drawn]:
    if isinstance(entry, Cell):
        yield Drawn(Kind.REFERENCE, Change(entry.delta, entry.delta_interval))
        if entry.trigger is not None:
            yield Drawn(Kind.TRIGGER, entry.trigger)
    if entry.drift is not None:
        yield Drawn(Kind.DRIFT, entry.drift)


def intervals_sentence(entry: Cell | SelectorControl) -> str:
    """What is drawn, in words."""
    if not isinstance(entry, Cell):
        return f"Δ drift {change_text(entry.drift)}"
    parts = parts_text(entry)
    if not parts:
        return delta_text(entry)
    return f"{delta_text(entry)}; {parts}"


def place(value: float) -> float:
    """Where a difference stands on the axis, 0 at its left end and 1 at its right; what is beyond is at the ends."""
    low, high = ENDS
    return (min(max(value, low), high) - low) / (high - low)
