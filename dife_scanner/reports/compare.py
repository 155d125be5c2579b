"""Audits side by side in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType

from dife_scanner.reports.layout import columns, safe
from dife_scanner.sentences.compare import HOW, Column, compare

_MARK = "≠"


def render(shown: Sequence[Column]) -> RenderableType:
    """One line for each thing that all can say; what differs is marked."""
    table = columns("", "", *(safe(one.title, 60) for one in shown))
    for line in compare(shown):
        style = "bold" if line.differs else ""
        cells = [safe(text, 120, style) for text in line.shown]
        table.add_row(_MARK if line.differs else "", safe(line.what), *cells)
    return Group(table, safe(HOW, 600, "dim"))
