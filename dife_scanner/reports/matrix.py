"""A study in the terminal: each of its sheets as a Rich table, its notes below."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dife_scanner.core.plain import plain
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.reports.study import Study, sheets

_STYLE = {
    Tone.NAME: "bold",
    Tone.EXPOSED: "bold red",
    Tone.NEGATIVE: "blue",
    Tone.UNSURE: "yellow",
    Tone.ABSENT: "dim",
    Tone.CONTROL: "italic",
}


def render(study: Study) -> RenderableType:
    """All tables of a study, harmless whatever a stranger wrote into a name."""
    return Group(*(_sheet(sheet, first=place == 0) for place, sheet in enumerate(sheets(study))))


def _sheet(sheet: Sheet, *, first: bool) -> RenderableType:
    table = Table(header_style="bold", box=None, padding=(0, 1), pad_edge=False)
    for column in sheet.columns:
        table.add_column(column, overflow="fold")
    for row in sheet.rows:
        table.add_row(*(_text(mark) for mark in row))
    notes = [Padding(Text(plain(note, 600), "dim"), (0, 0, 0, 2)) for note in sheet.notes]
    title = Padding(Text(sheet.title, "bold underline"), (0 if first else 1, 0, 0, 0))
    return Group(title, table, *notes)


def _text(mark: Mark) -> Text:
    return Text(plain(mark.text, 600), _STYLE.get(mark.tone, ""))
