"""Deciding for a deployment in the window: about the selected model, the marked ones or all that are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from dife_gui import deploying
from dife_gui.background import Background
from dife_gui.deciding import act_number, actor, keys_of
from dife_gui.deploying import Jobs, Wish
from dife_gui.escape import explained
from dife_gui.portions import in_portions
from dife_gui.views.deployment_dialog import DeploymentDialog
from dife_gui.views.frame import Frame
from dife_scanner.errors import DifeError, NoDeployment
from dife_scanner.records import DeploymentDecision, Standing
from dife_scanner.sentences.decisions import kept_text
from dife_scanner.sentences.numbers import count
from dife_scanner.store import deciding
from dife_scanner.store.deciding import Scope


class Deploying(QObject):
    """One dialog at a time over a window; stores what is wished for there."""

    changed = Signal()
    """What counts for the selected model may have changed."""
    describe_asked = Signal()
    """A deployment is to be described, over the dialog."""
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
        self._made: list[tuple[DeploymentDecision, ...]] = []
        """What was decided in this window and not taken back, act by act."""
        self.latest = 0
        """`act_number` of the last decision that can be taken back."""
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
        self._look(jobs, deployment, lambda found: self._open(found, take_over), self._not_read)

    def take_back(self) -> None:
        """Decide again as it was before the last act of this window, in portions."""
        if not self._made:
            self.said.emit(
                "Nothing was decided in this window for a deployment that could be undone"
            )
            return
        home, made = self._home, self._made.pop()
        self.latest = 0
        parts = [made[at : at + deciding.PORTION] for at in range(0, len(made), deciding.PORTION)]
        in_portions(
            self._background.write,
            parts,
            lambda store, part: deciding.take_back(store, part, actor(home)),
            lambda at: self.said.emit(f"Taken back for {at * deciding.PORTION:,} of {len(made):,}"),
            self._taken_back,
            lambda done, error: self._stopped(_flat(done), error),
        )

    def _look(
        self,
        jobs: Jobs,
        deployment: str,
        then: Callable[[Scope], None],
        failed: Callable[[DifeError], None],
    ) -> None:
        """Read how models stand, many of them in portions, and say how far it is."""

        def begun(whole: Scope) -> None:
            total = len(whole.subjects)
            in_portions(
                self._background.read,
                list(deciding.portions(whole)),
                deciding.looked_at,
                lambda at: self.said.emit(
                    f"Looked at {at * deciding.PORTION:,} of {total:,} checkpoints"
                ),
                lambda parts: then(reduce(deciding.joined, parts) if parts else whole),
                lambda _, error: failed(error),
            )

        self._background.read(
            lambda store: deciding.meant(store, jobs(store), deployment), begun, failed
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
        self.dialog.describe.connect(self.describe_asked)
        self.dialog.finished.connect(lambda _: self._close())
        self.dialog.open()

    def turn_to(self, deployment: str) -> None:
        """Go on in the dialog with a deployment that was just described."""
        if self.dialog is not None:
            self.dialog.offer(deployment)

    def _not_read(self, error: DifeError) -> None:
        self._reading = False
        if isinstance(error, NoDeployment):
            self._open(deciding.NOTHING, take_over=False)
        else:
            self.said.emit(explained(error))

    def _close(self) -> None:
        self.dialog = None
        self._frame.focus_list()

    def _read_again(self, deployment: str) -> None:
        """Show in the dialog how its models stand for a deployment."""
        jobs = self._jobs
        if jobs is not None:
            self._look(jobs, deployment, self._show, self._refused)

    def _show(self, found: Scope) -> None:
        if self.dialog is not None and self.dialog.deployment.currentText() == found.deployment:
            self.dialog.show_scope(found)

    def _keep(self, wish: Wish) -> None:
        """Decide about all of them at once; take over in portions, for which nothing has to hold together."""
        home = self._home
        if wish.asked is not None:
            self._background.write(
                lambda store: deploying.keep(store, wish, actor(home)),
                self._kept,
                lambda error: self._refuse(wish, error),
            )
            return
        total = len(wish.proposals)
        in_portions(
            self._background.write,
            deploying.portions(wish),
            lambda store, part: deploying.keep(store, part, actor(home)),
            lambda at: self.said.emit(f"Taken over for {at * deciding.PORTION:,} of {total:,}"),
            lambda done: self._kept(_flat(done)),
            lambda done, error: self._stopped(_flat(done), error),
        )

    def _kept(self, standings: Sequence[Standing]) -> None:
        self._remember(standings)
        self.said.emit(f"{kept_text(standings)}; {keys_of(self._home).take_back} takes it back")
        if self.dialog is not None:
            self.dialog.accept()
            marks = self._frame.table
            marks.set_marks(marks.marks, on=False)
        self.changed.emit()

    def _remember(self, standings: Sequence[Standing]) -> None:
        """What can be taken back."""
        made = tuple(one.decision for one in standings if one.decision is not None)
        if made:
            self._made.append(made)
            self.latest = act_number()

    def _stopped(self, standings: Sequence[Standing], error: DifeError) -> None:
        """Some portions were kept before one was not; what was kept stays."""
        self._remember(standings)
        text = f"{count(len(standings), 'decision')} kept, the others not: {explained(error)}"
        self.said.emit(text)
        if self.dialog is not None:
            self.dialog.show_problem(text)
        self.changed.emit()

    def _taken_back(self, done: Sequence[Sequence[Standing]]) -> None:
        number = count(len(_flat(done)), "decision")
        self.said.emit(f"{number} taken back; what others decided since is left as it is")
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


def _flat(parts: Sequence[Sequence[Standing]]) -> list[Standing]:
    return [one for part in parts for one in part]
