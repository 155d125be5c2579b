"""The models table on screen: keys to move, a shape per verdict, and rows that hold still while others come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import (
    QItemSelection,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QKeyEvent, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from dife_gui.models.models_table import ROW, ModelsTable
from dife_gui.models.rows import COLUMNS, REASON, STATE, VERDICT
from dife_gui.views import marks, theme
from dife_scanner.records import ModelRow, Verdict

_MOVES = {Qt.Key.Key_J: 1, Qt.Key.Key_K: -1}
_MARK = 0.85
"""Side of a verdict's shape, in lines of text."""


class _CellStyle(QStyledItemDelegate):
    """Shape and colour of the verdict, colour of the state; the text says the same."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        row: ModelRow = index.data(ROW)
        option.textElideMode = Qt.TextElideMode.ElideRight
        if index.column() == 0:  # of a name, organisation and end tell most
            option.textElideMode = Qt.TextElideMode.ElideMiddle
        if index.column() == VERDICT and row.verdict is not None:
            color = theme.verdict_color(row.verdict, option.palette)
            _add_mark(option, row.verdict, color)
        elif index.column() == STATE:
            color = theme.state_color(row.job.state, option.palette)
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


class ModelsView(QTableView):
    """`chosen` follows the selected job (or `None`); `opened`: Enter or a double click requested it in full."""

    chosen = Signal(object)
    opened = Signal()

    def __init__(self, table: ModelsTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self.setModel(table)
        self.setItemDelegate(_CellStyle(self))
        self.setAccessibleName("Models")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setFrameShape(QTableView.Shape.NoFrame)
        self._lay_out()
        self.doubleClicked.connect(lambda _: self.opened.emit())

    def _lay_out(self) -> None:
        unit = theme.em(self)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(round(unit * 1.75))
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setAccessibleName("Columns of the models table")
        header.setSectionsMovable(True)
        header.setMinimumSectionSize(round(unit * 2))
        for at, column in enumerate(COLUMNS):
            self.setColumnWidth(at, round(column.width * unit))
        header.setSectionResizeMode(REASON, QHeaderView.ResizeMode.Stretch)
        header.setSortIndicator(VERDICT, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)

    # --- choosing ---

    @property
    def current_job(self) -> int | None:
        """The selected job."""
        index = self.currentIndex()
        if not index.isValid() or not self.selectionModel().hasSelection():
            return None
        return self._table.row(index.row()).job.id

    def choose(self, job_id: int) -> bool:
        """Select a job and bring it into sight; `False` where it is not in the table."""
        index = self._table.place_of(job_id)
        if index.isValid():
            self.setCurrentIndex(index)
            self.scrollTo(index)
        return index.isValid()

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        super().selectionChanged(selected, deselected)
        self.chosen.emit(self.current_job)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in _MOVES and not event.modifiers():
            self._move(_MOVES[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit()
        elif key is Qt.Key.Key_G:
            shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self._go(self._table.rowCount() - 1 if shifted else 0)
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters are commands here; `/` searches."""

    def _move(self, step: int) -> None:
        index = self.currentIndex()
        self._go(index.row() + step if index.isValid() else 0)

    def _go(self, row: int) -> None:
        """Select a row, or the nearest there is."""
        count = self._table.rowCount()
        if not count:
            return
        row = min(max(row, 0), count - 1)
        column = max(self.currentIndex().column(), 0)
        self.setCurrentIndex(self._table.index(row, column))

    # --- holding still ---

    @contextmanager
    def held(self) -> Iterator[None]:
        """Whatever happens to the rows inside, the selected row (or else the topmost) stays where it was on screen."""
        anchor = self._anchor()
        across = self.horizontalScrollBar().value()
        yield
        if anchor is not None:
            self._return_to(*anchor)
        self.horizontalScrollBar().setValue(across)

    def _anchor(self) -> tuple[int, int] | None:
        """Job and its distance from the top; `None` at the very top, where new rows should be seen coming."""
        row = self.currentIndex().row()
        if not self._is_in_sight(self.currentIndex()):
            row = self.rowAt(0)
            if row < 0 or self.verticalScrollBar().value() == 0:
                return None
        return self._table.row(row).job.id, self.rowViewportPosition(row)

    def _is_in_sight(self, index: QModelIndex) -> bool:
        if not index.isValid():
            return False
        return self.viewport().rect().intersects(self.visualRect(index))

    def _return_to(self, job_id: int, distance: int) -> None:
        """Scroll until the row of a job is `distance` pixels from the top."""
        index = self._table.place_of(job_id)
        if not index.isValid():
            return
        self.updateGeometries()  # the bar's range is otherwise still that of the rows before
        bar = self.verticalScrollBar()
        moved = self.rowViewportPosition(index.row()) - distance
        bar.setValue(bar.value() + moved)
