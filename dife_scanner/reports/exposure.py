"""The exposure matrix of a study: checkpoints down, interfaces across.

An entry without a number keeps its own mark and its reason; nothing is averaged over interfaces, and no absence is ever
counted as zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.core.cards import CARDS, Group
from dife_scanner.figures.matrix import MARKS
from dife_scanner.records import Absent, Audit, Cell, Entry, NotEvaluable, SelectorControl
from dife_scanner.reports.sheet import ENTRY_TONE, LEGEND, Mark, Sheet, Tone
from dife_scanner.reports.study import Study, entry_of, short_word, value_text
from dife_scanner.sentences.numbers import signed
from dife_scanner.sentences.profile import without_number

_PARTS = (
    ("Exposure matrix: native interfaces", (Group.NATIVE,)),
    ("Exposure matrix: deployment extensions", (Group.EXTENSION,)),
    ("Exposure matrix: readouts and own interfaces", (Group.READOUT, Group.OWN)),
)
_OF_EXTENSIONS = "Exposure matrix: interfaces of extensions"


def matrix(record: Study) -> tuple[Sheet, ...]:
    """One sheet per group of interfaces, each with the reasons of its own absences below it."""
    sheets = []
    for title, groups in _PARTS:
        interfaces = [card.interface for card in CARDS if card.group in groups]
        sheets.append(_part(record, title, interfaces))
    others = _without_card(record)
    if others:
        sheets.append(_part(record, _OF_EXTENSIONS, others))
    return tuple(sheets)


def _without_card(record: Study) -> list[str]:
    """Interfaces that no card of the framework describes, in the order in which they are met."""
    known = {card.interface for card in CARDS}
    found: dict[str, None] = {}
    for row in record.rows:
        for entry in row.audit.profile:
            if entry.interface not in known:
                found[entry.interface] = None
    return list(found)


def _part(record: Study, title: str, interfaces: Sequence[str]) -> Sheet:
    reasons = _Reasons()
    rows = []
    for row in record.rows:
        if row.audit.profile:
            rows.append((Mark(row.name, Tone.NAME), *_marks(row.audit, interfaces, reasons)))
    notes = (LEGEND, *reasons.lines)
    columns = ("checkpoint", *interfaces)
    if not any(_has_marks(row) for row in rows):
        return Sheet(title, columns, (), notes)
    return Sheet(title, columns, tuple(rows), notes)


def _has_marks(row: Sequence[Mark]) -> bool:
    """Whether any cell but the name has text."""
    return any(mark.text for mark in row[1:])


class _Reasons:
    """Numbers the reasons of absences; the same reason has the same number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbered(self, reason: str) -> int:
        return self._numbers.setdefault(reason, len(self._numbers) + 1)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(f"[{number}] {reason}" for reason, number in self._numbers.items())


def _marks(audit: Audit, interfaces: Sequence[str], reasons: _Reasons) -> list[Mark]:
    return [_mark(entry_of(audit, interface), reasons) for interface in interfaces]


def _mark(entry: Entry | None, reasons: _Reasons) -> Mark:
    if entry is None:
        return Mark("")
    if isinstance(entry, Cell):
        text = f"{MARKS[entry.entry]} {value_text(entry)}"
        return Mark(text.strip(), ENTRY_TONE[entry.entry])
    number = reasons.numbered(_reason(entry))
    if isinstance(entry, SelectorControl):
        return Mark(f"{short_word(entry)} {signed(entry.drift.value)} [{number}]", Tone.CONTROL)
    return Mark(f"{short_word(entry)} [{number}]", Tone.ABSENT)


def _reason(entry: Absent | SelectorControl) -> str:
    kind = entry.word
    if isinstance(entry, NotEvaluable):
        kind = f"{kind}, {entry.category.value}"
    return f"{kind}: {without_number(entry)}"
