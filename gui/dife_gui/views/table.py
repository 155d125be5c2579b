"""The models list on screen: keys to move, columns as somebody wants them, rows that hold still while others come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PySide6.QtCore import (
    QItemSelection,
    QModelIndex,
    QPoint,
    QSignalBlocker,
    Qt,
    Signal,
)
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QTableView,
    QWidget,
)

from dife_gui.memory import Layout, Shown
from dife_gui.models.columns import COLUMNS, PLACE
from dife_gui.models.models_table import ModelsTable
from dife_gui.views import theme
from dife_gui.views.cells import DRAWN, CellStyle
from dife_gui.views.keys import fixed_action
from dife_scanner.store.models import Sort

_LEAST_WIDTH = 2.0
"""Of a column, in lines of text."""


class ModelsView(QTableView):
    """`chosen` follows the selected job (or `None`); `opened`: Enter or a double click requested it in full."""

    chosen = Signal(object)
    opened = Signal()
    laid_out = Signal()
    """Somebody changed columns or order."""

    def __init__(self, table: ModelsTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self._marked_last: int | None = None
        self._does = self._fixed()
        self.setModel(table)
        style = CellStyle(self)
        for at in DRAWN:
            self.setItemDelegateForColumn(at, style)
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
        self._set_up_headers()
        self.doubleClicked.connect(lambda _: self.opened.emit())

    def _set_up_headers(self) -> None:
        unit = theme.em(self)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(round(unit * 1.75))
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setAccessibleName("Columns of the models table")
        header.setSectionsMovable(True)
        header.setMinimumSectionSize(round(unit * _LEAST_WIDTH))
        self.set_layout(Layout())
        self.setSortingEnabled(True)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._show_columns)
        for changed in (header.sectionMoved, header.sectionResized, header.sortIndicatorChanged):
            changed.connect(self.laid_out)

    # --- columns ---

    def layout_now(self) -> Layout:
        """Which columns are shown, as they stand, and the order of the rows."""
        header = self.horizontalHeader()
        shown: list[Shown] = []
        for place in range(header.count()):
            at = header.logicalIndex(place)
            if not header.isSectionHidden(at):
                shown.append(Shown(COLUMNS[at].name, header.sectionSize(at)))
        return Layout(tuple(shown), self._table.order)

    def set_layout(self, layout: Layout) -> None:
        """Show these columns, and ask for this order."""
        header = self.horizontalHeader()
        with QSignalBlocker(self):
            for at in range(header.count()):
                header.setSectionHidden(at, True)
            for place, shown in enumerate(layout.columns):
                self._show_column(place, shown)
        self._set_sort(layout.sort)

    def _show_column(self, place: int, shown: Shown) -> None:
        header = self.horizontalHeader()
        at = PLACE[shown.name]
        header.setSectionHidden(at, False)
        header.moveSection(header.visualIndex(at), place)
        width = shown.width or round(COLUMNS[at].width * theme.em(self))
        header.resizeSection(at, max(width, header.minimumSectionSize()))

    def _set_sort(self, sort: Sort) -> None:
        for at, column in enumerate(COLUMNS):
            if column.field == sort.field:
                order = (
                    Qt.SortOrder.DescendingOrder if sort.descending else Qt.SortOrder.AscendingOrder
                )
                with QSignalBlocker(self.horizontalHeader()):
                    self.horizontalHeader().setSortIndicator(at, order)
                self._table.sort(at, order)
                return

    def columns_menu(self, parent: QWidget) -> QMenu:
        """Every column to show or hide, and the way back to those at first."""
        menu = QMenu(parent)
        for at, column in enumerate(COLUMNS):
            action = menu.addAction(column.title)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(at))
            action.setEnabled(at != 0)
            action.toggled.connect(lambda on, at=at: self._toggle(at, on))
        menu.addSeparator()
        menu.addAction("As at first").triggered.connect(self._reset_columns)
        return menu

    def _toggle(self, at: int, on: bool) -> None:
        self.setColumnHidden(at, not on)
        if on and self.columnWidth(at) <= self.horizontalHeader().minimumSectionSize():
            self.setColumnWidth(at, round(COLUMNS[at].width * theme.em(self)))
        self.laid_out.emit()

    def _reset_columns(self) -> None:
        self.set_layout(Layout())
        self.laid_out.emit()

    def _show_columns(self, at: QPoint) -> None:
        menu = self.columns_menu(self)
        menu.exec(self.horizontalHeader().mapToGlobal(at))
        menu.deleteLater()

    # --- choosing ---

    @property
    def current_job(self) -> int | None:
        """The selected job."""
        index = self.currentIndex()
        if not index.isValid() or not self.selectionModel().hasSelection():
            return None
        return self._table.key(index.row())

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
        does = self._does.get(fixed_action(event))
        if does is None:
            super().keyPressEvent(event)
        else:
            does()

    def _fixed(self) -> dict[str, Callable[[], object]]:
        """What the fixed keys of the table in `keys` do here."""
        return {
            "next": lambda: self._move(1),
            "previous": lambda: self._move(-1),
            "first": lambda: self._go(0),
            "last": lambda: self._go(self._table.rowCount() - 1),
            "open": self.opened.emit,
            "back": lambda: self._table.set_marks(self._table.marks, on=False),
            "mark": self._mark_and_go_on,
            "mark_range": lambda: self._mark_range(self.currentIndex().row()),
        }

    def _mark_and_go_on(self) -> None:
        self._mark(self.currentIndex().row())
        self._move(1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click with Ctrl marks a model, one with Shift all of them from the one that was marked last."""
        held = event.modifiers()
        row = self.rowAt(round(event.position().y()))
        super().mousePressEvent(event)
        if held & Qt.KeyboardModifier.ShiftModifier:
            self._mark_range(row)
        elif held & Qt.KeyboardModifier.ControlModifier:
            self._mark(row)

    def _mark(self, row: int) -> None:
        """Mark the model of a row, or take its mark away."""
        if 0 <= row < self._table.rowCount():
            key = self._table.key(row)
            self._table.set_marks([key], on=key not in self._table.marks)
            self._marked_last = key

    def _mark_range(self, row: int) -> None:
        """Mark from the model that was marked last to this row; this one alone where none was."""
        if not 0 <= row < self._table.rowCount():
            return
        start = row
        if self._marked_last is not None and self._table.place_of(self._marked_last).isValid():
            start = self._table.place_of(self._marked_last).row()
        first, last = sorted((start, row))
        self._table.set_marks(self._table.keys[first : last + 1], on=True)
        self._marked_last = self._table.key(row)

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

    def in_sight(self) -> list[int]:
        """Jobs of the rows that can be seen, the selected one too."""
        count = self._table.rowCount()
        first = max(self.rowAt(0), 0)
        last = self.rowAt(self.viewport().height() - 1)
        last = count - 1 if last < 0 else last
        keys = list(self._table.keys[first : last + 1])
        chosen = self.current_job
        return keys if chosen is None or chosen in keys else [*keys, chosen]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Whatever happens to the rows inside, the selected row (or else the topmost) stays where it was on screen."""
        anchor = self._anchor()
        across = self.horizontalScrollBar().value()
        yield
        if anchor is not None:
            self.return_to(*anchor)
        self.horizontalScrollBar().setValue(across)

    def _anchor(self) -> tuple[int, int] | None:
        """Job and its distance from the top; `None` at the very top, where new rows should be seen coming."""
        row = self.currentIndex().row()
        if not self._is_in_sight(self.currentIndex()):
            row = self.rowAt(0)
            if row < 0 or self.verticalScrollBar().value() == 0:
                return None
        return self._table.key(row), self.rowViewportPosition(row)

    def _is_in_sight(self, index: QModelIndex) -> bool:
        if not index.isValid():
            return False
        return self.viewport().rect().intersects(self.visualRect(index))

    def top(self) -> tuple[int, ...]:
        """Job of the topmost row and its distance from the top in pixels, which is 0 or less; empty without rows."""
        row = self.rowAt(0)
        return (self._table.key(row), self.rowViewportPosition(row)) if row >= 0 else ()

    def return_to(self, job_id: int, distance: int) -> None:
        """Scroll until the row of a job is `distance` pixels from the top."""
        index = self._table.place_of(job_id)
        if not index.isValid():
            return
        self.updateGeometries()  # the bar's range is otherwise still that of the rows before
        bar = self.verticalScrollBar()
        moved = self.rowViewportPosition(index.row()) - distance
        bar.setValue(bar.value() + moved)
