"""What people decided about a finding, and the buttons to decide; nothing is stored here."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.feed import Detail
from dife_gui.views import theme
from dife_gui.views.card import grid, stack
from dife_gui.views.text import Label
from dife_scanner.records import Finding, TriageState
from dife_scanner.sentences.times import time_text

NEEDS_NOTE = frozenset(
    {TriageState.FALSE_POSITIVE, TriageState.ACCEPTED_RISK, TriageState.DISPUTED}
)
"""Decisions that mean nothing to the next reader without a reason."""

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


MOST_CHARACTERS = 2000
"""Of a note, which stands in one line of the history and of a report."""


class Triage(QWidget):
    """Emits `decided(fingerprint, state, note)`; stays alive while findings change, so a half-written note survives."""

    decided = Signal(str, object, str)
    """Somebody chose a state; the window stores it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finding: Finding | None = None
        self._notes: dict[str, str] = {}
        """Unfinished notes of findings that are not shown, by fingerprint."""
        self._state = Label()
        self._problem = Label(tone="alarm")
        self._problem.hide()
        self.note = self._new_note()
        self._history = QWidget()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.gap(0.4))
        for part in (self._state, self.note, self._problem):
            self._layout.addWidget(part)
        self._layout.addWidget(self._buttons())
        self._layout.addWidget(self._history)

    def _new_note(self) -> QLineEdit:
        note = QLineEdit()
        note.setPlaceholderText("Note: why (needed for false positive, accepted risk, disputed)")
        note.setAccessibleName("Triage note")
        note.setMaxLength(MOST_CHARACTERS)
        note.setClearButtonEnabled(True)
        note.textChanged.connect(self._problem.hide)
        return note

    def show_detail(self, detail: Detail) -> None:
        """State and history of this finding; each finding keeps its own unfinished note."""
        finding = detail.finding
        if finding is None:
            return
        if self._finding is not None and self._finding.fingerprint != finding.fingerprint:
            self._problem.hide()
            self._notes[self._finding.fingerprint] = self.note.text()
            self.note.setText(self._notes.pop(finding.fingerprint, ""))
        self._finding = finding
        self._state.show_text(f"State: {_in_words(finding.triage)}")
        self._show_history(detail)

    def accepted(self, fingerprint: str) -> None:
        """The decision is stored: its note is used up."""
        self._notes.pop(fingerprint, None)
        if self._finding is not None and self._finding.fingerprint == fingerprint:
            self.note.clear()

    def show_problem(self, text: str) -> None:
        """Say why nothing was stored."""
        self._problem.show_text(text)
        self._problem.show()

    def decide(self, state: TriageState) -> None:
        """Ask for a decision to be stored, or for its note first."""
        note = self.note.text().strip()
        if self._finding is None:
            return
        if state in NEEDS_NOTE and not note:
            self.show_problem(f"“{_in_words(state)}” needs a note that says why.")
            self.note.setFocus()
            return
        self._problem.hide()
        self.decided.emit(self._finding.fingerprint, state, note)

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
            text = f"{time_text(event.at)}  {_in_words(event.state)} by {event.actor}"
            if event.repo_id != detail.row.job.ref.repo_id:
                text += f" for {event.repo_id}"
            if event.note:
                text += f": {event.note}"
            label = Label(text, tone="muted", font=theme.sized(0.92))
            labels.append(label)
        history = stack(labels, spacing=0.15)
        self._layout.replaceWidget(self._history, history)
        self._history.deleteLater()
        self._history = history
        history.setVisible(bool(labels))


def _in_words(state: TriageState) -> str:
    return state.value.replace("-", " ")
