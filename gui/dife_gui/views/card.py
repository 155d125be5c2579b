"""Frames that hold one subject each, and two columns that become one when there is no room."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLayout,
    QVBoxLayout,
    QWidget,
)

from dife_gui.views import theme
from dife_gui.views.text import Label, heading

TWO_COLUMNS = 62.0
"""Width in lines of text from which two columns fit."""
_SHARES = (6, 5)
"""Of the width, left and right: the profile has the widest lines."""


class Card(QFrame):
    """A titled, softly framed area whose body is replaced as a whole; hidden while it has none."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(title)
        self._body: QWidget | None = None
        self._layout = QVBoxLayout(self)
        side = theme.gap(0.8)
        self._layout.setContentsMargins(side, theme.gap(0.6), side, side)
        self._layout.setSpacing(theme.gap(0.5))
        self._layout.addWidget(heading(title))
        self.hide()

    def set_body(self, body: QWidget | None) -> None:
        """Show `body` instead of what was there; `None` hides the card."""
        if self._body is not body:
            self._replace(body)
        self.setVisible(body is not None)

    def _replace(self, body: QWidget | None) -> None:
        if self._body is not None:
            self._layout.removeWidget(self._body)
            self._body.hide()  # it goes at the next turn of the event loop, and would be drawn until then
            self._body.deleteLater()
        if body is not None:
            self._layout.addWidget(body)
        self._body = body

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
        painter.setBrush(theme.base_color(self.palette()))
        radius = theme.gap(0.35)
        painter.drawRoundedRect(theme.frame(self), radius, radius)


class Columns(QWidget):
    """Two stacks of cards side by side, or one below the other."""

    def __init__(
        self,
        left: Sequence[QWidget],
        right: Sequence[QWidget],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._layout = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.gap(0.7))
        self._sides: list[tuple[QWidget, Sequence[QWidget]]] = []
        for widgets, share in zip((left, right), _SHARES, strict=True):
            side = stack(widgets, stretch=True)
            self._layout.addWidget(side, share)
            self._sides.append((side, widgets))

    def fold(self) -> None:
        """Give a side without anything to show to the other one."""
        for side, widgets in self._sides:
            hidden = all(widget.isHidden() for widget in widgets)
            side.setVisible(not hidden)

    def arrange(self, width: int, needed: float = TWO_COLUMNS) -> None:
        """Choose by the `width` there is, in pixels; `needed` for two sides, in lines of text."""
        direction = QBoxLayout.Direction.TopToBottom
        if width >= needed * theme.em(self):
            direction = QBoxLayout.Direction.LeftToRight
        self._layout.setDirection(direction)


def stack(widgets: Sequence[QWidget], *, spacing: float = 0.7, stretch: bool = False) -> QWidget:
    """Widgets below each other, without margins; `spacing` in lines of text, `stretch` pushes them to the top."""
    holder = QWidget()
    layout = QVBoxLayout(holder)
    _bare(layout, spacing)
    for widget in widgets:
        layout.addWidget(widget)
    if stretch:
        layout.addStretch(1)
    return holder


def row(widgets: Sequence[QWidget], *, spacing: float = 0.4, stretch: bool = True) -> QWidget:
    """Widgets side by side, without margins; `spacing` in lines of text, `stretch` pushes them to the left."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    _bare(layout, spacing)
    for widget in widgets:
        layout.addWidget(widget)
    if stretch:
        layout.addStretch(1)
    return holder


def lines(texts: Sequence[str], *, tone: str = "muted") -> QWidget:
    """One label for each text, below each other."""
    return stack([Label(text, tone=tone) for text in texts], spacing=0.2)


def grid(*, across: float, down: float) -> tuple[QWidget, QGridLayout]:
    """A widget and its grid without margins; the spacing between columns and rows is in lines of text."""
    holder = QWidget()
    layout = QGridLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(theme.gap(across))
    layout.setVerticalSpacing(theme.gap(down))
    return holder, layout


def _bare(layout: QLayout, spacing: float) -> None:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(theme.gap(spacing))
