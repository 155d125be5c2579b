"""What people decided about a finding, and the buttons to decide; nothing is stored here."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.deciding import Wish, problem_of
from dife_gui.feed import Detail
from dife_gui.views import theme
from dife_gui.views.card import grid, stack
from dife_gui.views.text import Label
from dife_scanner.records import Finding, TriageState
from dife_scanner.sentences.triage import event_text, state_words
from dife_scanner.store.triage import LONGEST_NAME, LONGEST_NOTE, TAKES_DAY

BUTTONS: tuple[tuple[TriageState, str], ...] = (
    (TriageState.CONFIRMED, "Confirm"),
    (TriageState.FALSE_POSITIVE, "False positive"),
    (TriageState.ACCEPTED_RISK, "Accept risk"),
    (TriageState.TRIAGING, "I am on it"),
)
FURTHER: tuple[tuple[TriageState, str], ...] = (
    (TriageState.DISPUTED, "Disputed"),
    (TriageState.DISCLOSED, "Disclosed to the author"),
    (TriageState.OUT_OF_SCOPE, "Out of scope"),
    (TriageState.FIXED_UPSTREAM, "Fixed upstream"),
)
_DAY_CHARACTERS = 10


def note_line() -> QLineEdit:
    """Where the reason of a decision is written."""
    note = QLineEdit()
    note.setPlaceholderText("Note: why (needed for false positive, accepted risk, disputed)")
    note.setAccessibleName("Triage note")
    note.setMaxLength(LONGEST_NOTE)
    note.setClearButtonEnabled(True)
    return note


def until_line() -> QLineEdit:
    """Where the last day of an acceptance is written, or of waiting for an answer."""
    until = QLineEdit()
    until.setPlaceholderText("Accepted until, or answer due by: 90d, 2027-01-31; may be empty")
    until.setAccessibleName("Accepted until, or answer due by")
    until.setMaxLength(_DAY_CHARACTERS)
    return until


def answer_line() -> QLineEdit:
    """Where it is written what the supplier of a disputed finding said."""
    answer = QLineEdit()
    answer.setPlaceholderText("The supplier's answer to a dispute; may be empty")
    answer.setAccessibleName("Supplier's answer")
    answer.setMaxLength(LONGEST_NOTE)
    return answer


def assignee_line() -> QLineEdit:
    """Where it is written who shall look at findings."""
    assignee = QLineEdit()
    assignee.setPlaceholderText("Who shall look at it; empty: nobody in particular")
    assignee.setAccessibleName("Assigned to")
    assignee.setMaxLength(LONGEST_NAME)
    return assignee


class Triage(QWidget):
    """Emits `decided` with a `Wish`; stays alive while findings change, so a half-written note survives."""

    decided = Signal(object)
    """Somebody chose a state; the window stores it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finding: Finding | None = None
        self._job: int | None = None
        self._assigned = ""
        """Who shall look at it, as it was shown last."""
        self._seen = 0
        """The latest event of its history."""
        self._notes: dict[str, str] = {}
        """Unfinished notes of findings that are not shown, by fingerprint."""
        self._asked: TriageState | None = None
        """What was to be decided when a note was asked for: Enter in the note decides it."""
        self._state = Label()
        self._problem = Label(tone="alarm")
        self._problem.hide()
        self.note = note_line()
        self.until = until_line()
        self.note.returnPressed.connect(self._note_written)
        self.answer = answer_line()
        self.answer.returnPressed.connect(lambda: self.decide(TriageState.DISPUTED))
        self.assignee = assignee_line()
        self.assignee.returnPressed.connect(self.assign)
        for line in (self.note, self.until, self.answer, self.assignee):
            line.textChanged.connect(self._problem.hide)
        self._history = QWidget()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.gap(0.4))
        for part in (self._state, self.note, self.until, self.answer, self._problem):
            self._layout.addWidget(part)
        self._layout.addWidget(self._buttons())
        self._layout.addLayout(self._assignment())
        self._layout.addWidget(self._history)

    def show_detail(self, detail: Detail) -> None:
        """State and history of this finding; each finding keeps its own unfinished note."""
        finding = detail.finding
        if finding is None:
            return
        if self._finding is not None and self._finding.fingerprint != finding.fingerprint:
            self._problem.hide()
            self._asked = None
            self._notes[self._finding.fingerprint] = self.note.text()
            self.note.setText(self._notes.pop(finding.fingerprint, ""))
            self.until.clear()
            self.answer.clear()
        self.answer.setVisible(finding.triage is TriageState.DISPUTED)
        self._show_assignee(detail)
        self._finding = finding
        self._job = detail.row.job.id
        self._seen = detail.triage[-1].id if detail.triage else 0
        self._state.show_text(f"State: {state_words(finding.triage)}")
        self._show_history(detail)

    def accepted(self, fingerprint: str) -> None:
        """The decision is stored: its note is used up."""
        self._notes.pop(fingerprint, None)
        if self._finding is not None and self._finding.fingerprint == fingerprint:
            self.note.clear()
            self.until.clear()
            self.answer.clear()
            self._assigned = self.assignee.text()

    def show_problem(self, text: str) -> None:
        """Say why nothing was stored."""
        self._problem.show_text(text)
        self._problem.show()

    def decide(self, state: TriageState) -> None:
        """Ask for a decision to be stored, or for its note first."""
        if self._finding is None:
            return
        expires = self.until.text().strip() if state in TAKES_DAY else ""
        about = {self._finding.fingerprint: self._seen}
        answer = self.answer.text().strip() if state is TriageState.DISPUTED else ""
        wish = Wish(state, self.note.text().strip(), expires, about, self._job, answer=answer)
        self._asked = None
        if not self._ask_for(wish):
            self._asked = state
            self.note.setFocus()

    def _note_written(self) -> None:
        """Decide what the note was asked for; say that a note alone decides nothing."""
        if self._asked is not None:
            self.decide(self._asked)
        else:
            self.show_problem("The note is kept with a decision: choose one below")

    def assign(self) -> None:
        """Ask that it is kept who shall look at the finding."""
        if self._finding is not None:
            about = {self._finding.fingerprint: self._seen}
            self._ask_for(Wish(None, "", "", about, self._job, self.assignee.text().strip()))

    def _ask_for(self, wish: Wish) -> bool:
        """Ask for it to be stored; where that cannot be, say why."""
        problem = problem_of(wish)
        if problem:
            self.show_problem(problem)
            return False
        self._problem.hide()
        self.decided.emit(wish)
        return True

    def _assignment(self) -> QHBoxLayout:
        line = QHBoxLayout()
        line.setSpacing(theme.gap(0.3))
        line.addWidget(Label("Assigned to", tone="muted", wrap=False))
        line.addWidget(self.assignee, 1)
        button = QPushButton("Assign")
        button.setAccessibleName("Triage: Assign")
        button.setAutoDefault(False)
        button.clicked.connect(self.assign)
        line.addWidget(button)
        return line

    def _show_assignee(self, detail: Detail) -> None:
        """Who shall look at it, unless somebody is writing another name for this very finding."""
        assert detail.finding is not None
        is_same = (
            self._finding is not None and self._finding.fingerprint == detail.finding.fingerprint
        )
        if is_same and self.assignee.text() != self._assigned:
            return
        self._assigned = detail.row.assignee
        self.assignee.setText(self._assigned)

    def _buttons(self) -> QWidget:
        """Two rows of two, and next to them a menu with what is rarely chosen."""
        holder, layout = grid(across=0.3, down=0.3)
        for place, (state, text) in enumerate(BUTTONS):
            row, column = divmod(place, 2)
            layout.addWidget(self._button(state, text), row, column)
        layout.addWidget(self._menu(), 0, 2, 2, 1)
        layout.setColumnStretch(0, 1)
        layout.setColumnStretch(1, 1)
        return holder

    def _button(self, state: TriageState, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(f"Triage: {text}")
        button.setAutoDefault(False)
        button.clicked.connect(lambda: self.decide(state))
        return button

    def _menu(self) -> QToolButton:
        more = QToolButton()
        more.setText("Other…")
        more.setAccessibleName("Triage: other states")
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        more.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        menu = QMenu(more)
        for state, text in FURTHER:
            # As defaults, because a loop's variable would be the last state for all of them.
            action = menu.addAction(text)
            action.triggered.connect(lambda _=False, chosen=state: self.decide(chosen))
        more.setMenu(menu)
        return more

    def _show_history(self, detail: Detail) -> None:
        """What people decided, the latest first."""
        labels: list[QWidget] = []
        for event in reversed(detail.triage):
            text = event_text(event, detail.row.job.ref.repo_id)
            label = Label(text, tone="muted", font=theme.sized(0.92))
            labels.append(label)
        history = stack(labels, spacing=0.15)
        self._layout.replaceWidget(self._history, history)
        self._history.deleteLater()
        self._history = history
        history.setVisible(bool(labels))
