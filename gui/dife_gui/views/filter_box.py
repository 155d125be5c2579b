"""The filter bar: says at every moment whether the filter is empty, looked for, valid, off or wrong, and why."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.feed import QUICK_FILTERS, FilterCheck, check_filter
from dife_gui.views import theme
from dife_gui.views.filter_line import FilterLine
from dife_gui.views.text import Elided, Label
from dife_scanner.sentences.numbers import count

PAUSE_MILLISECONDS = 10
"""How long typing has to rest before the filter is applied. A reading for half a word is broken off by the next."""
USED_MILLISECONDS = 3000
"""How long a filter stands before it counts as used, where nobody pressed Enter."""
_TINT = 0.14
"""Share of the state's colour in the ground of the box: seen, and text on it keeps its contrast."""


class FilterBox(QWidget):
    """Emits `applied(text)` for valid text only; what is shown stays as it was while the text is invalid."""

    applied = Signal(str)
    used = Signal(str)
    """A filter that is worth remembering."""
    left = Signal()
    """Escape or Enter: back to the table."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._applied = ""
        self._busy = False
        self._check = FilterCheck(True)
        self.line = self._new_line()
        self.on = _on_button()
        self.on.toggled.connect(lambda _: self._apply())
        self._progress = _progress()
        self._count = Label(wrap=False)
        self._count.setAccessibleName("Models shown")
        self._why = Elided(tone="muted", font=theme.sized(0.92))
        self._why.setAccessibleName("Why the selected model matches")
        self._message = Label(tone="alarm", font=theme.sized(0.95))
        self._message.setAccessibleName("What is wrong with the filter")
        self._message.hide()
        self._pause = self._timer(PAUSE_MILLISECONDS, self._apply)
        self._stands = self._timer(USED_MILLISECONDS, self._note_used)
        self.tools = QHBoxLayout()
        """Where others put buttons that belong to the list."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.25))
        layout.addLayout(self._first_row())
        layout.addWidget(self._message)
        layout.addLayout(self._second_row())

    def _timer(self, milliseconds: int, then: object) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(then)
        return timer

    def _new_line(self) -> FilterLine:
        line = FilterLine()
        line.setPlaceholderText(
            "Filter, for example  verdict:flagged (footprint:textual | exposure>0.5) !channel:image clip"
        )
        line.setAccessibleName("Filter")
        line.setToolTip("Ctrl+Space: what could stand here. Up, Down: filters used before")
        line.setClearButtonEnabled(True)
        line.textChanged.connect(self._typed)
        line.returnPressed.connect(self._enter)
        line.escaped.connect(self.left)
        return line

    def _first_row(self) -> QHBoxLayout:
        """The line, its switch, and how many models it lets through."""
        row = QHBoxLayout()
        row.setSpacing(theme.gap(0.4))
        row.addWidget(self.line, 1)
        row.addWidget(self.on)
        row.addSpacing(theme.gap(0.3))
        row.addWidget(self._progress)
        row.addWidget(self._count)
        return row

    def _second_row(self) -> QHBoxLayout:
        """Buttons that write into the line, those of the list, and why the selected model matches."""
        row = QHBoxLayout()
        row.setSpacing(theme.gap(0.2))
        for name, text in QUICK_FILTERS:
            row.addWidget(self._quick_button(name, text))
        row.addLayout(self.tools)
        row.addSpacing(theme.gap(0.8))
        row.addWidget(self._why, 1)
        return row

    @property
    def text(self) -> str:
        """The filter in force."""
        return self._applied

    @property
    def written(self) -> str:
        """What stands in the line, in force or not."""
        return self.line.text().strip()

    @property
    def kept(self) -> str:
        """What a later start begins with: what is written, or the filter in force where that cannot be read."""
        return self.written if self._check.valid else self._applied

    @property
    def state(self) -> str:
        """`empty`, `invalid`, `off`, `busy` or `valid`."""
        if not self._check.valid:
            return "invalid"
        if self._busy or self._pause.isActive():
            return "busy"
        if not self.written:
            return "empty"
        return "valid" if self.on.isChecked() else "off"

    def set_text(self, text: str) -> None:
        """Write, switch on and apply at once."""
        self.on.setChecked(True)
        self.line.setText(text)
        self._apply()

    def restore(self, text: str, *, on: bool) -> None:
        """Write as it was, in force or not."""
        self.on.setChecked(on)
        self.line.setText(text)
        self._apply()

    def switch(self) -> None:
        """Off, or on again."""
        self.on.toggle()

    def show_busy(self, busy: bool) -> None:
        """Say whether an answer is still being looked for."""
        self._busy = busy
        self._progress.setVisible(busy)
        if busy:
            self._count.show_text("still looking…")
        self._tint()

    def show_count(self, shown: int, total: int, *, whole: bool = True) -> None:
        """Say how many of all models the filter lets through, or how many were found so far."""
        text = count(total, "model")
        if not whole:
            text = f"{shown:,} and more, still looking…"
        elif self.written and not self.on.isChecked():
            text = f"{text}, filter off"
        elif self._applied:
            text = f"{shown:,} of {text}"
        self._count.show_text(text)

    def show_why(self, reasons: Sequence[str]) -> None:
        """Say by which terms the selected model is in the list."""
        text = "  ·  ".join(reasons)
        self._why.show_text(f"Selected model matches by  {text}" if reasons else "")

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
        self._stands.stop()
        if self._check.valid:
            self._pause.start()
        else:
            self._pause.stop()
        self._tint()

    def _enter(self) -> None:
        self._apply()
        if self._check.valid:
            self._note_used()
            self.left.emit()

    def _note_used(self) -> None:
        self._stands.stop()
        if self.written and self._check.valid:
            self.used.emit(self.written)

    def _apply(self) -> None:
        self._pause.stop()
        is_on = self.on.isChecked()
        text = self.written if is_on else ""
        if (self._check.valid or not is_on) and text != self._applied:
            self._applied = text
            self._stands.start()
            self.applied.emit(text)
        self._tint()

    def _tint(self) -> None:
        """Colour the box by its state and show what is wrong with the text."""
        state = self.state
        palette = QPalette()
        scheme = theme.colours(palette)
        color = {"invalid": scheme.alarm, "valid": scheme.calm}.get(state)
        if color is not None:
            base = theme.base_color(palette)
            palette.setColor(QPalette.ColorRole.Base, theme.mixed(base, color, _TINT))
        if state == "off":
            palette.setColor(QPalette.ColorRole.Text, theme.muted(palette))
        with QSignalBlocker(self.line):
            self.line.setPalette(palette)
            self.line.mark(self._check.column if state == "invalid" else 0)
        self._message.show_text(self._problem())
        self._message.setVisible(state == "invalid")

    def _problem(self) -> str:
        """What is wrong with the text, and what is listed in spite of it."""
        if self._check.valid or self.written == self._applied:
            return self._check.message
        listed = f"what {self._applied} lets through" if self._applied else "all models"
        return f"{self._check.message} Still listed: {listed}."


def _on_button() -> QToolButton:
    button = QToolButton()
    button.setText("Filter on")
    button.setCheckable(True)
    button.setChecked(True)
    button.setAccessibleName("Filter on")
    button.setToolTip("Switch the filter off and on (x)")
    button.toggled.connect(lambda on: button.setText("Filter on" if on else "Filter off"))
    return button


def _progress() -> QProgressBar:
    bar = QProgressBar()
    bar.setRange(0, 0)
    bar.setTextVisible(False)
    bar.setFixedWidth(theme.gap(3))
    bar.setFixedHeight(theme.gap(0.5))
    bar.setAccessibleName("Still looking")
    bar.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    bar.hide()
    return bar
