"""What people decided about a finding, and the buttons to decide; nothing is stored here."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QMenu, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from dife_gui.feed import Detail
from dife_gui.views import theme
from dife_gui.views.card import stack
from dife_gui.views.text import Label
from dife_scanner.records import Finding, TriageState
from dife_scanner.reports import words

NEEDS_NOTE = frozenset({TriageState.FALSE_POSITIVE, TriageState.ACCEPTED_RISK, TriageState.DISPUTED})
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


class Triage(QWidget):
    """Emits `decided(fingerprint, state, note)`; stays alive while findings change, so a half-written note survives."""

    decided = Signal(str, object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finding: Finding | None = None
        self._notes: dict[str, str] = {}
        self._state = Label()
        self._problem = Label(tone="alarm")
        self._problem.hide()
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note: why (needed for false positive, accepted risk, disputed)")
        self.note.setAccessibleName("Triage note")
        self.note.setMaxLength(2000)
        self.note.setClearButtonEnabled(True)
        self.note.textChanged.connect(self._problem.hide)
        self._history = QWidget()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.gap(0.4))
        for part in (self._state, self.note, self._problem, self._buttons(), self._history):
            self._layout.addWidget(part)

    def show_detail(self, detail: Detail) -> None:
        """State and history of this finding; each finding keeps its own unfinished note."""
        if detail.finding is None:
            return
        if self._finding is not None and self._finding.fingerprint != detail.finding.fingerprint:
            self._problem.hide()
            self._notes[self._finding.fingerprint] = self.note.text()
            self.note.setText(self._notes.pop(detail.finding.fingerprint, ""))
        self._finding = detail.finding
        self._state.show_text(f"State: {detail.finding.triage.value.replace('-', ' ')}")
        self._show_history(detail)

    def accepted(self, fingerprint: str) -> None:
        """The decision is stored: its note is used up."""
        self._notes.pop(fingerprint, None)
        if self._finding is not None and self._finding.fingerprint == fingerprint:
            self.note.clear()

    def show_problem(self, text: str) -> None:
        self._problem.show_text(text)
        self._problem.show()

    def decide(self, state: TriageState) -> None:
        note = self.note.text().strip()
        if self._finding is None:
            return
        if state in NEEDS_NOTE and not note:
            self.show_problem(f"“{state.value.replace('-', ' ')}” needs a note that says why.")
            self.note.setFocus()
            return
        self._problem.hide()
        self.decided.emit(self._finding.fingerprint, state, note)

    def _buttons(self) -> QWidget:
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(theme.gap(0.3))
        for at, (state, text) in enumerate(BUTTONS):
            button = QPushButton(text)
            button.setAccessibleName(f"Triage: {text}")
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, chosen=state: self.decide(chosen))
            grid.addWidget(button, at // 2, at % 2)
        more = QToolButton()
        more.setText("Other…")
        more.setAccessibleName("Triage: other states")
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        more.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        menu = QMenu(more)
        for state, text in FURTHER:
            menu.addAction(text).triggered.connect(lambda _=False, chosen=state: self.decide(chosen))
        more.setMenu(menu)
        grid.addWidget(more, 0, 2, 2, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        return holder

    def _show_history(self, detail: Detail) -> None:
        texts = [
            f"{words.time_text(event.at)}  {event.state.value.replace('-', ' ')} by {event.actor}"
            + (f": {event.note}" if event.note else "")
            for event in reversed(detail.triage)
        ]
        history = stack([Label(text, tone="muted", font=theme.sized(0.92)) for text in texts], spacing=0.15)
        self._layout.replaceWidget(self._history, history)
        self._history.deleteLater()
        self._history = history
        history.setVisible(bool(texts))
