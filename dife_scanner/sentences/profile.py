"""An exposure profile in words: what each of its lines measured, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dife_scanner.core.statistics import EXPOSED_CUT, MIN_DRAWINGS, NEGATIVE_CUT
from dife_scanner.records import (
    Absent,
    ArtefactMissing,
    Cell,
    Change,
    Entry,
    EntryType,
    Measure,
    NotEvaluable,
    NotRun,
    SelectorControl,
)
from dife_scanner.sentences.numbers import count, count_text, interval_text, number, signed

_EXPOSED = f"{EXPOSED_CUT:.2f}"
_NEGATIVE = f"−{-NEGATIVE_CUT:.2f}"
"""The cuts, as people read them."""
ENTRY_MEANING = {
    EntryType.EXPOSED: f"the lower bound of the difference is at least {_EXPOSED}: the target is strongly promoted",
    EntryType.WEAK: "neither cut is passed by the whole interval",
    EntryType.NEGATIVE: f"the upper bound is at most {_NEGATIVE}: the target is demoted, which is no sign of safety",
    EntryType.N_TOO_SMALL: f"the interval spans both cuts, or drawings are fewer than {MIN_DRAWINGS}: more are needed",
}
"""What an entry means in general; of a measured cell `entry_meaning` says more."""

LINE_MEANING: dict[str, str] = {
    NotEvaluable.word: "not evaluable: the question is not well formed for this trigger; never a zero",
    NotRun.word: "not run: this audit did not ask, or could not",
    ArtefactMissing.word: "artefact missing: what is needed to reproduce it is not there",
    SelectorControl.word: "no text trigger: two clean selectors side by side, which is drift and never an exposure",
}
"""Lines of a profile that are no exposure cell."""

COUNTED_DETAILS = frozenset({"candidates", "lists", "queries"})
"""Further numbers of a cell that count things; all others are shares, means or differences."""


def entry_meaning(cell: Cell) -> str:
    """What the entry of a cell means; of a weak one, which cut its interval crosses."""
    if cell.entry is not EntryType.WEAK:
        return ENTRY_MEANING[cell.entry]
    if cell.delta_interval.high >= EXPOSED_CUT:
        return f"the interval crosses the cut of {_EXPOSED}: higher than the reference perhaps, but not shown exposed"
    if cell.delta_interval.low <= NEGATIVE_CUT:
        return f"the interval crosses the cut of {_NEGATIVE}: lower than the reference perhaps, but not shown negative"
    return "the interval lies between the cuts: near the reference"


def delta_text(cell: Cell) -> str:
    """`+0.901 (95 %: +0.871 to +0.932)`."""
    low, high = signed(cell.delta_interval.low), signed(cell.delta_interval.high)
    return f"{signed(cell.delta)} (95 %: {low} to {high})"


def change_text(change: Change | None) -> str:
    """`+0.901 (+0.871 to +0.932)`; empty where it was not measured."""
    if change is None:
        return ""
    return (
        f"{signed(change.value)} ({signed(change.interval.low)} to {signed(change.interval.high)})"
    )


def parts_text(cell: Cell) -> str:
    """`Δ trigger +0.9 (… to …), Δ drift +0.0 (… to …), headroom 0.98`, as far as measured."""
    parts = []
    if cell.trigger is not None:
        parts.append(f"Δ trigger {change_text(cell.trigger)}")
    if cell.drift is not None:
        parts.append(f"Δ drift {change_text(cell.drift)}")
    if cell.headroom is not None:
        parts.append(f"headroom {number(cell.headroom)}")
    return ", ".join(parts)


def details_text(details: Mapping[str, float]) -> str:
    """`candidates 132, off target leakage 0.010`: the further numbers of a cell; counts without decimals."""
    parts = []
    for key, value in details.items():
        text = count_text(value) if key in COUNTED_DETAILS else number(value)
        parts.append(f"{key.replace('_', ' ')} {text}")
    return ", ".join(parts)


def measure_text(measure: Measure) -> str:
    """`0.998 (95 %: 0.981 to 1.000; n 200 from 8 drawings)`."""
    drawings = count(measure.drawings, measure.unit)
    return f"{number(measure.value)} (95 %: {interval_text(measure.interval)}; n {measure.n:,} from {drawings})"


def cell_sentence(cell: Cell) -> str:
    """One cell with everything that was measured for it."""
    reference = f"reference {measure_text(cell.reference)}, {cell.reference_condition}"
    difference = (
        f"Difference {delta_text(cell)}; with trigger {measure_text(cell.attack)}; {reference}."
    )
    return f"{cell.interface}, {cell.metric}: {cell.entry}. {difference}"


def entry_sentence(entry: Entry) -> str:
    """Any line of a profile in words."""
    if isinstance(entry, Cell):
        return cell_sentence(entry)
    return f"{entry.interface}: {entry.word}{_category(entry)}. {without_number(entry)}"


def _category(entry: Absent | SelectorControl) -> str:
    if isinstance(entry, NotEvaluable):
        return f" ({entry.category})"
    return ""


def without_number(entry: Absent | SelectorControl) -> str:
    """Why a line shows no exposure, and what it shows instead."""
    if isinstance(entry, SelectorControl):
        return f"{entry.reason}; clean selectors: {_selectors(entry)}"
    if isinstance(entry, ArtefactMissing):
        return f"{entry.artefact}: {entry.reason}"
    return entry.reason


def _selectors(entry: SelectorControl) -> str:
    """Both clean selectors, and how far they are apart."""
    metric = entry.metric.removeprefix("Δ")
    low, high = signed(entry.drift.interval.low), signed(entry.drift.interval.high)
    return (
        f"{metric} {number(entry.suspect.value)} against {number(entry.reference.value)}, "
        f"drift {signed(entry.drift.value)} (95 %: {low} to {high})"
    )


def exposed_text(profile: Sequence[Entry]) -> str:
    """`exposed through 3 of 5 measured interfaces; 2 without a number`, and how many are selector controls."""
    measured: set[str] = set()
    exposed: set[str] = set()
    for entry in profile:
        if isinstance(entry, Cell):
            measured.add(entry.interface)
            if entry.entry is EntryType.EXPOSED:
                exposed.add(entry.interface)
    controls = {entry.interface for entry in profile if isinstance(entry, SelectorControl)}
    absent = {entry.interface for entry in profile} - measured - controls
    if not measured:
        if absent or controls:
            return "no interface could be measured"
        return "no interface was measured"
    text = f"exposed through {len(exposed)} of {count(len(measured), 'measured interface')}"
    if absent:
        text += f"; {len(absent)} without a number"
    if controls:
        text += f"; {count(len(controls), 'selector control')}"
    return text
