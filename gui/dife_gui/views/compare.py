"""Models side by side on the same lines and the same axis."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLineF, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from dife_gui.background import Background
from dife_gui.escape import explained
from dife_gui.models.compare_table import CompareTable
from dife_gui.models.table import Index
from dife_gui.views import theme
from dife_gui.views.text import Label
from dife_scanner.errors import NotFound
from dife_scanner.figures.intervals import CUTS, place
from dife_scanner.records import Audit, Change
from dife_scanner.sentences.compare import HOW, Column, columns_of, compare
from dife_scanner.store import audits, models, revisions
from dife_scanner.store.db import Store

_WIDTH, _HEIGHT = 92, 46
"""In lines of text."""
_MARK_WIDTH, _WHAT_WIDTH, _AXIS_WIDTH = 2.2, 13, 12
_ROW = 2.5
_SHAPE = 0.28
"""Half of a mark, in lines of text."""


class Comparing(QObject):
    """Reads audits and shows them over a window."""

    said = Signal(str)
    """Why they cannot be compared."""

    def __init__(self, background: Background, window: QWidget) -> None:
        super().__init__(window)
        self._background = background
        self._window = window

    def show(self, jobs: Sequence[int]) -> None:
        """The models of these jobs; of one alone, it beside its base and the revision audited before."""
        wanted = tuple(jobs)
        self._background.read(
            lambda store: _columns(store, wanted),
            self._open,
            lambda error: self.said.emit(explained(error)),
        )

    def _open(self, columns: tuple[Column, ...]) -> None:
        dialog = CompareDialog(columns, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()


def _columns(store: Store, jobs: Sequence[int]) -> tuple[Column, ...]:
    found = [_audit(store, job) for job in jobs]
    if len(found) == 1:
        return columns_of(found[0], revisions.audit_before(store, found[0].ref))
    return tuple(Column(str(one.ref), one) for one in found)


def _audit(store: Store, job: int) -> Audit:
    row = models.model_row(store, job)
    if row.job.audit_id is None:
        raise NotFound(f"{row.job.ref.repo_id} has no audit to compare", "mark another one")
    return audits.audit(store, row.job.audit_id)


class CompareDialog(QDialog):
    """What differs is marked and bold; one table for all, so that like stands beside like."""

    def __init__(self, columns: Sequence[Column], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare")
        self.setAccessibleName("Compare models")
        titles = [one.title for one in columns]
        self.table = CompareTable(titles, compare(columns), self)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.6))
        layout.addWidget(self._view(), 1)
        layout.addWidget(Label(HOW, tone="muted"))
        layout.addWidget(buttons)
        unit = theme.em(self)
        room = self.screen().availableGeometry()
        width = min(round(_WIDTH * unit), round(0.95 * room.width()))
        self.resize(width, min(round(_HEIGHT * unit), round(0.9 * room.height())))

    def _view(self) -> QTableView:
        view = QTableView()
        view.setAccessibleName("Models side by side")
        view.setModel(self.table)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setShowGrid(False)
        view.setWordWrap(True)  # a verdict that is cut in its middle is none
        view.setTextElideMode(Qt.TextElideMode.ElideRight)
        view.setTabKeyNavigation(False)
        view.setFrameShape(QTableView.Shape.NoFrame)
        unit = theme.em(view)
        view.verticalHeader().hide()
        view.verticalHeader().setMinimumSectionSize(round(unit * _ROW))
        view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header = view.horizontalHeader()
        header.setAccessibleName("The models")
        header.setHighlightSections(False)
        header.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        last = self.table.columnCount() - 1
        view.setColumnWidth(0, round(_MARK_WIDTH * unit))
        view.setColumnWidth(1, round(_WHAT_WIDTH * unit))
        view.setColumnWidth(last, round(_AXIS_WIDTH * unit))
        for column in range(2, last):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        view.setItemDelegateForColumn(last, Axis(self.table, view))
        return view


class Axis(QStyledItemDelegate):
    """The intervals of a line, one below the other on an axis from −1 to +1, each in the shape of its column."""

    def __init__(self, table: CompareTable, view: QTableView) -> None:
        super().__init__(view)
        self._table = table
        self._view = view

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        drawn = self._table.line(index.row()).drawn
        if not any(drawn):
            return
        area = QRectF(option.rect)
        area.adjust(area.height() * 0.2, 1, -area.height() * 0.2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self._view.palette()
        for value in (0.0, *CUTS):
            style = Qt.PenStyle.SolidLine if value == 0 else Qt.PenStyle.DotLine
            painter.setPen(QPen(theme.muted(palette), 1.0, style))
            x = _x(area, value)
            painter.drawLine(QLineF(x, area.top(), x, area.bottom()))
        step = area.height() / len(drawn)
        for number, change in enumerate(drawn):
            if change is not None:
                self._draw(painter, area, change, number, area.top() + step * (number + 0.5))
        painter.restore()

    def _draw(
        self, painter: QPainter, area: QRectF, change: Change, number: int, middle: float
    ) -> None:
        """One interval and its value, `middle` pixels from the top of the view."""
        ink = theme.text_color(self._view.palette())
        painter.setPen(QPen(ink, 1.2))
        painter.setBrush(ink)
        low, high = _x(area, change.interval.low), _x(area, change.interval.high)
        painter.drawLine(QLineF(low, middle, high, middle))
        half = theme.em(self._view) * _SHAPE
        at = QPointF(_x(area, change.value), middle)
        if number == 0:
            painter.drawEllipse(at, half, half)
        elif number == 1:
            painter.drawRect(QRectF(at.x() - half, at.y() - half, 2 * half, 2 * half))
        else:
            corners = [at + QPointF(0, -half), at + QPointF(half, half), at + QPointF(-half, half)]
            painter.drawPolygon(QPolygonF(corners))


def _x(area: QRectF, value: float) -> float:
    """Pixel of a difference."""
    return area.left() + place(value) * area.width()
