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


@dataclass(frozen=True)
class Column:
    """One column: its title, and what stands there when the pointer rests on it."""

    title: str
    explain: str


class CompareTable(FixedTable[Compared]):
    """What differs is marked and bold."""

    def __init__(
        self, left: str, right: str, lines: Sequence[Compared], parent: QObject | None = None
    ) -> None:
        columns = (
            Column("", "Marked where the two differ"),
            Column("What", "Fact, or interface and metric"),
            Column(plain(left), left),
            Column(plain(right), right),
        )
        super().__init__(columns, lines, parent)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid():
            return None
        line = self._rows[index.row()]
        mark = MARK if line.differs else ""
        shown = (mark, line.what, line.left, line.right)[index.column()]
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
