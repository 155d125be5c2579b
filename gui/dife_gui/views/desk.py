"""Deciding in the window: about the selected model, the marked ones or all that are shown."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dife_gui.background import Background
from dife_gui.deciding import (
    AHEAD,
    Deciding,
    Wish,
    next_undecided,
    subject_of_jobs,
    subject_of_list,
)
from dife_gui.escape import explained
from dife_gui.listing import Listing
from dife_gui.timers import single_shot
from dife_gui.views.asking import Asking
from dife_gui.views.frame import Frame
from dife_scanner.errors import DifeError
from dife_scanner.records import TriageState
from dife_scanner.store import triage

_FIRST_EXPIRE_MILLISECONDS = 5000
"""Until acceptances are looked at that ran out: what is to be seen comes first."""
_EXPIRE_MILLISECONDS = 600_000
"""Between two such looks: they count in days."""


class Desk(QObject):
    """Decides about what is in sight; nothing while another page is."""

    changed = Signal()
    """What is decided about the selected model may have changed."""
    go_to = Signal(int)
    """The job of a model that is to be selected."""
    said = Signal(str)
    """What came of it, for the status line."""

    def __init__(
        self, home: Path, frame: Frame, background: Background, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._frame = frame
        self._background = background
        self._listing: Listing | None = None
        self._expiring = single_shot(self, _FIRST_EXPIRE_MILLISECONDS, self._expire)
        self.deciding = Deciding(home, background, self)
        self.asking = Asking(background, self.deciding, frame)
        self._connect()

    def _connect(self) -> None:
        frame = self._frame
        frame.detail.triage.decided.connect(self.deciding.keep)
        self.deciding.kept.connect(self._kept)
        self.deciding.refused.connect(self._refused)
        self.deciding.said.connect(self.said)
        self.deciding.returned.connect(self._return)
        self.asking.said.connect(self.said)
        self.asking.kept.connect(self.clear_marks)
        self.asking.closed.connect(frame.focus_list)
        frame.table.marked.connect(lambda _: self._count())
        frame.decide_button.connect_to(
            self._ask_marked, self._ask_shown, self.clear_marks, self.undo, self.redo
        )

    def start(self) -> None:
        """Begin to let acceptances end whose day has passed."""
        self._expiring.start()

    def close(self) -> None:
        """Do nothing more."""
        self._expiring.stop()

    def show_listing(self, found: Listing) -> None:
        """What the list shows now."""
        self._listing = found
        self._count()

    def decide(self, state: TriageState) -> None:
        """Decide about the marked models, or else the selected one once it is shown: keys may outrun the page."""
        frame = self._frame
        if not frame.isVisible():
            return
        if frame.table.marks:
            self._ask_marked(state)
            return
        shown = frame.detail.detail
        if shown is None or shown.row.job.id != frame.models.current_job:
            return
        if shown.finding is None:
            self.said.emit("The selected model has no finding")
            return
        frame.detail.triage.decide(state)
        if frame.detail.triage.note.hasFocus():
            frame.detail.ensureWidgetVisible(frame.detail.triage.note)

    def decide_about_many(self) -> None:
        """Decide about all marked models at once, or all shown where none is marked."""
        if not self._frame.isVisible():
            return
        if self._frame.table.marks:
            self._ask_marked()
        else:
            self._ask_shown()

    def undo(self) -> None:
        """Take back the last decision of this window."""
        self.deciding.undo()

    def redo(self) -> None:
        """Decide again what was taken back last."""
        self.deciding.redo()

    def clear_marks(self) -> None:
        """Remove all marks."""
        self._frame.table.set_marks(self._frame.table.marks, on=False)

    def _ask_marked(self, state: TriageState | None = None) -> None:
        jobs = tuple(self._frame.table.marks)
        self.asking.ask(lambda store: subject_of_jobs(store, jobs), state)

    def _ask_shown(self) -> None:
        if self._listing is not None:
            filter, count = self._listing.asked.filter, self._listing.found
            self.asking.ask(lambda store: subject_of_list(store, filter, count))

    def _kept(self, wish: Wish) -> None:
        for fingerprint in wish.about:
            self._frame.detail.triage.accepted(fingerprint)
        self.changed.emit()
        if (
            wish.state is not None
            and wish.job is not None
            and wish.job == self._frame.models.current_job
        ):
            self._go_on(wish.job)

    def _go_on(self, job: int) -> None:
        """Select the next model below with a finding that waits for a decision; stay where there is none."""
        table, at = self._frame.table, self._frame.table.place_of(job).row()
        if not self._frame.decide_button.goes_on.isChecked() or at < 0:
            return
        below = table.keys[at + 1 : at + 1 + AHEAD]
        self._background.read(
            lambda store: next_undecided(store, below),
            lambda found: self._select(job, found),
            lambda error: self.said.emit(explained(error)),
        )

    def _select(self, decided: int, found: int | None) -> None:
        # Somebody may have gone elsewhere while it was looked for.
        if found is not None and self._frame.models.current_job == decided:
            self._frame.models.choose(found)

    def _return(self, job: int) -> None:
        self.changed.emit()
        self.go_to.emit(job)

    def _refused(self, _: Wish, error: DifeError) -> None:
        """Say why; where somebody else was quicker, show what they did, and let it be decided again."""
        if self.asking.dialog is None:
            self._frame.detail.triage.show_problem(explained(error))
            self.changed.emit()

    def _count(self) -> None:
        shown = self._listing.found if self._listing else 0
        self._frame.decide_button.show_counts(len(self._frame.table.marks), shown)

    def _expire(self) -> None:
        """Let acceptances end whose day has passed; where nothing can be written, whoever can does so."""
        self._background.write(triage.expire, lambda _: None, lambda _: None)
        self._expiring.start(_EXPIRE_MILLISECONDS)
