"""The line that a filter is typed into: candidates at the cursor, filters used before, a mark where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, QStringListModel, Qt, Signal
from PySide6.QtGui import QColor, QInputMethodEvent, QKeyEvent, QTextCharFormat
from PySide6.QtWidgets import QCompleter, QLineEdit, QListView, QWidget

from dife_gui.feed import completions

_LEAVES_TO_POPUP = (
    *(Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape),
    *(Qt.Key.Key_Tab, Qt.Key.Key_Backtab),
)
_MOST_SHOWN = 12


class FilterLine(QLineEdit):
    """Says when Escape was pressed in it; Up and Down go through filters used before."""

    escaped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before: Sequence[str] = ()
        """Filters used before, the latest first."""
        self._place = -1
        """Which of them is shown; -1 for what was typed."""
        self._typed = ""
        self._start = 0
        """Where the piece begins that a candidate replaces."""
        self._candidates = QStringListModel(self)
        self._completer = QCompleter(self._candidates, self)
        self._completer.setWidget(self)
        self._completer.setMaxVisibleItems(_MOST_SHOWN)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._popup = QListView()
        self._popup.setAccessibleName("Candidates for the filter")
        self._completer.setPopup(self._popup)
        self._completer.activated.connect(self.accept)
        self.textEdited.connect(self._edited)

    def set_before(self, filters: Sequence[str]) -> None:
        """The filters that Up and Down go through."""
        self._before = filters
        self._place = -1

    @property
    def candidates(self) -> list[str]:
        """What is offered at the cursor; empty while nothing is."""
        return self._candidates.stringList() if self._popup.isVisible() else []

    def offer(self) -> None:
        """Show what could stand at the cursor."""
        found = completions(self.text(), self.cursorPosition())
        piece = self.text()[found.start : self.cursorPosition()]
        offered = [one for one in found.candidates if one != piece]
        self._start = found.start
        self._candidates.setStringList(offered)
        popup = self._popup
        if not offered or not self.hasFocus():
            popup.hide()
            return
        place = self.cursorRect()
        place.setWidth(
            popup.sizeHintForColumn(0) + popup.verticalScrollBar().sizeHint().width() * 2
        )
        self._completer.complete(place)

    def accept(self, candidate: str) -> None:
        """Put a candidate in the place of the piece at the cursor."""
        end = self.cursorPosition()
        text = self.text()
        self.setText(text[: self._start] + candidate + text[end:])
        self.setCursorPosition(self._start + len(candidate))
        if candidate.endswith((":", ">")):
            self.offer()

    def mark(self, column: int) -> None:
        """Underline what stands from a column on, counted from 1; 0 takes the mark away."""
        attributes = []
        if column and self.text():
            start = min(column, len(self.text())) - 1
            form = QTextCharFormat()
            form.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            form.setUnderlineColor(QColor("red"))
            form.setFontUnderline(True)
            kind = QInputMethodEvent.AttributeType.TextFormat
            length = len(self.text()) - start
            attributes.append(
                QInputMethodEvent.Attribute(kind, start - self.cursorPosition(), length, form)
            )
        # the only way to give a part of such a line a format of its own
        QCoreApplication.sendEvent(self, QInputMethodEvent("", attributes))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if self._popup.isVisible() and key in _LEAVES_TO_POPUP:
            event.ignore()
        elif key == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif key == Qt.Key.Key_Up:
            self._walk(1)
        elif key == Qt.Key.Key_Down:
            self._walk(-1)
        elif key == Qt.Key.Key_Space and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.offer()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        tab = event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent)
        if tab and event.key() == Qt.Key.Key_Tab and self.candidates:  # type: ignore[attr-defined]
            chosen = self._popup.currentIndex().data()
            self._popup.hide()
            self.accept(chosen or self._candidates.stringList()[0])
            return True
        return super().event(event)

    def _edited(self) -> None:
        self._place = -1
        self.offer()

    def _walk(self, step: int) -> None:
        """To an older filter, or back to a newer one and at last to what was typed."""
        place = min(max(self._place + step, -1), len(self._before) - 1)
        if place == self._place:
            return
        if self._place == -1:
            self._typed = self.text()
        self._place = place
        self.setText(self._typed if place == -1 else self._before[place])
