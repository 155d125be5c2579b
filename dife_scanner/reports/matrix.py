"""A study in the terminal: each of its sheets as a Rich table, its notes below."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from dife_scanner.reports.layout import columns, heading, safe
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.reports.study import Study
from dife_scanner.reports.study_sheets import sheets

_STYLE = {
    Tone.NAME: "bold",
    Tone.EXPOSED: "bold red",
    Tone.NEGATIVE: "blue",
    Tone.UNSURE: "yellow",
    Tone.ABSENT: "dim",
    Tone.CONTROL: "italic",
}
_CHARACTERS = 600
"""Of one mark or note: reasons are sentences."""


def render(study: Study) -> RenderableType:
    """All tables of a study, harmless whatever a stranger wrote into a name."""
    return document((), sheets(study))


def document(lines: Iterable[str], shown: Iterable[Sheet]) -> RenderableType:
    """Sentences, then tables, as harmless."""
    parts: list[RenderableType] = [safe(line, _CHARACTERS) for line in lines]
    for sheet in shown:
        parts += _section(sheet, first=not parts)
    return Group(*parts)


def _section(sheet: Sheet, *, first: bool) -> list[RenderableType]:
    table = columns(*sheet.columns)
    for row in sheet.rows:
        table.add_row(*map(_text, row))
    notes = [Padding(safe(note, _CHARACTERS, "dim"), (0, 0, 0, 2)) for note in sheet.notes]
    return [heading(sheet.title, first=first), table, *notes]


def _text(mark: Mark) -> Text:
    return safe(mark.text, _CHARACTERS, _STYLE.get(mark.tone, ""))
