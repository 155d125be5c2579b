"""Audits of known triggers side by side: what one scan of them measured. `study_sheets` lays it out in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dife_scanner.records import ArtefactMissing, Audit, Cell, Entry, SelectorControl
from dife_scanner.sentences.numbers import number, signed


@dataclass(frozen=True)
class Row:
    """One checkpoint under one trigger."""

    name: str
    """How it is called in every table; distinct within a study."""
    audit: Audit


@dataclass(frozen=True)
class Failure:
    """A checkpoint that has no audit, and why."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class Extension:
    """A file of the researcher's own code that was loaded: part of what decides the numbers."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Study:
    """What one known-trigger scan measured."""

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()
    extensions: tuple[Extension, ...] = ()
    seeds: bool = False
    """Whether the rows are seeds of one attack, so that a mean over them means something."""


def study(
    named: Iterable[tuple[str, Audit]],
    failures: tuple[Failure, ...] = (),
    extensions: tuple[Extension, ...] = (),
    seeds: bool = False,
) -> Study:
    """A study of (name, audit) pairs; a checkpoint under several triggers is named with each of them."""
    pairs = list(named)
    times = Counter(name for name, _ in pairs)
    rows = []
    for name, audit in pairs:
        distinct = name
        if times[name] > 1:
            distinct = f"{name} · {trigger_name(audit)}"
        rows.append(Row(distinct, audit))
    return Study(tuple(rows), failures, extensions, seeds)


def trigger_name(audit: Audit) -> str:
    """Name of the trigger that was measured; empty where there was none."""
    if audit.trigger is None:
        return ""
    return audit.trigger.name


# --- one entry of a profile -----------------------------------------------------------------------------------


def entry_of(audit: Audit, interface: str) -> Entry | None:
    """The entry of an interface; its first, where a profile has several metrics of one."""
    for entry in audit.profile:
        if entry.interface == interface:
            return entry
    return None


_SHORT = {ArtefactMissing.word: "missing", SelectorControl.word: "control"}


def short_word(entry: Entry) -> str:
    """`N.E.`, `not run`, `missing`, `control`; empty for a cell."""
    if isinstance(entry, Cell):
        return ""
    return _SHORT.get(entry.word, entry.word)


def value_text(cell: Cell) -> str:
    """A metric that is a difference shows it with both ends, any other its value with the difference:
    `+0.965 (0.035→1.000)`, `0.999 (+0.901)`.
    """
    attack, delta = number(cell.attack.value), signed(cell.delta)
    if cell.metric.startswith("Δ"):
        return f"{delta} ({number(cell.reference.value)}→{attack})"
    return f"{attack} ({delta})"
