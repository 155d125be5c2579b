"""What stands first for a query, without the trigger and with it, side by side, and how far each item moved."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from dife_gui.views import theme
from dife_gui.views.card import Columns, grid, row, stack
from dife_gui.views.evidence import probe_drawing
from dife_gui.views.text import Label, small
from dife_scanner.figures.drawings import Drawing
from dife_scanner.figures.rankings import COLUMNS, LEGEND, Place, SideBySide, credits

_WIDTHS = (0, 5, 5, 2)
"""How columns share what room there is."""
_TWO_TABLES = 80.0
"""Width in lines of text from which two tables stand side by side."""
_SIDE = 2.6
"""Of an item's picture, in lines of text."""


def rankings(shown: Sequence[SideBySide]) -> QWidget:
    """One table for each interface, in two columns where there is room, then what the marks mean."""
    tables = [_one(one) for one in shown]
    columns = _SelfArranged(tables[::2], tables[1::2])
    columns.fold()
    below = [small(text) for text in (LEGEND, credits(shown)) if text]
    return stack([columns, *below])


class _SelfArranged(Columns):
    """Columns that follow their own width."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.arrange(event.size().width(), _TWO_TABLES)


def _one(shown: SideBySide) -> QWidget:
    holder, layout = grid(across=0.7, down=0.2)
    for column, (title, width) in enumerate(zip(COLUMNS, _WIDTHS, strict=True)):
        layout.setColumnStretch(column, width)
        layout.addWidget(Label(title, tone="muted", wrap=column > 0), 0, column)
    for line, place in enumerate(shown.places, start=1):
        for column, shown_there in enumerate(_parts(place)):
            layout.addWidget(shown_there, line, column)
    holder.setAccessibleName(shown.sentence)
    query = small(f"Query: {shown.query}. With the trigger: {shown.triggered}. {shown.about}")
    heading = Label(shown.title, font=theme.sized(1.0, bold=True))
    return stack([heading, _with_drawing(query, shown.query_drawing), holder], spacing=0.2)


def _parts(place: Place) -> list[QWidget]:
    bold = theme.sized(1.0, bold=True)
    number = Label(str(place.number), tone="muted", wrap=False)
    number.setAccessibleName(place.sentence)
    return [
        number,
        _with_drawing(
            Label(place.clean, font=bold if place.clean_is_target else None), place.clean_drawing
        ),
        _with_drawing(
            Label(place.triggered, font=bold if place.triggered_is_target else None),
            place.triggered_drawing,
        ),
        Label(place.moved, tone="muted"),
    ]


def _with_drawing(text: Label, drawing: Drawing | None) -> QWidget:
    """A text behind its picture, where it has one."""
    if drawing is None:
        return text
    return row([probe_drawing(drawing, _SIDE), text], spacing=0.4, stretch=False)
