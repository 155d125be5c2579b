"""The filter box: says at every moment whether what stands in it is empty, valid or not, and why."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.feed import QUICK_FILTERS, FilterCheck, check_filter
from dife_gui.views import theme
from dife_gui.views.text import Label
from dife_scanner.sentences.numbers import count

PAUSE_MILLISECONDS = 200
"""How long typing has to rest before the filter is applied: no reading of the store for half a word."""
_TINT = 0.14
"""Share of the state's colour in the ground of the box: seen, and text on it keeps its contrast."""


class _Line(QLineEdit):
    """A line that says when Escape was pressed in it."""

    escaped = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
            return
        super().keyPressEvent(event)


class FilterBox(QWidget):
    """Emits `applied(text)` for valid text only; what is shown stays as it was while the text is invalid."""

    applied = Signal(str)
    left = Signal()
    """Escape or Enter: back to the table."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._applied = ""
        self._check = FilterCheck(True)
        self.line = self._new_line()
        self._count = Label(wrap=False)
        self._count.setAccessibleName("Models shown")
        self._message = Label(tone="alarm", font=theme.sized(0.95))
        self._message.hide()
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MILLISECONDS)
        self._pause.timeout.connect(self._apply)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.25))
        layout.addLayout(self._first_row())
        layout.addWidget(self._message)

    def _new_line(self) -> _Line:
        line = _Line()
        line.setPlaceholderText("Filter, for example  verdict:flagged footprint:textual !channel:image clip")
        line.setAccessibleName("Filter")
        line.setClearButtonEnabled(True)
        line.textChanged.connect(self._typed)
        line.returnPressed.connect(self._enter)
        line.escaped.connect(self.left)
        return line

    def _first_row(self) -> QHBoxLayout:
        """The box, the buttons that write into it, and how many models it lets through."""
        row = QHBoxLayout()
        row.setSpacing(theme.gap(0.4))
        row.addWidget(self.line, 1)
        for name, text in QUICK_FILTERS:
            row.addWidget(self._quick_button(name, text))
        row.addSpacing(theme.gap(0.5))
        row.addWidget(self._count)
        return row

    @property
    def text(self) -> str:
        """The filter in force."""
        return self._applied

    @property
    def state(self) -> str:
        """`empty`, `busy`, `valid` or `invalid`."""
        if not self.line.text().strip():
            return "empty"
        if not self._check.valid:
            return "invalid"
        if self._pause.isActive():
            return "busy"
        return "valid"

    def set_text(self, text: str) -> None:
        """Write and apply at once."""
        self.line.setText(text)
        self._apply()

    def show_count(self, shown: int, total: int) -> None:
        """Say how many of all models the filter lets through."""
        text = count(total, "model")
        if shown != total:
            text = f"{shown:,} of {text}"
        self._count.show_text(text)

    def show_problem(self, message: str) -> None:
        """Say what the store refused although the grammar let it through."""
        self._check = FilterCheck(False, message)
        self._tint()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()

    def _quick_button(self, name: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setText(name)
        button.setAutoRaise(True)
        button.setAccessibleName(f"Filter: {name}")
        button.setToolTip(f"Filter: {text}" if text else "No filter")
        button.clicked.connect(lambda: self.set_text(text))
        return button

    def _typed(self) -> None:
        self._check = check_filter(self.line.text())
        if self._check.valid:
            self._pause.start()
        else:
            self._pause.stop()
        self._tint()

    def _enter(self) -> None:
        self._apply()
        if self._check.valid:
            self.left.emit()

    def _apply(self) -> None:
        self._pause.stop()
        text = self.line.text().strip()
        if self._check.valid and text != self._applied:
            self._applied = text
            self.applied.emit(text)
        self._tint()

    def _tint(self) -> None:
        """Colour the box by its state and show what is wrong with the text."""
        palette = QPalette()
        scheme = theme.colours(palette)
        color = {"invalid": scheme.alarm, "valid": scheme.calm}.get(self.state)
        if color is not None:
            base = theme.base_color(palette)
            palette.setColor(QPalette.ColorRole.Base, theme.mixed(base, color, _TINT))
        with QSignalBlocker(self.line):
            self.line.setPalette(palette)
        self._message.show_text(self._check.message)
        self._message.setVisible(self.state == "invalid")
