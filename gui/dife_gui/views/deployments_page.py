"""The deployments that there are: what each holds, and how many checkpoints are approved, refused or pending for it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from dife_gui.describing import Holding
from dife_gui.views import theme
from dife_gui.views.card import Card, row, stack
from dife_gui.views.keys import fixed_action
from dife_gui.views.queue_page import button
from dife_gui.views.text import Label, small
from dife_scanner.sentences import plain
from dife_scanner.sentences.deployments import profile_lines, tally_text, version_text

NONE = (
    "No deployment is described yet. A deployment is a use of models: through which interfaces, and for which classes "
    "or queries. Whether a model may be used is decided for one of them, on the model's page or with “d”."
)
_LINE = 400


class DeploymentsPage(QScrollArea):
    """Shows a reading; showing an equal one again changes nothing."""

    describe = Signal()
    """A new one is to be described."""
    edit = Signal(str)
    """The one of this name is to be edited."""
    left = Signal()
    """Back to the models."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Deployments")
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self._shown: tuple[Holding, ...] | None = None
        self.back = button("‹ All models")
        self.back.clicked.connect(self.left)
        self.new = button("Describe a deployment…")
        self.new.clicked.connect(lambda _=False: self.describe.emit())
        self._note = Label("Reading…", tone="muted")
        self._list = stack([])
        page = QWidget()
        self._layout = QVBoxLayout(page)
        side = theme.gap(0.7)
        self._layout.setContentsMargins(side, theme.gap(0.6), side, side)
        self._layout.setSpacing(theme.gap(0.6))
        for part in (row([self.back, self.new]), self._note, self._list):
            self._layout.addWidget(part)
        self._layout.addStretch(1)
        self.setWidget(page)

    def show_barred(self, why: str) -> None:
        """Nothing can be described here, or can be again where there is no reason."""
        self.new.setEnabled(not why)
        self.new.setToolTip(why)

    def show_reading(self, found: Sequence[Holding]) -> None:
        """Show each deployment."""
        if tuple(found) == self._shown:
            return
        self._shown = tuple(found)
        self._note.show_text("" if found else NONE)
        self._note.setVisible(not found)
        fresh = stack([self._card(one) for one in found])
        self._layout.replaceWidget(self._list, fresh)
        self._list.hide()
        self._list.deleteLater()
        self._list = fresh

    def show_problem(self, text: str) -> None:
        """Say why it cannot be read."""
        self._note.show_text(text)
        self._note.show()

    def _card(self, one: Holding) -> Card:
        name = one.deployment.profile.name
        card = Card(plain(name))
        edit = button("Edit…")
        edit.setAccessibleName(f"Edit {plain(name)}")
        edit.setEnabled(self.new.isEnabled())
        edit.setToolTip(self.new.toolTip())
        edit.clicked.connect(lambda _=False: self.edit.emit(name))
        stands = tally_text(one.counts, one.undecided)
        tally = Label(stands, font=theme.sized(1.0, bold=True), wrap=False)
        lines = [plain(text, limit=_LINE) for text in profile_lines(one.deployment.profile)]
        body = [row([tally, edit]), *map(Label, lines), small(version_text(one.deployment))]
        card.set_body(stack(body, spacing=0.25))
        return card

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if fixed_action(event) == "back":
            self.left.emit()
        else:
            super().keyPressEvent(event)
