"""Qt's view of the hypotheses one audit tried; fixed once made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from dife_gui.escape import tooltip
from dife_scanner.records import SignatureResult
from dife_scanner.reports import plain, trigger_words, words

Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_Role = Qt.ItemDataRole

COLUMNS: tuple[tuple[str, Callable[[SignatureResult], str], str], ...] = (
    ("Hypothesis", lambda r: r.trigger.name, "Name of the trigger"),
    ("Origin", lambda r: r.origin.value, "Named by somebody, from the library, or discovered in this checkpoint"),
    ("Trigger", lambda r: trigger_words.trigger_text(r.trigger), "What was applied"),
    (
        "Effect",
        lambda r: trigger_words.effect_text(r.trigger.source, r.trigger.target),
        "Chosen on train drawings",
    ),
    ("Train", lambda r: words.signed(r.train_effect), "Suspect minus reference on the train drawings"),
    ("Held out: suspect", lambda r: _measured(r.suspect, "screened out"), "On drawings never searched"),
    ("Reference", lambda r: _measured(r.reference, "–"), "The reference on the same drawings"),
    ("p", lambda r: _p(r, r.p_value), "Exact one-sided sign-flip test over drawings"),
    ("Holm p", lambda r: _p(r, r.p_holm), "Corrected for every hypothesis tried"),
    ("Drawings", lambda r: str(r.drawings) if r.suspect is not None else "–", "Distinct drawings behind the test"),
)
NUMERIC = range(4, 10)


def _measured(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else words.number(value)


def _p(result: SignatureResult, value: float) -> str:
    return "–" if result.suspect is None else words.p_text(value)


def _strength(result: SignatureResult) -> tuple[bool, float, float, float, str]:
    return result.suspect is None, result.p_holm, result.p_value, -result.train_effect, result.trigger.name


class SignaturesTable(QAbstractTableModel):
    """Strongest evidence first; screened-out hypotheses stay listed, with dashes and never with a zero."""

    def __init__(self, results: Sequence[SignatureResult], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._results = sorted(results, key=_strength)

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._results)

    def columnCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid():
            return None
        title, text, _ = COLUMNS[index.column()]
        shown = text(self._results[index.row()])
        if role == _Role.DisplayRole:
            return plain(shown)
        if role == _Role.ToolTipRole:
            return tooltip(shown)
        if role == _Role.AccessibleTextRole:
            return plain(f"{title}: {shown}")
        if role == _Role.TextAlignmentRole and index.column() in NUMERIC:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        if role == _Role.DisplayRole:
            return COLUMNS[section][0]
        if role == _Role.ToolTipRole:
            return tooltip(COLUMNS[section][2])
        if role == _Role.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section in NUMERIC else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None
