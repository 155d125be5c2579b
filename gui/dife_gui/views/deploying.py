"""Deciding for a deployment in the window: about the selected model, the marked ones or all that are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from dife_gui import deploying
from dife_gui.background import Background
from dife_gui.deciding import actor
from dife_gui.deploying import Jobs, Wish
from dife_gui.escape import explained
from dife_gui.views.deployment_dialog import DeploymentDialog
from dife_gui.views.frame import Frame
from dife_scanner.errors import DifeError
from dife_scanner.records import Standing
from dife_scanner.sentences.decisions import kept_text
from dife_scanner.store import deciding
from dife_scanner.store.db import Store
from dife_scanner.store.deciding import Scope


class Deploying(QObject):
    """One dialog at a time over a window; stores what is wished for there."""

    changed = Signal()
    """What counts for the selected model may have changed."""
    said = Signal(str)
    """What came of it, for the status line."""

    def __init__(
        self,
        home: Path,
        frame: Frame,
        background: Background,
        filter: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:
        """`filter` gives that of the list."""
        super().__init__(parent)
        self._home = home
        self._frame = frame
        self._background = background
        self._filter = filter
        self._jobs: Jobs | None = None
        """Reads which models the dialog is about."""
        self._reading = False
        self.dialog: DeploymentDialog | None = None
        frame.detail.deployment_asked.connect(self.decide_about_selected)
        frame.detail.take_over_asked.connect(self.take_over)
        frame.detail.alike_asked.connect(self.mark_alike)
        frame.decide_button.for_deployment.triggered.connect(lambda _=False: self.decide())
        frame.decide_button.shown_for_deployment.triggered.connect(
            lambda _=False: self.decide_about_shown()
        )

    def decide(self) -> None:
        """About the marked models, or else the selected one."""
        jobs = self._meant()
        if jobs:
            self.ask(lambda _: jobs)

    def decide_about_shown(self) -> None:
        """About all models that the filter lets through."""
        filter = self._filter()
        self.ask(lambda store: deploying.jobs_of_list(store, filter))

    def decide_about_selected(self, deployment: str) -> None:
        """About the selected model, whatever is marked."""
        job = self._frame.models.current_job
        if job is not None:
            self.ask(lambda _: (job,), deployment)

    def take_over(self) -> None:
        """Decide as before about what is like it: for the selected model at once, for marked ones once asked."""
        jobs = self._meant()
        if self._frame.table.marks:
            self.ask(lambda _: jobs, take_over=True)
        elif jobs:
            home, job = self._home, jobs[0]
            self._background.write(
                lambda store: deciding.take_over_for(store, job, actor(home)),
                self._kept,
                lambda error: self.said.emit(explained(error)),
            )

    def mark_alike(self) -> None:
        """Mark all listed models with the same effect as the selected one, carried by an equal tower."""
        job = self._frame.models.current_job
        if job is not None and self._frame.isVisible():
            self._background.read(
                lambda store: deciding.jobs_like(store, job),
                self._mark,
                lambda error: self.said.emit(explained(error)),
            )

    def ask(self, jobs: Jobs, deployment: str = "", *, take_over: bool = False) -> None:
        """Open the dialog about these models."""
        if self.dialog is not None or self._reading:
            return
        self._jobs = jobs
        self._reading = True
        self._background.read(
            lambda store: _scope(store, jobs, deployment),
            lambda found: self._open(found, take_over),
            self._not_read,
        )

    def _meant(self) -> tuple[int, ...]:
        """The marked models, or else the selected one; none while another page is in sight."""
        frame = self._frame
        if not frame.isVisible():
            return ()
        if frame.table.marks:
            return tuple(sorted(frame.table.marks))
        job = frame.models.current_job
        return () if job is None else (job,)

    def _open(self, found: Scope, take_over: bool) -> None:
        self._reading = False
        self.dialog = DeploymentDialog(found, take_over=take_over, parent=self._frame)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.wished.connect(self._keep)
        self.dialog.turned.connect(self._read_again)
        self.dialog.finished.connect(lambda _: self._close())
        self.dialog.open()

    def _not_read(self, error: DifeError) -> None:
        self._reading = False
        self.said.emit(explained(error))

    def _close(self) -> None:
        self.dialog = None
        self._frame.models.setFocus()

    def _read_again(self, deployment: str) -> None:
        """Show in the dialog how its models stand for a deployment."""
        jobs = self._jobs
        if jobs is not None:
            self._background.read(
                lambda store: _scope(store, jobs, deployment), self._show, self._refused
            )

    def _show(self, found: Scope) -> None:
        if self.dialog is not None and self.dialog.deployment.currentText() == found.deployment:
            self.dialog.show_scope(found)

    def _keep(self, wish: Wish) -> None:
        home = self._home
        self._background.write(
            lambda store: deploying.keep(store, wish, actor(home)),
            self._kept,
            lambda error: self._refuse(wish, error),
        )

    def _kept(self, standings: Sequence[Standing]) -> None:
        self.said.emit(kept_text(standings))
        if self.dialog is not None:
            self.dialog.accept()
            marks = self._frame.table
            marks.set_marks(marks.marks, on=False)
        self.changed.emit()

    def _refuse(self, wish: Wish, error: DifeError) -> None:
        """Say why, and show how the models stand now."""
        self._refused(error)
        self._read_again(wish.deployment)

    def _refused(self, error: DifeError) -> None:
        if self.dialog is not None:
            self.dialog.show_problem(explained(error))

    def _mark(self, alike: Sequence[int]) -> None:
        table = self._frame.table
        listed = [job for job in alike if table.place_of(job).isValid()]
        table.set_marks(listed, on=True)
        hidden = len(alike) - len(listed)
        text = f"{len(listed):,} with this effect on an equal tower are marked"
        if not alike:
            text = "Nothing was found in the selected model that others could share"
        elif hidden:
            text += f"; {hidden:,} more are hidden by the filter"
        self.said.emit(text)


def _scope(store: Store, jobs: Jobs, deployment: str) -> Scope:
    return deciding.scope(store, jobs(store), deployment)
