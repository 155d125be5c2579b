"""Qt's view of the queue: what is in work, what waits as it will be taken, what is stuck."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, Qt

from dife_gui.escape import tooltip
from dife_gui.models.table import NOWHERE, ColumnsTable, Index, alignment
from dife_scanner.records import Job
from dife_scanner.sentences import plain
from dife_scanner.sentences.jobs import time_left_text, waiting_text
from dife_scanner.sentences.times import age_text
from dife_scanner.sentences.watching import reason_text
from dife_scanner.store.upcoming import Upcoming

_Role = Qt.ItemDataRole


@dataclass(frozen=True)
class QueueRow:
    """One job of the queue."""

    job: Job
    place: str
    """`in work`, its place among those that wait, or `stuck`."""
    left: str
    """How long it has been in work, or about when it is done."""
    why: str
    waits: bool = False
    stuck: bool = False


def queue_rows(
    found: Upcoming, workers: int, seconds: float | None, now: datetime
) -> Iterator[QueueRow]:
    """All lines of the queue; `seconds`: what an audit takes of late."""
    for job in found.working:
        since = f"for {age_text(job.updated_at, now).removesuffix(' ago')}"
        yield QueueRow(job, "in work", since, found.progress.get(job.id) or reason_text(job))
    for place, one in enumerate(found.waiting):
        goes_on = one.due and not found.paused
        left = time_left_text(place, workers, seconds) if goes_on else ""
        yield QueueRow(one.job, str(place + 1), left, waiting_text(one, now), waits=True)
    for job in found.stuck:
        yield QueueRow(job, "stuck", "", reason_text(job), stuck=True)


@dataclass(frozen=True)
class Column:
    """One column of the queue."""

    title: str
    text: Callable[[QueueRow], str]
    width: float
    """In lines of text."""
    explain: str
    """Shown when the pointer rests on the title."""
    numeric: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("Place", lambda row: row.place, 5, "When it is taken; in work, or stuck"),
    Column("Job", lambda row: str(row.job.id), 4.5, "Number of the job", numeric=True),
    Column("Model", lambda row: row.job.ref.repo_id, 18, "Repository or folder"),
    Column("State", lambda row: row.job.state.value.replace("-", " "), 7, "As in docs/states.md"),
    Column("Time", lambda row: row.left, 6, "In work for so long; or about when it is done"),
    Column("Why", lambda row: row.why, 40, "Why it stands where it does"),
)


class QueueTable(ColumnsTable):
    """Lines keep their job: what is selected stays selected while others come and go."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, parent)
        self._rows: tuple[QueueRow, ...] = ()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        if parent.isValid():
            return 0
        return len(self._rows)

    def row(self, at: int) -> QueueRow | None:
        """One line; `None` where there is none."""
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column = COLUMNS[index.column()]
        shown = column.text(self._rows[index.row()])
        if role == _Role.DisplayRole:
            return plain(shown)
        if role == _Role.ToolTipRole:
            return tooltip(shown) if shown else None
        if role == _Role.AccessibleTextRole:
            return plain(f"{column.title}: {shown or 'none'}")
        if role == _Role.TextAlignmentRole and column.numeric:
            return alignment(numeric=True)
        return None

    def show(self, rows: Iterable[QueueRow]) -> None:
        """Become another queue."""
        new = tuple(rows)
        if [row.job.id for row in new] == [row.job.id for row in self._rows]:
            self._rows = new
            if new:
                last = self.index(len(new) - 1, len(COLUMNS) - 1)
                self.dataChanged.emit(self.index(0, 0), last)
            return
        self.layoutAboutToBeChanged.emit()
        held = self.persistentIndexList()
        keys = [self._rows[index.row()].job.id for index in held]
        places = {row.job.id: at for at, row in enumerate(new)}
        self._rows = new
        moved = []
        for index, key in zip(held, keys, strict=True):
            at = places.get(key)
            moved.append(QModelIndex() if at is None else self.index(at, index.column()))
        self.changePersistentIndexList(held, moved)
        self.layoutChanged.emit()
