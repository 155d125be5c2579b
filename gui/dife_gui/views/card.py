"""Frames that hold one subject each, and two columns that become one when there is no room."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLayout, QVBoxLayout, QWidget

from dife_gui.views import theme
from dife_gui.views.text import Label, heading

TWO_COLUMNS = 62.0
"""Width in lines of text from which two columns fit."""


class Card(QFrame):
    """A titled, softly framed area whose body is replaced as a whole; hidden while it has none."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(title)
        self._body: QWidget | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(theme.gap(0.8), theme.gap(0.6), theme.gap(0.8), theme.gap(0.8))
        self._layout.setSpacing(theme.gap(0.5))
        self._layout.addWidget(heading(title))
        self.hide()

    def set_body(self, body: QWidget | None) -> None:
        """`body` instead of what was there; `None` hides the card."""
        if self._body is not None and self._body is not body:
            self._layout.removeWidget(self._body)
            self._body.hide()
            self._body.deleteLater()
        if body is not None and self._body is not body:
            self._layout.addWidget(body)
        self._body = body
        self.setVisible(body is not None)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
        painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
        radius = theme.gap(0.35)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)


class Columns(QWidget):
    """Two stacks of cards beside each other, or one below the other."""

    def __init__(self, left: Sequence[QWidget], right: Sequence[QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.gap(0.7))
        self._sides = ((stack(left, stretch=True), left), (stack(right, stretch=True), right))
        for (side, _), share in zip(self._sides, (6, 5), strict=True):
            self._layout.addWidget(side, share)

    def fold(self) -> None:
        """Give a side without anything to show to the other one."""
        for side, widgets in self._sides:
            side.setVisible(any(not widget.isHidden() for widget in widgets))

    def arrange(self, width: int) -> None:
        """Choose by the `width` there is, in pixels."""
        beside = width >= TWO_COLUMNS * theme.em(self)
        self._layout.setDirection(QBoxLayout.Direction.LeftToRight if beside else QBoxLayout.Direction.TopToBottom)


def stack(widgets: Sequence[QWidget], *, spacing: float = 0.7, stretch: bool = False) -> QWidget:
    """Widgets below each other, without margins."""
    holder = QWidget()
    layout = QVBoxLayout(holder)
    _bare(layout, spacing)
    for widget in widgets:
        layout.addWidget(widget)
    if stretch:
        layout.addStretch(1)
    return holder


def row(widgets: Sequence[QWidget], *, spacing: float = 0.4, stretch: bool = True) -> QWidget:
    """Widgets beside each other, without margins, pushed to the left."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    _bare(layout, spacing)
    for widget in widgets:
        layout.addWidget(widget)
    if stretch:
        layout.addStretch(1)
    return holder


def lines(texts: Sequence[str], *, tone: str = "muted") -> QWidget:
    return stack([Label(text, tone=tone) for text in texts], spacing=0.2)


def _bare(layout: QLayout, spacing: float) -> None:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(theme.gap(spacing))
