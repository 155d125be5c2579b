"""One shape per verdict, so that its colour is never needed to tell it."""

from __future__ import annotations

from math import cos, pi, sin

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QIcon,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from dife_gui.views import theme
from dife_scanner.records import Verdict

_CORNERS = {Verdict.FLAGGED: 3, Verdict.INHERITED: 4}


# Lengths as shares of the side of a mark.
_BOX = 0.72
_STROKE = 1 / 7
_DASH_INSET = 0.2
_TRIANGLE_SHIFT = 0.18
"""Of its radius downwards: a triangle looks centred there, and not around the middle of its corners."""


def draw(
    painter: QPainter,
    area: QRectF,
    verdict: Verdict | None,
    color: QColor,
) -> None:
    """Draw the shape of a verdict into `area`.

    Triangle: flagged; diamond: inherited; ring with a bar: inconclusive; two bars: identical; ring: nothing found;
    short dash: no verdict.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    side = min(area.width(), area.height())
    if verdict in _CORNERS:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        corners = _CORNERS[verdict]
        painter.drawPolygon(_polygon(area.center(), side * 0.5, corners))
        return
    pen = QPen(color, side * _STROKE)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    box = QRectF(0, 0, side * _BOX, side * _BOX)
    box.moveCenter(area.center())
    if verdict in (Verdict.NOTHING_FOUND, Verdict.INCONCLUSIVE):
        painter.drawEllipse(box)
    if verdict is Verdict.IDENTICAL:
        _draw_bar(painter, box, above_middle=side * _STROKE)
        _draw_bar(painter, box, above_middle=-side * _STROKE)
    elif verdict is Verdict.INCONCLUSIVE or verdict is None:
        inset = side * _DASH_INSET
        _draw_bar(painter, box.adjusted(inset, 0, -inset, 0))


def _draw_bar(painter: QPainter, box: QRectF, above_middle: float = 0.0) -> None:
    """A horizontal line over the width of `box`."""
    y = box.center().y() - above_middle
    painter.drawLine(QLineF(box.left(), y, box.right(), y))


def _polygon(center: QPointF, radius: float, corners: int) -> QPolygonF:
    """A regular polygon with one corner at the top."""
    y_shift = radius * _TRIANGLE_SHIFT if corners == 3 else 0.0
    points: list[QPointF] = []
    for corner in range(corners):
        angle = 2 * pi * corner / corners - pi / 2
        x = center.x() + radius * cos(angle)
        y = center.y() + y_shift + radius * sin(angle)
        points.append(QPointF(x, y))
    return QPolygonF(points)


def icon(
    verdict: Verdict | None,
    color: QColor,
    side: int,
    ratio: float,
) -> QIcon:
    """The shape as an icon of `side` logical pixels, sharp on a screen with `ratio` device pixels to each."""
    pixmap = QPixmap(round(side * ratio), round(side * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw(painter, QRectF(0, 0, side, side), verdict, color)
    painter.end()
    return QIcon(pixmap)


class VerdictMark(QWidget):
    """The shape alone, as large as a line of its font."""

    def __init__(self, verdict: Verdict | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._verdict = verdict
        self.setAccessibleName(verdict.value if verdict else "no verdict")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return theme.size(self, 1, 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        color = theme.verdict_color(self._verdict, self.palette())
        draw(QPainter(self), QRectF(self.rect()), self._verdict, color)
