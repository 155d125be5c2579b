"""What a table is before a format writes it out: marks with a tone, in rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.figures.drawings import Drawing
from dife_scanner.records import EntryType


class Tone(StrEnum):
    """What a mark is, for formats that have colours or styles."""

    PLAIN = "plain"
    NAME = "name"
    EXPOSED = "exposed"
    WEAK = "weak"
    NEGATIVE = "negative"
    UNSURE = "unsure"
    ABSENT = "absent"
    CONTROL = "control"


@dataclass(frozen=True)
class Mark:
    text: str
    tone: Tone = Tone.PLAIN
    drawings: tuple[Drawing, ...] = ()
    """Shown before the text, where a format can show pictures."""


@dataclass(frozen=True)
class Sheet:
    """One table: as many marks in each row as there are columns. Texts may come from strangers and are not escaped."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Mark, ...], ...]
    notes: tuple[str, ...] = ()


ENTRY_TONE = {
    EntryType.EXPOSED: Tone.EXPOSED,
    EntryType.WEAK: Tone.WEAK,
    EntryType.NEGATIVE: Tone.NEGATIVE,
    EntryType.N_TOO_SMALL: Tone.UNSURE,
}
LEGEND = "▲ exposed, no mark: weak, ▼ negative (the target is demoted), ? n too small; value and its difference (Δ)"
"""What the marks in the exposure matrix stand for."""
