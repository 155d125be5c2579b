"""The first start: how much of the hub is to be watched and what that takes, or a demo to look at."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6.QtCore import QProcess, Qt, Signal
from PySide6.QtWidgets import QComboBox, QPushButton, QVBoxLayout, QWidget

from dife_gui.views import theme
from dife_gui.views.card import grid, row, stack
from dife_gui.views.text import Label
from dife_gui.watching import dife, scanner
from dife_scanner.records import Scope
from dife_scanner.sentences import plain
from dife_scanner.sentences.numbers import bytes_text, count

SCOPES: tuple[tuple[Scope, str], ...] = (
    (Scope.EVERYTHING, "Everything of the kinds that can be audited"),
    (Scope.FINE_TUNES, "Fine-tunes of the models on our watch-list"),
    (Scope.IN_USE, "Only the models on our watch-list"),
)
BACK_TO = ("30 days", "365 days", "all")
NOT_COUNTED = "Not counted yet; counting fetches no weights"
_WIDTH = 40
_TAKES_LINES = 3.2
"""In lines of text: whatever is counted has room."""
_CLOSING_MILLISECONDS = 2000


class FirstStart(QWidget):
    """Emits `watch` with the options of `dife watch`, and `demo`; counts in a process of its own."""

    watch = Signal(list)
    demo = Signal()

    def __init__(self, home: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._home = home
        self._process: QProcess | None = None
        self.scope = _choice("What to watch")
        for scope, text in SCOPES:
            self.scope.addItem(text, scope.value)
        self.since = _choice("Go back")
        self.since.addItems(BACK_TO)
        self.takes = Label(NOT_COUNTED, tone="muted")
        self.takes.setAccessibleName("What it takes")
        self.count = _button("Count")
        self.start = _button("Start watcher")
        self.look = _button("Show the demo")
        self.look.setToolTip(
            "A hub and models of its own, on this machine; nothing here changes. Takes minutes"
        )
        self._lay_out()
        for choice in (self.scope, self.since):
            choice.currentIndexChanged.connect(lambda _: self._turned())
        self.count.clicked.connect(lambda _=False: self._count())
        self.start.clicked.connect(lambda _=False: self.watch.emit(self.options()))
        self.look.clicked.connect(lambda _=False: self.demo.emit())

    def _lay_out(self) -> None:
        form, table = grid(across=0.6, down=0.4)
        for line, (text, choice) in enumerate((("Watch", self.scope), ("Go back", self.since))):
            table.addWidget(Label(text, wrap=False), line, 0)
            table.addWidget(choice, line, 1)
        table.addWidget(Label("Takes", wrap=False), 2, 0, Qt.AlignmentFlag.AlignTop)
        table.addWidget(self.takes, 2, 1)
        buttons = row([self.count, self.start, self.look])
        table.setColumnStretch(1, 1)
        self.takes.setMinimumHeight(round(_TAKES_LINES * theme.em(self)))
        self.takes.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setMinimumWidth(round(_WIDTH * theme.em(self)))
        layout = QVBoxLayout(self)
        layout.addWidget(stack([form, buttons], spacing=0.6))
        self.setAccessibleName("First start")

    def options(self) -> list[str]:
        """What was chosen, as options of `dife watch`."""
        since = self.since.currentText()
        return ["--scope", str(self.scope.currentData()), "--since", since]

    def close_process(self) -> None:
        """Break off what is being counted."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.waitForFinished(_CLOSING_MILLISECONDS)

    def _turned(self) -> None:
        """What was counted before is about something else."""
        self.close_process()
        self.count.setEnabled(True)
        self.takes.show_text(NOT_COUNTED)

    def _count(self) -> None:
        program = scanner()
        if program is None:
            self.takes.show_text("No scanner is installed here: pipx install dife-scanner")
            return
        process = dife(self._home, ["--json", "watch", "--plan", *self.options()], program, self)
        self._process = process
        self.count.setEnabled(False)
        self.takes.show_text("Counting…")
        process.finished.connect(lambda code, _: self._counted(process, code))
        process.start()

    def _counted(self, process: QProcess, code: int) -> None:
        if self._process is not process:
            return  # something else was chosen, or the window is closing
        self._process = None
        self.count.setEnabled(True)
        told = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
        found = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        process.deleteLater()
        self.takes.show_text(plain(told, 400) if code else takes_text(found))


def takes_text(document: str) -> str:
    """What a plan says, in words: `about 1,200 models, 700 GB to fetch, about 40 hours of audits here`."""
    try:
        plan = json.loads(document)
        about = "" if plan["exact"] else "about "
        return (
            f"{about}{count(int(plan['models']), 'model')}, {bytes_text(int(plan['bytes']))} to fetch, "
            f"about {_time_text(float(plan['hours']))} the first time"
        )
    except (ValueError, KeyError, TypeError):
        return "The scanner's answer cannot be read; `dife watch --plan` says the same"


def _time_text(hours: float) -> str:
    """`41.5 hours`, and minutes where it is less than one."""
    if hours < 1:
        return count(max(1, round(60 * hours)), "minute")
    return f"{hours:,.1f} hours"


def _choice(name: str) -> QComboBox:
    choice = QComboBox()
    choice.setAccessibleName(name)
    return choice


def _button(text: str) -> QPushButton:
    button = QPushButton(text)
    button.setAccessibleName(text)
    button.setAutoDefault(False)
    return button
