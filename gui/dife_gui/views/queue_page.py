"""The queue: what runs, what waits in which order and why, what is stuck, and what can be asked for."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from dife_gui.models.queue_table import COLUMNS, QueueRow, QueueTable, queue_rows
from dife_gui.queue import QueueReading
from dife_gui.views import theme
from dife_gui.views.keys import fixed_action
from dife_gui.views.text import Label
from dife_scanner.durable import clock
from dife_scanner.sentences.jobs import disk_text, queue_counts, queue_note
from dife_scanner.sentences.numbers import capital
from dife_scanner.sentences.times import age_text
from dife_scanner.store.polls import Pass
from dife_scanner.store.requests import RequestKind


class QueuePage(QWidget):
    """Emits `asked(kind, job)`; what is asked for is done by whoever watches."""

    asked = Signal(object, object)
    """A `RequestKind`, and the job's number or `None`."""
    left = Signal()
    """Back to the models."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Queue")
        self._paused = False
        self.table = QueueTable(self)
        self.view = self._new_view()
        self.counts = Label(font=theme.sized(1.1, bold=True))
        self.counts.setAccessibleName("Jobs of the queue")
        self.note = Label(tone="caution")
        self.note.setAccessibleName("Pause and requests")
        self.about = Label(tone="muted")
        self.about.setAccessibleName("Last pass and disk")
        self.back = button("‹ All models")
        self.back.clicked.connect(self.left)
        self.pause = button("Pause")
        self.pause.clicked.connect(self.ask_pause)
        self.poll = button("Poll now")
        self.poll.clicked.connect(lambda: self.asked.emit(RequestKind.POLL, None))
        self.first = button("Put first")
        self.first.clicked.connect(self.ask_first)
        self.again = button("Queue again")
        self.again.clicked.connect(self.ask_again)
        self.cancel = button("Cancel")
        self.cancel.clicked.connect(self.ask_cancel)
        self._lay_out()
        self._follow()

    def _new_view(self) -> QTableView:
        view = QTableView()
        view.setAccessibleName("Queue of jobs")
        view.setModel(self.table)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setWordWrap(False)
        view.setShowGrid(False)
        view.setTabKeyNavigation(False)
        view.setFrameShape(QTableView.Shape.NoFrame)
        unit = theme.em(view)
        view.verticalHeader().hide()
        view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        view.verticalHeader().setDefaultSectionSize(round(unit * 1.75))
        view.horizontalHeader().setAccessibleName("Columns of the queue")
        view.horizontalHeader().setHighlightSections(False)
        view.horizontalHeader().setStretchLastSection(True)
        for at, column in enumerate(COLUMNS):
            view.setColumnWidth(at, round(column.width * unit))
        view.selectionModel().selectionChanged.connect(lambda *_: self._follow())
        return view

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.gap(0.4))
        for button in (self.back, self.pause, self.poll, self.first, self.again, self.cancel):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        side = theme.gap(0.7)
        layout.setContentsMargins(side, theme.gap(0.6), side, 0)
        layout.setSpacing(theme.gap(0.5))
        layout.addLayout(buttons)
        for label in (self.counts, self.note, self.about):
            layout.addWidget(label)
        layout.addWidget(self.view, 1)

    # --- what is shown ---

    def show_reading(self, found: QueueReading) -> None:
        """Show a reading, with ages as of now."""
        now = clock.moment()
        self._paused = found.upcoming.paused is not None
        self.counts.show_text(queue_counts(found.upcoming))
        note = queue_note(found.upcoming)
        self.note.show_text(f"{capital(note)}." if note else "")
        self.note.setVisible(bool(note))
        self.about.show_text(f"{pass_text(found.last_pass, now)} {capital(disk_text(found.disk))}.")
        self.table.show(queue_rows(found.upcoming, found.workers, found.seconds, now))
        self._follow()

    @property
    def selected(self) -> QueueRow | None:
        """The selected job."""
        if not self.view.selectionModel().hasSelection():
            return None
        return self.table.row(self.view.currentIndex().row())

    def _follow(self) -> None:
        """Offer what can be done."""
        row = self.selected
        self.first.setEnabled(row is not None and row.waits)
        self.again.setEnabled(row is not None and row.stuck)
        self.cancel.setEnabled(row is not None and not row.stuck)
        self.pause.setText("Go on" if self._paused else "Pause")
        self.pause.setAccessibleName(self.pause.text())

    # --- what is asked for ---

    def ask_pause(self) -> None:
        """Pause the queue, or let it go on; audits in work are finished."""
        self.asked.emit(RequestKind.RESUME if self._paused else RequestKind.PAUSE, None)

    def ask_first(self) -> None:
        """Let the selected job go first, where it waits."""
        if self.selected is not None and self.selected.waits:
            self.asked.emit(RequestKind.FRONT, self.selected.job.id)

    def ask_again(self) -> None:
        """Queue the selected job again, where it is stuck."""
        if self.selected is not None and self.selected.stuck:
            self.asked.emit(RequestKind.RETRY, self.selected.job.id)

    def ask_cancel(self) -> None:
        """Stop the selected job, where it waits or is in work."""
        if self.selected is not None and not self.selected.stuck:
            self.asked.emit(RequestKind.CANCEL, self.selected.job.id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if fixed_action(event) == "back":
            self.left.emit()
        else:
            super().keyPressEvent(event)


def pass_text(last: Pass | None, now: datetime) -> str:
    """`Last pass 3 min ago: 1,204 models seen, 12 new, 0 malformed.`, and why it is not complete."""
    if last is None:
        return "No pass over the hub yet."
    counted = f"{last.seen:,} models seen, {last.new:,} new, {last.malformed:,} malformed"
    text = f"Last pass {age_text(last.at, now)}: {counted}"
    if not last.complete:
        text += f"; not complete: {last.problems}"
    return f"{text.rstrip('.')}."


def button(text: str) -> QPushButton:
    """One that says what it does, and that Enter elsewhere does not press."""
    made = QPushButton(text)
    made.setAccessibleName(text)
    made.setAutoDefault(False)
    return made
