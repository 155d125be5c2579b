"""How a cell of the models list is drawn: a shape per verdict, colours that the text repeats, small cells for lists."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPalette, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from dife_gui.models.columns import PLACE
from dife_gui.models.models_table import CELLS, ROW
from dife_gui.views import marks, theme
from dife_scanner.records import ModelRow, Verdict

_MARK = 0.85
"""Side of a verdict's shape, in lines of text."""
_TEXT = 0.85
"""Letters of a small cell, times those of the list."""
_HIGH = 1.15
"""Height of a small cell, its space inside to either side, and between two, in lines of text."""
_INSIDE = 0.3
_BETWEEN = 0.2
_GROUND = 0.10
"""Share of the text's colour in a small cell's ground."""
_NAME = PLACE["repo"]
_VERDICT, _STATE = PLACE["verdict"], PLACE["state"]
_EXPOSED = PLACE["interface"]
_WITH_TEXT = (_NAME, _VERDICT, _STATE)
DRAWN = (*_WITH_TEXT, _EXPOSED, PLACE["tag"])
"""Columns that are drawn here. All others Qt draws by itself, which takes a tenth of the time."""


class CellStyle(QStyledItemDelegate):
    """Draws one cell."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        column = index.column()
        option.textElideMode = Qt.TextElideMode.ElideRight
        if column == _NAME:  # of a name, organisation and end tell most
            option.textElideMode = Qt.TextElideMode.ElideMiddle
        elif column in (_VERDICT, _STATE):
            row: ModelRow | None = index.data(ROW)
            if row is not None:
                _colour(option, column, row)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        cells = index.data(CELLS) if index.column() not in _WITH_TEXT else None
        if not cells:
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        option.text = ""
        style = option.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        _draw_cells(painter, option, cells, exposed=index.column() == _EXPOSED)


def _colour(option: QStyleOptionViewItem, column: int, row: ModelRow) -> None:
    """Shape and colour of a verdict, colour of a state; the text says the same."""
    if column == _STATE:
        color = theme.state_color(row.job.state, option.palette)
    elif row.verdict is not None:
        color = theme.verdict_color(row.verdict, option.palette)
        _add_mark(option, row.verdict, color)
    else:
        return
    palette = option.palette
    palette.setColor(QPalette.ColorRole.Text, color)
    option.palette = palette


def _add_mark(option: QStyleOptionViewItem, verdict: Verdict, color: QColor) -> None:
    """Put the verdict's shape before the text; on a selected row in the colour of its text."""
    if option.state & QStyle.StateFlag.State_Selected:
        color = option.palette.color(QPalette.ColorRole.HighlightedText)
    side = round(option.fontMetrics.height() * _MARK)
    option.icon = marks.icon(verdict, color, side, option.widget.devicePixelRatioF())
    option.decorationSize = QSize(side, side)
    option.features |= QStyleOptionViewItem.ViewItemFeature.HasDecoration


def _draw_cells(
    painter: QPainter, option: QStyleOptionViewItem, cells: tuple[str, ...], *, exposed: bool
) -> None:
    """One framed cell after the other; what has no room is counted in the last one."""
    selected = bool(option.state & QStyle.StateFlag.State_Selected)
    role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
    ink = option.palette.color(role)
    if exposed and not selected:
        ink = theme.colours(option.palette).alarm
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    font = option.font
    font.setPointSizeF(font.pointSizeF() * _TEXT)
    painter.setFont(font)
    line = option.fontMetrics.height()
    area = QRectF(option.rect).adjusted(line * _INSIDE, 0, -line * _INSIDE, 0)
    left = area.left()
    for at, text in enumerate(cells):
        more = f"+{len(cells) - at}"
        room = area.right() - left
        last = at == len(cells) - 1
        if _width(painter, text, line) + (0 if last else _width(painter, more, line)) > room:
            _draw_cell(painter, QRectF(left, area.top(), room, area.height()), more, ink, line)
            break
        left = _draw_cell(painter, QRectF(left, area.top(), room, area.height()), text, ink, line)
    painter.restore()


def _width(painter: QPainter, text: str, line: float) -> float:
    """Of a cell with the space behind it."""
    return painter.fontMetrics().horizontalAdvance(text) + line * (2 * _INSIDE + _BETWEEN)


def _draw_cell(painter: QPainter, area: QRectF, text: str, ink: QColor, line: float) -> float:
    """At the left of `area`; gives where the next one begins."""
    width = _width(painter, text, line)
    box = QRectF(area.left(), 0, min(width - line * _BETWEEN, area.width()), line * _HIGH)
    box.moveCenter(area.center())
    box.moveLeft(area.left())
    ground = QColor(ink)
    ground.setAlphaF(_GROUND)
    painter.setPen(QPen(ink, 0.6))
    painter.setBrush(ground)
    painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
    return area.left() + width
