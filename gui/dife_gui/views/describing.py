"""Describing what models are used for in the window: the page of deployments, and the dialog for one of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from dife_gui import describing
from dife_gui.background import Background
from dife_gui.deciding import actor
from dife_gui.describing import Holding, Wish
from dife_gui.escape import explained
from dife_gui.own_pictures import OwnPictures
from dife_gui.portions import in_portions
from dife_gui.views.deployments_page import DeploymentsPage
from dife_gui.views.describing_dialog import DescribingDialog
from dife_scanner.errors import DifeError, NotFound, Overtaken
from dife_scanner.records import Deployment, DeploymentProfile
from dife_scanner.sentences.deployments import edit_text, overtaken_text
from dife_scanner.store import deployments
from dife_scanner.store.db import unwritable

REMOVED = "Somebody removed it meanwhile. Nothing is lost: keep it to have it back, or cancel to leave it removed."


class Describing(QObject):
    """One dialog at a time over a window; keeps what is wished for there."""

    changed = Signal()
    """There is another deployment, or another version of one."""
    said = Signal(str)
    """What came of it, for the status line."""

    def __init__(
        self, home: Path, background: Background, window: QWidget, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._background = background
        self._window = window
        self._looking = False
        self._due = False
        """Whether the page is to be read once more after the reading that runs."""
        self._then: Callable[[str], None] | None = None
        """What is done with the name of what was kept."""
        self.page = DeploymentsPage()
        self.page.describe.connect(lambda: self.describe())
        self.page.edit.connect(self.edit)
        self.dialog: DescribingDialog | None = None
        self._pictures = OwnPictures(home, self)
        self._pictures.read.connect(self._write)
        self._pictures.failed.connect(self._not_kept)

    def close(self) -> None:
        """Break off what is being read."""
        self._pictures.close()

    @property
    def barred(self) -> str:
        """Why nothing can be kept in this home; empty where it can."""
        problem = unwritable(self._home)
        return explained(problem) if problem else ""

    # --- the page ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read what the page shows, where it is in sight: in portions, and no two readings at once."""
        if not self.page.isVisible():
            return
        if self._looking:
            self._due = True
            return
        self._looking = True
        self.page.show_barred(self.barred)
        self._count("", self._show, self._not_read)

    def _show(self, found: tuple[Holding, ...]) -> None:
        self._looking = False
        self.page.show_reading(found)
        self._look_again()

    def _not_read(self, error: DifeError) -> None:
        self._looking = False
        self.page.show_problem(explained(error))
        self._look_again()

    def _look_again(self) -> None:
        if self._due:
            self._due = False
            self.look()

    def _count(
        self,
        name: str,
        then: Callable[[tuple[Holding, ...]], None],
        failed: Callable[[DifeError], None],
    ) -> None:
        """Read how checkpoints stand for each deployment, or the one of this name."""

        def begun(parts: list[describing.Part]) -> None:
            in_portions(
                self._background.read,
                parts,
                describing.looked_at,
                lambda _: None,
                lambda found: then(describing.joined(found)),
                lambda _, error: failed(error),
            )

        self._background.read(partial(describing.parts, name=name), begun, failed)

    # --- the dialog -------------------------------------------------------------------------------------------

    def describe(
        self, then: Callable[[str], None] | None = None, over: QWidget | None = None
    ) -> None:
        """Open the dialog for a new deployment, over the window or another dialog; `then` gets its name once kept."""
        if self.dialog is None:
            self._open(None, then, over)

    def edit(self, name: str) -> None:
        """Open the dialog for the deployment of this name, as it is now."""
        self._background.read(
            lambda store: deployments.deployment(store, name),
            lambda found: self._open(found, None, None) if self.dialog is None else None,
            lambda error: self.said.emit(explained(error)),
        )

    def _open(
        self,
        before: Deployment | None,
        then: Callable[[str], None] | None,
        over: QWidget | None,
    ) -> None:
        self._then = then
        self.dialog = DescribingDialog(before, self.barred, over or self._window)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.wished.connect(self._wish)
        self.dialog.file_chosen.connect(self._read_file)
        self.dialog.finished.connect(lambda _: self._closed())
        self.dialog.open()
        if before is not None:
            self._tell_effect(before.profile.name)

    def _tell_effect(self, name: str) -> None:
        """Say how many decisions another version would make pending."""

        def told(found: tuple[Holding, ...]) -> None:
            if self.dialog is not None and found:
                self.dialog.show_effect(edit_text(found[0].counts))

        self._count(name, told, self._refused)

    def _closed(self) -> None:
        self._pictures.close()
        self.dialog = None

    def _read_file(self, field: str, path: Path) -> None:
        def put(texts: tuple[str, ...]) -> None:
            if self.dialog is not None:
                self.dialog.put(field, texts)

        self._background.read(lambda _: describing.texts_in(path), put, self._refused)

    def _wish(self, profile: DeploymentProfile) -> None:
        """Have own pictures read first, where there are any."""
        if self.dialog is None:
            return
        reads = describing.reads_pictures(profile)
        self.dialog.show_busy(pictures=reads)
        if reads:
            self._pictures.start(profile)
        else:
            self._write(profile)

    def _write(self, profile: DeploymentProfile) -> None:
        if self.dialog is None:
            return
        home, before = self._home, self.dialog.before
        wish = Wish(profile, before.version if before else None)
        self._background.write(
            lambda store: describing.keep(store, wish, actor(home)),
            lambda kept: self._kept(kept, before),
            self._refused,
        )

    def _kept(self, kept: Deployment, before: Deployment | None) -> None:
        name = kept.profile.name
        text = f"{name} is kept as version {kept.version}"
        if before is not None and before.version == kept.version:
            text = f"{name} says so already: no new version"
        then = self._then
        if self.dialog is not None:
            self.dialog.accept()
        self.said.emit(text)
        self.changed.emit()
        self.look()
        if then is not None:
            then(name)

    def _refused(self, error: DifeError) -> None:
        """Say why; where somebody else was quicker, what they did, and let it be kept knowing that."""
        dialog = self.dialog
        if dialog is None:
            self.said.emit(explained(error))
            return
        before = dialog.before
        if isinstance(error, Overtaken) and before is not None:
            name = before.profile.name
            self._background.read(
                lambda store: deployments.deployment(store, name),
                lambda now: self._go_on_from(before, now),
                self._refused,
            )
        elif isinstance(error, NotFound) and before is not None:
            dialog.go_on_from(None, REMOVED)
        else:
            self._not_kept(explained(error))

    def _go_on_from(self, before: Deployment, now: Deployment) -> None:
        if self.dialog is not None:
            self.dialog.go_on_from(now, overtaken_text(before, now))
            self._tell_effect(now.profile.name)

    def _not_kept(self, text: str) -> None:
        if self.dialog is not None:
            self.dialog.show_problem(text)
