"""Decide about many findings at once: asked once, with their number and how they stand."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.deciding import Subject, Wish, problem_of
from dife_gui.views import theme
from dife_gui.views.text import Label
from dife_gui.views.triage import (
    BUTTONS,
    FURTHER,
    answer_line,
    assignee_line,
    note_line,
    until_line,
)
from dife_scanner.records import TriageState
from dife_scanner.sentences.triage import counts_text, findings_text
from dife_scanner.store.triage import TAKES_DAY

_WIDTH = 42
"""Of the dialog, in lines of text."""


class BulkDialog(QDialog):
    """Emits `wished`; stays open until what was wished for is stored, and says why it is not."""

    wished = Signal(object)

    def __init__(
        self, subject: Subject, state: TriageState | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Decide about findings")
        self.setAccessibleName("Decide about findings")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._subject = subject
        self._headline = Label(font=theme.sized(1.05, bold=True))
        self._counts = Label(tone="muted")
        self._problem = Label(tone="alarm")
        self._problem.hide()
        self.state = self._new_choice(state)
        self.note = note_line()
        self.until = until_line()
        self.answer = answer_line()
        self.assignee = assignee_line()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self._wish)
        self.buttons.rejected.connect(self.reject)
        self.state.currentIndexChanged.connect(lambda _: self._follow())
        self._lay_out()
        self.show_subject(subject)
        self._follow()
        self.note.setFocus()

    def _new_choice(self, state: TriageState | None) -> QComboBox:
        choice = QComboBox()
        choice.setAccessibleName("State")
        for one, text in (*BUTTONS, *FURTHER):
            choice.addItem(text, one.value)  # Qt knows no enums of ours
        choice.addItem("As it is: only assign", "")
        choice.setPlaceholderText("Choose: what is decided?")
        # Enter alone must not decide about many
        choice.setCurrentIndex(-1 if state is None else choice.findData(state.value))
        return choice

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("State", self.state)
        form.addRow("Note", self.note)
        form.addRow("Until", self.until)
        form.addRow("Answer", self.answer)
        form.addRow("Assigned to", self.assignee)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.6))
        layout.addWidget(self._headline)
        layout.addWidget(self._counts)
        layout.addLayout(form)
        layout.addWidget(self._problem)
        layout.addWidget(self.buttons)
        self.resize(round(_WIDTH * theme.em(self)), self.sizeHint().height())

    @property
    def chosen(self) -> TriageState | None:
        """The state that is chosen; none where findings keep theirs."""
        chosen = self.state.currentData()
        return TriageState(chosen) if chosen else None

    def show_subject(self, subject: Subject) -> None:
        """Say what would be decided about."""
        self._subject = subject
        count = len(subject.about)
        self._headline.show_text(f"{findings_text(count)} of {_models(subject.models)}")
        text = f"They stand as: {counts_text(subject.counts)}."
        if not count:
            text = "None of these models has a finding, so there is nothing to decide about."
        self._counts.show_text(text)
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setText(f"Decide about {findings_text(count)}")
        ok.setAccessibleName(ok.text())
        self._follow()

    def show_problem(self, text: str) -> None:
        """Say why nothing was stored."""
        self._problem.show_text(text)
        self._problem.setVisible(bool(text))

    def _follow(self) -> None:
        """Only some states have a day, and only a dispute has an answer."""
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setEnabled(bool(self._subject.about) and self.state.currentIndex() >= 0)
        self.until.setEnabled(self.chosen in TAKES_DAY)
        self.answer.setEnabled(self.chosen is TriageState.DISPUTED)

    def _wish(self) -> None:
        state = self.chosen
        expires = self.until.text().strip() if state in TAKES_DAY else ""
        answer = self.answer.text().strip() if state is TriageState.DISPUTED else ""
        name = self.assignee.text().strip()
        wish = Wish(
            state,
            self.note.text().strip(),
            expires,
            self._subject.about,
            assignee=name if name or state is None else None,
            answer=answer,
        )
        problem = problem_of(wish)
        self.show_problem(problem)
        if not problem:
            self.wished.emit(wish)


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count:,} models"


class DecideButton(QToolButton):
    """A menu of what can be decided about together."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoRaise(True)
        self.setToolTip("Decide about many findings at once. Space marks a model, v a range")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        self.marked = menu.addAction("")
        self.shown = menu.addAction("")
        menu.addSeparator()
        self.for_deployment = menu.addAction("")
        self.shown_for_deployment = menu.addAction("")
        menu.addSeparator()
        self.describe = menu.addAction("Describe a deployment…")
        menu.addSeparator()
        self.clear = menu.addAction("Remove the marks")
        self.undo = menu.addAction("Take back the last triage")
        self.redo = menu.addAction("Triage it again")
        menu.addSeparator()
        self.goes_on = menu.addAction("Go on to the next after a decision")
        self.goes_on.setCheckable(True)
        self.setMenu(menu)
        self.show_counts(0, 0)

    def connect_to(
        self,
        marked: Callable[[], None],
        shown: Callable[[], None],
        clear: Callable[[], None],
        undo: Callable[[], None],
        redo: Callable[[], None],
    ) -> None:
        """What each entry does."""
        for action, does in (
            (self.marked, marked),
            (self.shown, shown),
            (self.clear, clear),
            (self.undo, undo),
            (self.redo, redo),
        ):
            action.triggered.connect(lambda _=False, does=does: does())

    def show_counts(self, marked: int, shown: int) -> None:
        """Say how many models are marked and how many the filter shows."""
        self.setText(f"Decide ({marked:,} marked)" if marked else "Decide")
        self.setAccessibleName(self.text())
        self.marked.setText(f"About the {marked:,} marked…" if marked else "About the marked…")
        self.shown.setText(f"About all {shown:,} shown…")
        these = f"the {marked:,} marked" if marked else "the selected"
        self.for_deployment.setText(f"For a deployment: {these}…")
        self.shown_for_deployment.setText(f"For a deployment: all {shown:,} shown…")
        self.shown_for_deployment.setEnabled(bool(shown))
        self.marked.setEnabled(bool(marked))
        self.clear.setEnabled(bool(marked))
        self.shown.setEnabled(bool(shown))
