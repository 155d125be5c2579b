"""The filter box: says at every moment whether what stands in it is empty, valid or not, and why."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from dife_gui.feed import QUICK_FILTERS, FilterCheck, check_filter
from dife_gui.views import theme
from dife_gui.views.text import Label
from dife_scanner.reports import words

PAUSE_MILLISECONDS = 200
"""How long typing has to rest before the filter is applied."""


class _Line(QLineEdit):
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
        self.line = _Line()
        self.line.setPlaceholderText("Filter, for example  verdict:flagged footprint:textual !channel:image clip")
        self.line.setAccessibleName("Filter")
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(self._typed)
        self.line.returnPressed.connect(self._enter)
        self.line.escaped.connect(self.left)
        self._count = Label(wrap=False)
        self._count.setAccessibleName("Models shown")
        self._message = Label(tone="alarm", font=theme.sized(0.95))
        self._message.hide()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(PAUSE_MILLISECONDS)
        self._rest.timeout.connect(self._apply)
        top = QHBoxLayout()
        top.setSpacing(theme.gap(0.4))
        top.addWidget(self.line, 1)
        for name, text in QUICK_FILTERS:
            top.addWidget(self._quick(name, text))
        top.addSpacing(theme.gap(0.5))
        top.addWidget(self._count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.25))
        layout.addLayout(top)
        layout.addWidget(self._message)

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
        return "busy" if self._rest.isActive() else "valid"

    def set_text(self, text: str) -> None:
        """Write and apply at once."""
        self.line.setText(text)
        self._apply()

    def show_count(self, shown: int, total: int) -> None:
        whole = words.count(total, "model")
        self._count.show_text(whole if shown == total else f"{shown:,} of {whole}")

    def show_problem(self, message: str) -> None:
        """The store refused what the grammar let through."""
        self._check = FilterCheck(False, message)
        self._tint()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()

    def _quick(self, name: str, text: str) -> QToolButton:
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
            self._rest.start()
        else:
            self._rest.stop()
        self._tint()

    def _enter(self) -> None:
        self._apply()
        if self._check.valid:
            self.left.emit()

    def _apply(self) -> None:
        self._rest.stop()
        text = self.line.text().strip()
        if self._check.valid and text != self._applied:
            self._applied = text
            self.applied.emit(text)
        self._tint()

    def _tint(self) -> None:
        with QSignalBlocker(self.line):
            palette = QPalette()
            base, scheme = palette.color(QPalette.ColorRole.Base), theme.colours(palette)
            ground = {"invalid": scheme.alarm, "valid": scheme.calm}.get(self.state)
            if ground is not None:
                palette.setColor(QPalette.ColorRole.Base, theme.mixed(base, ground, 0.14))
            self.line.setPalette(palette)
        self._message.show_text(self._check.message)
        self._message.setVisible(self.state == "invalid")
