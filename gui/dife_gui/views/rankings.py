"""What stands first for a query, without the trigger and with it, side by side, and how far each item moved."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from dife_gui.views import theme
from dife_gui.views.card import grid, stack
from dife_gui.views.text import Label, small
from dife_scanner.figures.rankings import COLUMNS, LEGEND, Place, SideBySide

_WIDTHS = (0, 5, 5, 2)
"""How columns share what room there is."""


def rankings(shown: Sequence[SideBySide]) -> QWidget:
    """One table for each interface, then what the marks mean."""
    return stack([*map(_one, shown), small(LEGEND)])


def _one(shown: SideBySide) -> QWidget:
    holder, layout = grid(across=0.7, down=0.2)
    for column, (title, width) in enumerate(zip(COLUMNS, _WIDTHS, strict=True)):
        layout.setColumnStretch(column, width)
        layout.addWidget(Label(title, tone="muted", wrap=column > 0), 0, column)
    for line, place in enumerate(shown.places, start=1):
        for column, text in enumerate(_texts(place)):
            layout.addWidget(text, line, column)
    holder.setAccessibleName(shown.sentence)
    about = [
        Label(shown.title, font=theme.sized(1.0, bold=True)),
        small(f"Query: {shown.query}. With the trigger: {shown.triggered}. {shown.about}"),
    ]
    return stack([*about, holder], spacing=0.2)


def _texts(place: Place) -> list[Label]:
    bold = theme.sized(1.0, bold=True)
    number = Label(str(place.number), tone="muted", wrap=False)
    number.setAccessibleName(place.sentence)
    return [
        number,
        Label(place.clean, font=bold if place.clean_is_target else None),
        Label(place.triggered, font=bold if place.triggered_is_target else None),
        Label(place.moved, tone="muted"),
    ]
