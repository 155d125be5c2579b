"""The command palette: everything the window can do, found by typing a part of its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QVBoxLayout, QWidget

from dife_gui.views import theme
from dife_scanner.sentences import plain

_WIDTH, _HEIGHT = 38, 26
"""In lines of text."""
_MOST_CHARACTERS = 200
_MOVES = {
    Qt.Key.Key_Up: -1,
    Qt.Key.Key_Down: 1,
    Qt.Key.Key_PageUp: -10,
    Qt.Key.Key_PageDown: 10,
}


@dataclass(frozen=True)
class Command:
    """Something that can be done."""

    text: str
    run: Callable[[], object]
    key: str = ""
    """The key that does the same."""

    @property
    def shown(self) -> str:
        """On one line."""
        text = plain(self.text, limit=_MOST_CHARACTERS)
        return f"{text}   {self.key}" if self.key else text


class Palette(QDialog):
    """Emits `chosen` with a `Command` and closes; Escape closes it."""

    chosen = Signal(object)

    def __init__(self, commands: Sequence[Command], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Commands")
        self.setAccessibleName("Commands")
        self._commands = commands
        self._fitting: list[Command] = []
        self.line = QLineEdit()
        self.line.setPlaceholderText("What do you want to do?")
        self.line.setAccessibleName("Part of a command")
        self.line.textChanged.connect(self._narrow)
        self.line.returnPressed.connect(self._run)
        self.line.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Commands that fit")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemClicked.connect(lambda _: self._run())
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.5))
        layout.addWidget(self.line)
        layout.addWidget(self.list, 1)
        self.resize(round(_WIDTH * theme.em(self)), round(_HEIGHT * theme.em(self)))
        self._narrow("")

    def _narrow(self, text: str) -> None:
        """Offer what has every word that was typed."""
        words = text.lower().split()
        self._fitting = []
        for command in self._commands:
            if all(word in command.shown.lower() for word in words):
                self._fitting.append(command)
        self.list.clear()
        self.list.addItems([command.shown for command in self._fitting])
        self.list.setCurrentRow(0)

    def _run(self) -> None:
        at = self.list.currentRow()
        if 0 <= at < len(self._fitting):
            self.accept()
            self.chosen.emit(self._fitting[at])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The keys that move in the list, while the cursor is in the line."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = _MOVES.get(Qt.Key(event.key()))
            if step is not None:
                last = len(self._fitting) - 1
                self.list.setCurrentRow(max(0, min(self.list.currentRow() + step, last)))
                return True
        return super().eventFilter(watched, event)
