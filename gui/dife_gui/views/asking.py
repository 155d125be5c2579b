"""Asks once before many findings are decided about, and stays until that is stored."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from dife_gui.background import Background
from dife_gui.deciding import Deciding, Subject, Wish
from dife_gui.escape import explained
from dife_gui.views.bulk import BulkDialog
from dife_scanner.errors import DifeError
from dife_scanner.records import TriageState
from dife_scanner.store.db import Store

Read = Callable[[Store], Subject]


class Asking(QObject):
    """One dialog at a time over a window."""

    said = Signal(str)
    """Why nothing could be asked."""
    kept = Signal()
    """What was asked about is stored."""
    closed = Signal()

    def __init__(self, background: Background, deciding: Deciding, window: QWidget) -> None:
        super().__init__(window)
        self._background = background
        self._deciding = deciding
        self._window = window
        self._read: Read | None = None
        """Reads what the dialog is about."""
        self.dialog: BulkDialog | None = None
        deciding.kept.connect(self._stored)
        deciding.refused.connect(self._refused)

    def ask(self, read: Read, state: TriageState | None = None) -> None:
        """Open the dialog about what `read` finds; `state`: what it proposes."""
        if self.dialog is None:
            self._read = read
            self._background.read(
                read,
                lambda subject: self._open(subject, state),
                lambda error: self.said.emit(explained(error)),
            )

    def _open(self, subject: Subject, state: TriageState | None) -> None:
        if self.dialog is not None:
            return
        self.dialog = BulkDialog(subject, state, self._window)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.wished.connect(self._deciding.keep)
        self.dialog.finished.connect(lambda _: self._close())
        self.dialog.open()

    def _close(self) -> None:
        self.dialog = None
        self.closed.emit()

    def _stored(self, _: Wish) -> None:
        if self.dialog is not None:
            self.dialog.accept()
            self.kept.emit()

    def _refused(self, _: Wish, error: DifeError) -> None:
        """Say why, and show how the findings stand now."""
        if self.dialog is None or self._read is None:
            return
        self.dialog.show_problem(explained(error))
        self._background.read(self._read, self._show, lambda _: None)

    def _show(self, subject: Subject) -> None:
        if self.dialog is not None:
            self.dialog.show_subject(subject)
