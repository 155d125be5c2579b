"""Two models side by side on the same lines."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from dife_gui.background import Background
from dife_gui.escape import explained
from dife_gui.models.compare_table import CompareTable
from dife_gui.views import theme
from dife_gui.views.text import Label
from dife_scanner.errors import NotFound
from dife_scanner.records import Audit
from dife_scanner.sentences.compare import HOW, compare
from dife_scanner.store import audits, models
from dife_scanner.store.db import Store

_WIDTH, _HEIGHT = 72, 46
"""In lines of text."""
_MARK_WIDTH, _WHAT_WIDTH = 2.2, 18


class Comparing(QObject):
    """Reads two audits and shows them over a window."""

    said = Signal(str)
    """Why they cannot be compared."""

    def __init__(self, background: Background, window: QWidget) -> None:
        super().__init__(window)
        self._background = background
        self._window = window

    def show(self, left: int, right: int) -> None:
        """The models of two jobs, once they are read."""
        self._background.read(
            lambda store: (_audit(store, left), _audit(store, right)),
            self._open,
            lambda error: self.said.emit(explained(error)),
        )

    def _open(self, found: tuple[Audit, Audit]) -> None:
        dialog = CompareDialog(*found, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()


def _audit(store: Store, job: int) -> Audit:
    row = models.model_row(store, job)
    if row.job.audit_id is None:
        raise NotFound(f"{row.job.ref.repo_id} has no audit to compare", "mark another one")
    return audits.audit(store, row.job.audit_id)


class CompareDialog(QDialog):
    """What differs is marked and bold; one table for both, so that like stands beside like."""

    def __init__(self, left: Audit, right: Audit, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare")
        self.setAccessibleName("Compare two models")
        self.table = CompareTable(str(left.ref), str(right.ref), compare(left, right), self)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.6))
        layout.addWidget(self._view(), 1)
        layout.addWidget(Label(HOW, tone="muted"))
        layout.addWidget(buttons)
        unit = theme.em(self)
        room = self.screen().availableGeometry()
        width = min(round(_WIDTH * unit), round(0.95 * room.width()))
        self.resize(width, min(round(_HEIGHT * unit), round(0.9 * room.height())))

    def _view(self) -> QTableView:
        view = QTableView()
        view.setAccessibleName("Two models side by side")
        view.setModel(self.table)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        view.setTabKeyNavigation(False)
        view.setFrameShape(QTableView.Shape.NoFrame)
        unit = theme.em(view)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(round(unit * 1.6))
        header = view.horizontalHeader()
        header.setAccessibleName("The two models")
        header.setHighlightSections(False)
        view.setColumnWidth(0, round(_MARK_WIDTH * unit))
        view.setColumnWidth(1, round(_WHAT_WIDTH * unit))
        for column in (2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        return view
