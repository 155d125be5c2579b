"""Qt's view of the models list: it knows the key of every row, and the lines of those that were asked for.

Rows come, go and change place by key, and the table is never reset while shown. A line that is not there yet is shown
as three dots and asked for with `wanted`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from PySide6.QtCore import (
    QModelIndex,
    QObject,
    Qt,
    QTimer,
    Signal,
)

from dife_gui.escape import tooltip
from dife_gui.models.columns import COLUMNS
from dife_gui.models.keys import Steps, runs, steps
from dife_gui.models.table import NOWHERE, ColumnsTable, Index, alignment
from dife_scanner.records import ModelRow
from dife_scanner.sentences import plain
from dife_scanner.store.models import Sort

ROW = int(Qt.ItemDataRole.UserRole)
"""The `ModelRow` behind an index; `None` while it is not there."""
CELLS = ROW + 1
"""Texts that are drawn as small cells; `None` in other columns."""
PAGE = 100
"""Lines that are asked for together."""
MOST_KEPT = 3000
"""Lines that are kept; those asked for first go first."""
LOADING = "…"
MARK = "● "
_CELL_CHARACTERS = 24
_Role = Qt.ItemDataRole
_TEXT, _SPOKEN = int(_Role.DisplayRole), int(_Role.AccessibleTextRole)
_ALIGNED = int(_Role.TextAlignmentRole)
_ANSWERED = frozenset((_TEXT, _SPOKEN, _ALIGNED, int(_Role.ToolTipRole), ROW, CELLS))
"""As numbers, as which they are asked for: comparing members of an enum costs more than all else."""


class _Line:
    """One row as it is shown."""

    __slots__ = ("cells", "reading", "row", "texts")

    def __init__(self, row: ModelRow, reading: int) -> None:
        self.row = row
        self.reading = reading
        """Which reading of the list it belongs to: an older one is shown, and asked for anew."""
        self.texts: dict[int, str] = {}
        self.cells: dict[int, tuple[str, ...]] = {}

    def text(self, column: int) -> str:
        """What a cell says, made safe once: that costs more than all else about a cell."""
        if COLUMNS[column].ages:
            return COLUMNS[column].text(self.row)
        if column not in self.texts:
            self.texts[column] = plain(COLUMNS[column].text(self.row))
        return self.texts[column]

    def small(self, column: int) -> tuple[str, ...] | None:
        """The small cells of a column; `None` where it has a text instead."""
        make = COLUMNS[column].cells
        if make is None:
            return None
        if column not in self.cells:
            self.cells[column] = tuple(plain(one, limit=_CELL_CHARACTERS) for one in make(self.row))
        return self.cells[column]


class ModelsTable(ColumnsTable):
    """One line per discovered revision that the filter lets through."""

    wanted = Signal(object)
    """Keys whose lines are in sight and not there; whoever reads them calls `fill`."""
    marked = Signal(int)
    """So many models are marked now."""
    sorted_by = Signal(object)
    """Somebody chose another `Sort`; the order comes with the next `show`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, parent)
        self._keys = array("q")
        self._lines: dict[int, _Line] = {}
        self._reading = 0
        self._pages: set[int] = set()
        """Of which a line was looked for in vain since the last `wanted`."""
        self._asked: set[int] = set()
        """Keys that are being read."""
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._ask)
        self.order = Sort()
        self._marks: set[int] = set()
        """Jobs that somebody marked, in the list or not."""

    # --- questions Qt asks ---

    def rowCount(self, parent: Index = NOWHERE) -> int:
        if parent.isValid():  # a table's rows have no rows of their own
            return 0
        return len(self._keys)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if role not in _ANSWERED:
            return None  # before anything else: Qt asks for a dozen roles of each cell it draws
        row, column = index.row(), index.column()
        if not 0 <= row < len(self._keys):
            return None
        if role == _ALIGNED:
            return alignment(numeric=True) if COLUMNS[column].numeric else None
        line = self._line(row)
        if line is None:
            return _of_absent(column, role)
        if role == _TEXT:
            return self._mark(row, column) + line.text(column)
        if role == ROW:
            return line.row
        if role == CELLS:
            return line.small(column)
        if role == _SPOKEN:
            said = f"{COLUMNS[column].title}: {line.text(column) or 'none'}"
            return f"{said}, marked" if self._mark(row, column) else said
        text = COLUMNS[column].text(line.row)
        return tooltip(text) if text else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Ask for another order; what is shown stays until it is read."""
        if not 0 <= column < len(COLUMNS):
            return
        wanted = Sort(COLUMNS[column].field, order == Qt.SortOrder.DescendingOrder)
        if wanted != self.order:
            self.order = wanted
            self.sorted_by.emit(wanted)

    # --- what the window asks and sets ---

    @property
    def keys(self) -> array[int]:
        """The job of each row; never changed in place."""
        return self._keys

    def key(self, row: int) -> int:
        """The job of a row."""
        return self._keys[row]

    def row(self, row: int) -> ModelRow | None:
        """The line of a row; `None` while it is not there."""
        line = self._lines.get(self._keys[row])
        return line.row if line else None

    @property
    def marks(self) -> frozenset[int]:
        """Jobs that are marked."""
        return frozenset(self._marks)

    def set_marks(self, keys: Iterable[int], *, on: bool) -> None:
        """Mark jobs, or take their marks away."""
        changed = set(keys) - self._marks if on else set(keys) & self._marks
        if not changed:
            return
        self._marks ^= changed
        self._tell([key for key in self._keys if key in changed])
        self.marked.emit(len(self._marks))

    def _mark(self, row: int, column: int) -> str:
        """What stands before the name of a marked model."""
        return MARK if column == 0 and self._keys[row] in self._marks else ""

    def place_of(self, key: int) -> QModelIndex:
        """Index of a job's first column; invalid where it is not shown."""
        at = self._place(key, 0)
        return QModelIndex() if at is None else self.index(at, 0)

    def show(self, found: array[int] | Steps, rows: Iterable[ModelRow] = ()) -> None:
        """Become another list, by the smallest steps; `rows` are lines as of the same reading."""
        made = found if isinstance(found, Steps) else steps(self._keys, found)
        self._reading += 1
        self._asked.clear()
        if made.at_once:
            self._lay_out(made.new)
        elif made:
            self._remove(made)
            self._add(made)
        self.fill(rows)

    def fill(self, rows: Iterable[ModelRow]) -> None:
        """Show lines that were read."""
        came = []
        for row in rows:
            key = row.job.id
            self._asked.discard(key)
            before = self._lines.pop(key, None)
            same = before is not None and before.row == row
            if before is not None and same:
                before.reading = self._reading
            self._lines[key] = before if before is not None and same else _Line(row, self._reading)
            if not same:
                came.append(key)
        self._tell(came)
        while len(self._lines) > MOST_KEPT:
            del self._lines[next(iter(self._lines))]

    def _tell(self, keys: Sequence[int]) -> None:
        """Tell views which lines look otherwise now, neighbours together."""
        places: list[int] = []
        near = 0
        for key in keys:
            at = self._place(key, near)
            if at is not None:
                places.append(at)
                near = at
        for first, last in runs(sorted(places)):
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(COLUMNS) - 1))

    def _place(self, key: int, near: int) -> int | None:
        """Where a key stands; looked for around `near` first, because the whole list takes a millisecond."""
        for begin, end in ((max(near - 2 * PAGE, 0), near + 2 * PAGE), (0, len(self._keys))):
            try:
                return self._keys.index(key, begin, end)
            except ValueError:
                continue
        return None

    def _remove(self, made: Steps) -> None:
        for first, last in made.gone:
            self.beginRemoveRows(NOWHERE, first, last)
            self._keys = self._keys[:first] + self._keys[last + 1 :]
            self.endRemoveRows()

    def _add(self, made: Steps) -> None:
        for first, last in made.come:
            self.beginInsertRows(NOWHERE, first, last)
            self._keys = self._keys[:first] + made.new[first : last + 1] + self._keys[first:]
            self.endInsertRows()

    def _lay_out(self, new: array[int]) -> None:
        """Take on a whole list; what views hold on to goes with its key, or becomes invalid."""
        self.layoutAboutToBeChanged.emit()
        held = self.persistentIndexList()
        keys = [self._keys[index.row()] for index in held]
        self._keys = new
        places = {key: self._place(key, 0) for key in set(keys)}  # views hold on to few rows
        moved = []
        for index, key in zip(held, keys, strict=True):
            at = places[key]
            moved.append(QModelIndex() if at is None else self.index(at, index.column()))
        self.changePersistentIndexList(held, moved)
        self.layoutChanged.emit()

    # --- lines that are not there ---

    def _line(self, row: int) -> _Line | None:
        line = self._lines.get(self._keys[row])
        if line is None or line.reading != self._reading:
            self._pages.add(row // PAGE)
            if not self._soon.isActive():
                self._soon.start()
        return line

    def _ask(self) -> None:
        """Ask for the pages that were looked at, and for their neighbours while nothing of those is there."""
        keys: list[int] = []
        for page in sorted(self._pages):
            for near in (page, page + 1, page - 1):
                keys.extend(self._missing(near, stale=near == page))
        self._pages.clear()
        if keys:
            self._asked.update(keys)
            self.wanted.emit(keys)

    def _missing(self, page: int, *, stale: bool) -> list[int]:
        found = []
        for key in self._keys[max(page, 0) * PAGE : (page + 1) * PAGE]:
            line = self._lines.get(key)
            absent = line is None or (stale and line.reading != self._reading)
            if absent and key not in self._asked:
                found.append(key)
        return found


def _of_absent(column: int, role: int) -> str | None:
    """What is said of a line that is being read."""
    if role == _TEXT and column == 0:
        return LOADING
    if role == _SPOKEN:
        return f"{COLUMNS[column].title}: being read"
    return None
