"""Qt's view of the models table: rows come, go and change by key, and the table is never reset while shown."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QModelIndex,
    QObject,
    Qt,
)

from dife_gui.escape import tooltip
from dife_gui.models.rows import COLUMNS, Changes, SortedRows, changes
from dife_gui.models.table import NOWHERE, ColumnsTable, Index
from dife_scanner.records import ModelRow
from dife_scanner.sentences import plain

ROW = int(Qt.ItemDataRole.UserRole)
"""The `ModelRow` behind an index."""
_Role = Qt.ItemDataRole


class ModelsTable(ColumnsTable):
    """One line per discovered revision."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, parent)
        self._rows = SortedRows()

    # --- questions Qt asks ---

    def rowCount(self, parent: Index = NOWHERE) -> int:
        if parent.isValid():  # a table's rows have no rows of their own
            return 0
        return len(self._rows)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        if role == ROW:
            return row
        if role not in (_Role.DisplayRole, _Role.ToolTipRole, _Role.AccessibleTextRole):
            return None  # before any text is made: Qt asks for a dozen roles of each cell it draws
        column = COLUMNS[index.column()]
        text = column.text(row)
        if role == _Role.DisplayRole:
            return plain(text)
        if role == _Role.AccessibleTextRole:
            return plain(f"{column.title}: {text or 'none'}")
        return tooltip(text) if text else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        if not 0 <= column < len(COLUMNS):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()  # the selection and what else a view holds on to
        new_place = self._rows.sort(column, descending=order is Qt.SortOrder.DescendingOrder)
        after: list[QModelIndex] = []
        for old in before:
            after.append(self.index(new_place[old.row()], old.column()))
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    # --- what the window sets ---

    def row(self, index: int) -> ModelRow:
        """The record shown in a row."""
        return self._rows[index]

    def place_of(self, key: int) -> QModelIndex:
        """Index of a job's first column; invalid where it is not shown."""
        at = self._rows.index(key)
        if at is None:
            return QModelIndex()
        return self.index(at, 0)

    def show(self, rows: tuple[ModelRow, ...]) -> Changes:
        """Become `rows`, by the smallest set of removals, moves and insertions."""
        found = changes(self._rows.by_key, rows)
        self._remove(found.removed)
        for row in found.updated:
            self._update(row)
        self._add(found.added)
        return found

    def _remove(self, keys: tuple[int, ...]) -> None:
        """Remove rows in runs of neighbours, from the last one, so that the places of the others stay true."""
        found = [self._rows.index(key) for key in keys]
        places = sorted((at for at in found if at is not None), reverse=True)
        while places:
            last = places.pop(0)
            first = last
            while places and places[0] == first - 1:
                first = places.pop(0)
            self.beginRemoveRows(NOWHERE, first, last)
            for at in range(last, first - 1, -1):
                self._rows.remove(at)
            self.endRemoveRows()

    def _update(self, row: ModelRow) -> None:
        """Show a changed row, at another place where its sort key has changed."""
        old = self._rows.index(row.job.id)
        if old is None:
            return
        new = self._rows.place(row)
        if new in (old, old + 1):  # before or behind itself: it stays, and Qt forbids such a move
            self._rows.remove(old)
            self._rows.insert(old, [row])
            at = old
        else:
            at = new if new < old else new - 1
            self.beginMoveRows(NOWHERE, old, old, NOWHERE, new)
            self._rows.remove(old)
            self._rows.insert(at, [row])
            self.endMoveRows()
        first = self.index(at, 0)
        last = self.index(at, len(COLUMNS) - 1)
        self.dataChanged.emit(first, last)

    def _add(self, rows: tuple[ModelRow, ...]) -> None:
        """Insert rows, those that come to the same place at once."""
        for at, run in self._rows.runs(rows):
            self.beginInsertRows(NOWHERE, at, at + len(run) - 1)
            self._rows.insert(at, run)
            self.endInsertRows()
