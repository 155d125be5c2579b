"""Decide whether checkpoints may be used for a deployment: one or many at once, asked once with their number."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.deploying import Wish, problem_of
from dife_gui.views import theme
from dife_gui.views.card import row
from dife_gui.views.for_deployments import NO_DEPLOYMENT
from dife_gui.views.text import Label
from dife_scanner.records import DecisionState
from dife_scanner.sentences import plain
from dife_scanner.sentences.decisions import (
    found_text,
    passed_text,
    proposal_line,
    stand_text,
    warning_text,
)
from dife_scanner.sentences.numbers import count
from dife_scanner.store.deciding import LONGEST_NAME, LONGEST_TEXT, Asked, Scope

CHOICES: tuple[tuple[str, str], ...] = (
    (DecisionState.APPROVED.value, "Approve"),
    (DecisionState.CONDITIONS.value, "Approve with conditions"),
    (DecisionState.REFUSED.value, "Refuse"),
    (DecisionState.PENDING.value, "Leave open"),
)
AS_BEFORE = ""
"""The choice of what was decided before about what is like them."""
_WIDTH = 46
"""Of the dialog, in lines of text."""
_LISTED = 5
"""Earlier decisions that are named one by one."""
_REASONS = 4
"""Lines below: how many more, and why not for the others."""


class DeploymentDialog(QDialog):
    """Emits `wished`; stays open until that is stored, and says why it is not."""

    wished = Signal(object)
    """A `Wish`."""
    describe = Signal()
    """A deployment is to be described that is not there yet."""
    turned = Signal(str)
    """Another deployment was chosen: how the models stand for that one is to be shown."""

    def __init__(self, scope: Scope, *, take_over: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Decide for a deployment")
        self.setAccessibleName("Decide for a deployment")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._scope = scope
        self._layout = QVBoxLayout(self)
        self._headline = Label(font=theme.sized(1.05, bold=True))
        self._stand = Label(tone="muted")
        self._before = [Label(tone="muted") for _ in range(_LISTED + _REASONS)]
        self._problem = Label(tone="alarm")
        self._problem.hide()
        self.deployment = _choice("Deployment")
        self.deployment.addItems(scope.deployments)
        self.new = QPushButton("Describe a deployment…")
        self.new.setAccessibleName("Describe a deployment")
        self.new.setAutoDefault(False)
        self.new.clicked.connect(lambda _=False: self.describe.emit())
        self.state = _choice("Decision")
        for value, text in CHOICES:
            self.state.addItem(text, value)
        self.state.addItem("", AS_BEFORE)
        self.state.setPlaceholderText("Choose: what is decided?")
        self.state.setCurrentIndex(-1)  # nobody approves a flagged model by pressing Enter
        self.reason = _line("Reason", "Why, in one line; needed", LONGEST_TEXT)
        self.conditions = _line(
            "Conditions", "What has to be kept, e.g. behind a filter", LONGEST_TEXT
        )
        self.owner = _line("Owner", "Who answers for it; empty: whoever decides", LONGEST_NAME)
        self.expires = _line("Counts until", "90d or 2027-01-31; empty: without end", LONGEST_NAME)
        self.despite = QCheckBox("Although somebody refused it")
        self._found = Label()
        self._warning = Label(tone="alarm")
        self.seen = QCheckBox("I have seen that, and approve all the same")
        self.seen.setAccessibleName(self.seen.text())
        self.seen.toggled.connect(lambda _: self._follow())
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self._lay_out()
        self._connect()
        self.show_scope(scope)
        if take_over:
            self.state.setCurrentIndex(self.state.findData(AS_BEFORE))
        self._follow()
        if scope.deployments:
            self.reason.setFocus()
        else:
            self.new.setDefault(True)
            self.new.setFocus()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Deployment", row([self.deployment, self.new]))
        form.addRow("Decision", self.state)
        form.addRow("Reason", self.reason)
        form.addRow("Conditions", self.conditions)
        form.addRow("Owner", self.owner)
        form.addRow("Counts until", self.expires)
        form.addRow("", self.despite)
        layout = self._layout
        layout.setSpacing(theme.gap(0.6))
        for part in (self._headline, self._found, self._stand):
            layout.addWidget(part)
        layout.addLayout(form)
        for below in (*self._before, self._warning, self.seen, self._problem, self.buttons):
            layout.addWidget(below)
        self.setMinimumWidth(round(_WIDTH * theme.em(self)))

    def _connect(self) -> None:
        self.buttons.accepted.connect(self._wish)
        self.buttons.rejected.connect(self.reject)
        self.state.currentIndexChanged.connect(lambda _: self._changed())
        for line in (self.reason, self.conditions, self.owner, self.expires):
            line.textChanged.connect(lambda _: self.show_problem(""))
        self.deployment.currentTextChanged.connect(self._turn)

    def show_scope(self, scope: Scope) -> None:
        """Say what would be decided about, and how it stands."""
        was_described = bool(self._scope.deployments)
        self._scope = scope
        with QSignalBlocker(self.deployment):
            self.deployment.clear()
            self.deployment.addItems(scope.deployments)
            self.deployment.setCurrentText(scope.deployment)
        number = len(scope.subjects)
        self._headline.show_text(_headline(scope))
        self._found.show_text(found_text(scope))
        self._found.setVisible(bool(self._found.text()))
        self.seen.setChecked(False)
        self._stand.show_text(stand_text(scope.deployment, scope.counts))
        taken = f"As before about what is like it ({len(scope.proposals):,} of {number:,})"
        self.state.setItemText(self.state.findData(AS_BEFORE), taken)
        self._follow()
        if scope.deployments and not was_described:
            self.state.setFocus()  # the next thing to be said

    def _changed(self) -> None:
        """Another decision was chosen: what was wrong with the one before is told no longer."""
        self.show_problem("")
        self._follow()

    def offer(self, deployment: str) -> None:
        """Turn to a deployment that was just described."""
        if self.deployment.findText(deployment) < 0:
            self.deployment.addItem(deployment)
        self.deployment.setCurrentText(deployment)

    def show_problem(self, text: str) -> None:
        """Say why nothing was stored."""
        self._problem.show_text(text)
        self._problem.setVisible(bool(text))
        self._fit()

    @property
    def takes_over(self) -> bool:
        """Whether earlier decisions are to be taken over."""
        return bool(self.state.currentData() == AS_BEFORE)

    @property
    def shown_before(self) -> str:
        """What it says of earlier decisions."""
        return " ".join(one.text() for one in self._before if not one.isHidden())

    def _turn(self, deployment: str) -> None:
        """Nothing can be decided before it is shown how the models stand for this one."""
        self._follow()
        self.turned.emit(deployment)

    def _follow(self) -> None:
        """What is taken over has its own reason, owner and end; only one decision has conditions."""
        scope, taken = self._scope, self.takes_over
        is_described = bool(scope.deployments)
        for choice in (self.deployment, self.state):
            choice.setEnabled(is_described)
        for line in (self.reason, self.owner, self.expires):
            line.setEnabled(is_described and not taken)
        self.conditions.setEnabled(self.state.currentData() == DecisionState.CONDITIONS.value)
        opens = (DecisionState.APPROVED.value, DecisionState.CONDITIONS.value)
        self.despite.setEnabled(self.state.currentData() in opens)
        told = [proposal_line(one) for one in scope.proposals[:_LISTED]]
        if len(scope.proposals) > _LISTED:
            told.append(f"and {len(scope.proposals) - _LISTED:,} more")
        told += [passed_text(why, number) for why, number in scope.passed.items()]
        for place, label in enumerate(self._before):
            label.setVisible(taken and place < len(told))
            label.show_text(told[place] if place < len(told) else "")
        number = len(scope.proposals) if taken else len(scope.subjects)
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        what = count(number, "decision") if taken else count(number, "checkpoint")
        ok.setText(f"Take over {what}" if taken else f"Decide about {what}")
        ok.setAccessibleName(ok.text())
        is_read = self.deployment.currentText() == scope.deployment
        is_chosen = self.state.currentIndex() >= 0
        warning = warning_text(scope, self.state.currentData())
        self._warning.show_text(warning)
        for part in (self._warning, self.seen):
            part.setVisible(bool(warning))
        is_meant = not warning or self.seen.isChecked()
        ok.setEnabled(bool(number) and is_read and is_chosen and is_meant)
        self._fit()

    def _fit(self) -> None:
        """As high as all of it takes, whatever is said of earlier decisions."""
        width = max(self.width(), self.minimumWidth())
        self._layout.activate()
        height = self._layout.totalHeightForWidth(width)
        self.setMinimumHeight(height)
        self.resize(width, height)

    def _wish(self) -> None:
        scope = self._scope
        wish = Wish(scope.deployment, scope.subjects, None, scope.proposals)
        if not self.takes_over:
            wish = Wish(scope.deployment, scope.subjects, self._asked())
        problem = problem_of(wish)
        self.show_problem(problem)
        if not problem:
            self.wished.emit(wish)

    def _asked(self) -> Asked:
        state = DecisionState(self.state.currentData())
        has_conditions = state is DecisionState.CONDITIONS
        return Asked(
            state,
            self.reason.text().strip(),
            actor="",
            conditions=self.conditions.text().strip() if has_conditions else "",
            owner=self.owner.text().strip(),
            expires=self.expires.text().strip(),
            despite_refusal=self.despite.isEnabled() and self.despite.isChecked(),
        )


def _headline(scope: Scope) -> str:
    """Of how many models, and that some have no files on record."""
    text = f"{count(len(scope.subjects), 'checkpoint')} of {count(scope.models, 'model')}"
    if not scope.deployments:
        return NO_DEPLOYMENT
    if len(scope.subjects) == 1:
        text = plain(scope.subjects[0].model)
    if not scope.subjects:
        text = (
            "Nothing to decide about: a decision is about files, and none were recorded here, "
            "as of a gated model, or one that was looked at before that was kept"
        )
    return text


def _choice(name: str) -> QComboBox:
    choice = QComboBox()
    choice.setAccessibleName(name)
    return choice


def _line(name: str, hint: str, most: int) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setPlaceholderText(hint)
    line.setMaxLength(most)
    return line
