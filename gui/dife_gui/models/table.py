"""What Qt's views of our tables share: answers about columns, and a table whose rows are fixed once it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)

from dife_gui.escape import tooltip

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
_Role = Qt.ItemDataRole
R = TypeVar("R")


class Titled(Protocol):
    """What a column says about itself."""

    @property
    def title(self) -> str: ...

    @property
    def explain(self) -> str:
        """Shown when the pointer rests on the title."""


def alignment(*, numeric: bool = False) -> Qt.AlignmentFlag:
    """Numbers to the right, so that their digits stand below each other; all else to the left."""
    if numeric:
        return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class ColumnsTable(QAbstractTableModel):
    """A table with fixed columns; subclasses have the rows."""

    def __init__(self, columns: Sequence[Titled], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._columns = columns

    def columnCount(self, parent: Index = NOWHERE) -> int:
        if parent.isValid():  # a table's cells have no cells of their own
            return 0
        return len(self._columns)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = _Role.DisplayRole,
    ) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if not 0 <= section < len(self._columns):
            return None
        column = self._columns[section]
        if role == _Role.DisplayRole:
            return column.title
        if role == _Role.ToolTipRole:
            return tooltip(column.explain)
        if role == _Role.TextAlignmentRole:
            return alignment(numeric=getattr(column, "numeric", False))
        return None


class FixedTable(ColumnsTable, Generic[R]):
    """A table of `rows` that stay what they are."""

    def __init__(
        self,
        columns: Sequence[Titled],
        rows: Sequence[R],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(columns, parent)
        self._rows = tuple(rows)

    def rowCount(self, parent: Index = NOWHERE) -> int:
        if parent.isValid():
            return 0
        return len(self._rows)
