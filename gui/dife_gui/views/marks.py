"""One shape per verdict, so that its colour is never needed to tell it."""

from __future__ import annotations

from math import cos, pi, sin

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from dife_gui.views import theme
from dife_scanner.records import Verdict

_CORNERS = {Verdict.FLAGGED: 3, Verdict.INHERITED: 4}


def draw(painter: QPainter, area: QRectF, verdict: Verdict | None, color: QColor) -> None:
    """Triangle: flagged; diamond: inherited; ring with a bar: inconclusive; two bars: identical; ring: nothing
    found; short dash: no verdict."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    side = min(area.width(), area.height())
    pen = QPen(color, side / 7, c=Qt.PenCapStyle.RoundCap)
    box = QRectF(0, 0, side * 0.72, side * 0.72)
    box.moveCenter(area.center())
    if verdict in _CORNERS:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawPolygon(_polygon(area.center(), side * 0.5, _CORNERS[verdict]))
        return
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    middle = box.center().y()
    if verdict in (Verdict.NOTHING_FOUND, Verdict.INCONCLUSIVE):
        painter.drawEllipse(box)
    if verdict is Verdict.IDENTICAL:
        for shift in (-side / 7, side / 7):
            painter.drawLine(QPointF(box.left(), middle + shift), QPointF(box.right(), middle + shift))
    elif verdict is Verdict.INCONCLUSIVE or verdict is None:
        inset = side * 0.2
        painter.drawLine(QPointF(box.left() + inset, middle), QPointF(box.right() - inset, middle))


def _polygon(center: QPointF, radius: float, corners: int) -> QPolygonF:
    shift = radius * 0.18 if corners == 3 else 0.0
    turns = [2 * pi * corner / corners - pi / 2 for corner in range(corners)]
    return QPolygonF([QPointF(center.x() + radius * cos(t), center.y() + shift + radius * sin(t)) for t in turns])


def icon(verdict: Verdict | None, color: QColor, side: int, ratio: float) -> QIcon:
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
        side = round(theme.em(self))
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        draw(QPainter(self), QRectF(self.rect()), self._verdict, theme.verdict_color(self._verdict, self.palette()))
