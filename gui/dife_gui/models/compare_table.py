"""Qt's view of two audits side by side; fixed once made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QFont

from dife_gui.escape import tooltip
from dife_gui.models.table import FixedTable, Index
from dife_scanner.sentences import plain
from dife_scanner.sentences.compare import Compared

_Role = Qt.ItemDataRole
MARK = "≠"
SHAPES = "●■▲"
"""How the columns are told apart where they are drawn, in their order."""
AXIS = "Δ from −1 to +1"
AXIS_MEANING = (
    "Each audit's difference over its reference with its 95 % interval, in the shape of its column, on one axis; "
    "dotted: the cuts at −0.05 and 0.25"
)


@dataclass(frozen=True)
class Column:
    """One column: its title, and what stands there when the pointer rests on it."""

    title: str
    explain: str


class CompareTable(FixedTable[Compared]):
    """What differs is marked and bold. The last column is drawn: the audits' intervals on one axis."""

    def __init__(
        self, titles: Sequence[str], lines: Sequence[Compared], parent: QObject | None = None
    ) -> None:
        columns = [
            Column("", "Marked where the audits differ"),
            Column("What", "Fact, or interface and metric"),
        ]
        for shape, title in zip(SHAPES, titles, strict=False):
            columns.append(Column(f"{shape} {plain(title)}", title))
        columns.append(Column(AXIS, AXIS_MEANING))
        super().__init__(columns, lines, parent)

    def line(self, row: int) -> Compared:
        """What a row shows."""
        return self._rows[row]

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid():
            return None
        line = self._rows[index.row()]
        mark = MARK if line.differs else ""
        shown = (mark, line.what, *line.shown, "")[index.column()]
        if role == _Role.AccessibleTextRole and index.column() == len(self._columns) - 1:
            return plain(f"{line.what}: intervals on one axis, {'; '.join(line.shown)}", 600)
        if role == _Role.DisplayRole:
            return plain(shown)
        if role == _Role.ToolTipRole:
            return tooltip(shown) if shown else None
        if role == _Role.AccessibleTextRole:
            return plain(
                f"{line.what}: {shown}, {'differs' if line.differs else 'does not differ'}"
            )
        if role == _Role.FontRole and line.differs:
            bold = QFont()
            bold.setBold(True)
            return bold
        return None
