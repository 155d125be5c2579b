"""Qt's view of the checks of one hypothesis; fixed once made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QObject,
    Qt,
)

from dife_gui.escape import tooltip
from dife_gui.models.table import FixedTable, Index
from dife_scanner.sentences import plain
from dife_scanner.sentences.checks import Row

_Role = Qt.ItemDataRole
OUTCOME = _Role.UserRole
"""Role under which every cell of a row has the check's `CheckOutcome`."""


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    title: str
    text: Callable[[Row], str]
    explain: str
    """Shown when the pointer rests on the title."""


COLUMNS: tuple[Column, ...] = (
    Column("Check", lambda row: row.check, "What a demonstrated trigger has to pass"),
    Column("Measured", lambda row: row.measured, "The number that was compared; empty where nothing was measured"),
    Column("Needed", lambda row: row.needed, "The threshold it was compared with"),
    Column("Result", lambda row: row.result, "Passed, failed, not run and why, or does not apply"),
)


class ChecksTable(FixedTable[Row]):
    """A line for each check, in the order in which they are run."""

    def __init__(self, rows: Sequence[Row], parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, rows, parent)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        column = COLUMNS[index.column()]
        shown = column.text(row)
        if role == _Role.DisplayRole:
            return plain(shown)
        if role == _Role.ToolTipRole:
            return tooltip(f"{row.check} ({row.kind}): {row.question}. {row.result}")
        if role == _Role.AccessibleTextRole:
            return plain(f"{column.title}: {shown or 'none'}")
        if role == OUTCOME:
            return row.outcome
        return None
