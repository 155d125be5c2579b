"""The checks that a verdict rests on, as a table: what was measured, what was needed, and what came of it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from dife_gui.models.checks_table import COLUMNS, OUTCOME, ChecksTable
from dife_gui.views import theme
from dife_gui.views.card import stack
from dife_gui.views.text import Label, small
from dife_scanner.records import Audit, CheckOutcome, SignatureResult
from dife_scanner.sentences import plain
from dife_scanner.sentences.checks import NOT_RECORDED, deciding, rows

_RESULT = len(COLUMNS) - 1
"""The column that takes the rest of the width."""


class _ResultStyle(QStyledItemDelegate):
    """The colour of what a check came to; the text says the same."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        scheme = theme.colours(option.palette)
        colors = {
            # The alarm's colour is for what is flagged; a check that failed speaks against a trigger.
            CheckOutcome.FAILED: scheme.caution,
            CheckOutcome.NOT_RUN: scheme.caution,
            CheckOutcome.NOT_APPLICABLE: theme.muted(option.palette),
        }
        color = colors.get(index.data(OUTCOME))
        if color is not None:
            palette = option.palette
            palette.setColor(QPalette.ColorRole.Text, color)
            option.palette = palette


def checks(audit: Audit) -> QWidget | None:
    """The checks of the hypothesis that decided, or of the strongest; `None` where nothing was tried."""
    result = deciding(audit)
    if result is None:
        return None
    if not result.checks:
        return Label(f"Checks of {result.trigger.name}: {NOT_RECORDED}.", tone="muted")
    parts: list[QWidget] = [small(_about(audit, result)), _table(result)]
    if audit.decision is not None and audit.reason:
        parts.append(small(f"The reason in full: {audit.reason}"))
    return stack(parts, spacing=0.3)


def _about(audit: Audit, result: SignatureResult) -> str:
    """Whose checks these are."""
    if audit.trigger is not None or (audit.decision is not None and audit.decision.hypothesis):
        return f"Of {result.trigger.name}, which the verdict is about."
    return f"Of {result.trigger.name}, the strongest of the hypotheses tried."


def _table(result: SignatureResult) -> QTableView:
    table = QTableView()
    table.setModel(ChecksTable(rows(result), table))
    table.setItemDelegate(_ResultStyle(table))
    table.setAccessibleName(plain(f"Checks of {result.trigger.name}"))
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setFrameShape(QTableView.Shape.NoFrame)
    _lay_out(table)
    return table


def _lay_out(table: QTableView) -> None:
    """Columns as wide as their texts, the result as wide as there is room, and all lines in sight."""
    line_height = round(theme.em(table) * 1.5)
    table.verticalHeader().hide()
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.verticalHeader().setDefaultSectionSize(line_height)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setAccessibleName("Columns of the checks table")
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    table.resizeColumnsToContents()
    for column in range(_RESULT):
        table.setColumnWidth(column, table.columnWidth(column) + theme.gap(0.6))
    header.setSectionResizeMode(_RESULT, QHeaderView.ResizeMode.Stretch)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    height = line_height * table.model().rowCount() + header.sizeHint().height()
    table.setFixedHeight(height + theme.gap(0.3))
