"""Columns side by side, painted: a histogram with the model's own mark, or a value for each layer."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from dife_gui.escape import tooltip
from dife_gui.views import theme
from dife_gui.views.card import stack
from dife_gui.views.text import SMALL, Label, small
from dife_scanner.figures.columns import Column, Columns
from dife_scanner.sentences import plain

_ACROSS = 0.72
"""Share of its room that a column takes."""
_LEAST = 1.5
"""Pixels that a column has which is not zero."""
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ColumnsView(QWidget):
    """Paints `Columns` above a line, with the number of the full height beside it and names below its ends."""

    def __init__(self, shown: Columns, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown = shown
        self.setAccessibleName(plain(f"{shown.title}: {shown.sentence}", limit=2000))
        self.setToolTip(tooltip(shown.sentence))
        self.setFont(theme.sized(SMALL))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return theme.size(self, 16, 6)

    def minimumSizeHint(self) -> QSize:
        return theme.size(self, 8, 6)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = theme.em(self)
        beside = QFontMetricsF(self.font()).horizontalAdvance(self.shown.top) + line * 0.4
        plot = QRectF(self.rect()).adjusted(beside, line * 1.1, -line * 0.2, -line * 1.2)
        self._paint_axis(painter, plot, beside)
        room = plot.width() / max(1, len(self.shown.columns))
        for place, column in enumerate(self.shown.columns):
            left = plot.left() + room * (place + (1 - _ACROSS) / 2)
            self._paint_column(
                painter, QRectF(left, plot.top(), room * _ACROSS, plot.height()), column
            )
        self._paint_names(painter, plot, room)

    def _paint_axis(self, painter: QPainter, plot: QRectF, beside: float) -> None:
        painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
        painter.drawLine(plot.bottomLeft(), plot.bottomRight())
        painter.drawLine(plot.topLeft(), plot.topRight())
        painter.setPen(theme.muted(self.palette()))
        line = theme.em(self)
        for y, number in ((plot.top(), self.shown.top), (plot.bottom(), "0")):
            painter.drawText(QRectF(0, y - line / 2, beside - line * 0.3, line), _RIGHT, number)

    def _paint_column(self, painter: QPainter, area: QRectF, column: Column) -> None:
        if column.share is None:
            theme.hatch(painter, area, theme.hairline(self.palette()), step=theme.em(self) * 0.45)
            return
        fill = QColor(column.fill(theme.colours(self.palette()).figures))
        if column.share > 0:
            drawn = QRectF(area)
            drawn.setTop(area.bottom() - max(_LEAST, area.height() * min(column.share, 1.0)))
            painter.fillRect(drawn, fill)
        if column.marked:
            self._paint_mark(painter, area, fill)

    def _paint_mark(self, painter: QPainter, area: QRectF, fill: QColor) -> None:
        """A triangle above the column and a dotted line down to its foot."""
        half = theme.em(self) * 0.38
        x = area.center().x()
        painter.setPen(QPen(fill, 1.5, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        top = area.top() - half * 1.6
        painter.drawPolygon(
            QPolygonF([QPointF(x - half, top), QPointF(x + half, top), QPointF(x, area.top())])
        )

    def _paint_names(self, painter: QPainter, plot: QRectF, room: float) -> None:
        """The first and the last column's name, and a marked one's where there is room between them."""
        columns = self.shown.columns
        if not columns:
            return
        painter.setPen(theme.muted(self.palette()))
        metrics = QFontMetricsF(self.font())
        below = QRectF(plot.left(), plot.bottom() + 1, plot.width(), theme.em(self))
        first, last = self._end_names(metrics, below.width())
        painter.drawText(below, _LEFT, first)
        if len(columns) > 1:
            painter.drawText(below, _RIGHT, last)
        for place, column in enumerate(columns):
            width = metrics.horizontalAdvance(column.name)
            centre = plot.left() + room * (place + 0.5)
            begins = below.left() + metrics.horizontalAdvance(first) + width / 2 + 6
            ends = below.right() - metrics.horizontalAdvance(last) - width / 2 - 6
            if column.marked and begins < centre < ends:
                area = QRectF(centre - width / 2, below.top(), width + 1, below.height())
                painter.drawText(area, _LEFT, column.name)

    def _end_names(self, metrics: QFontMetricsF, room: float) -> tuple[str, str]:
        """Both cut with three dots where they would meet."""
        first, last = (column.name for column in (self.shown.columns[0], self.shown.columns[-1]))
        if metrics.horizontalAdvance(f"{first}  {last}") > room:
            middle = Qt.TextElideMode.ElideMiddle
            first, last = (metrics.elidedText(name, middle, room * 0.47) for name in (first, last))
        return first, last


def columns_view(shown: Columns) -> QWidget:
    """The figure with its legend and what it says."""
    return stack([ColumnsView(shown), small(shown.legend), Label(shown.sentence)], spacing=0.2)
