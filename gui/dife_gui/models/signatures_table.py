"""Qt's view of the hypotheses one audit tried; fixed once made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QObject,
    Qt,
)

from dife_gui.escape import tooltip
from dife_gui.models.table import FixedTable, Index, alignment
from dife_scanner.records import EmbeddingSpace, Hypothesis
from dife_scanner.sentences import plain
from dife_scanner.sentences.numbers import number, p_text, signed
from dife_scanner.sentences.triggers import effect_text, trigger_text

_Role = Qt.ItemDataRole


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    title: str
    text: Callable[[Hypothesis], str]
    explain: str
    """Shown when the pointer rests on the title."""
    numeric: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("Hypothesis", lambda result: result.trigger.name, "Name of the trigger"),
    Column(
        "Origin",
        lambda result: result.origin.value,
        "Named by somebody, from the library, or discovered in this checkpoint",
    ),
    Column("Trigger", lambda result: trigger_text(result.trigger), "What was applied"),
    Column(
        "Effect",
        lambda result: effect_text(
            result.trigger.source, result.trigger.target, result.trigger.name
        ),
        "Chosen on train drawings",
    ),
    Column(
        "Train",
        lambda result: signed(result.train_effect),
        "Suspect minus reference on the train drawings",
        numeric=True,
    ),
    Column(
        "Held out: suspect",
        lambda result: _measured(_tested(result).suspect, "screened out"),
        "On drawings never searched",
        numeric=True,
    ),
    Column(
        "Reference",
        lambda result: _measured(_tested(result).reference, "–"),
        "The reference on the same drawings",
        numeric=True,
    ),
    Column(
        "p",
        lambda result: _p(result, result.p_value),
        "Exact one-sided sign-flip test over drawings",
        numeric=True,
    ),
    Column(
        "Holm p",
        lambda result: _p(result, result.p_holm),
        "Corrected for every hypothesis tried",
        numeric=True,
    ),
    Column(
        "Drawings",
        lambda result: _drawings(result),
        "Distinct drawings behind the test",
        numeric=True,
    ),
)


def _tested(result: Hypothesis) -> Hypothesis | EmbeddingSpace:
    """What says how it did: itself, or embedding space where no picture shows its target."""
    if result.space is not None:
        return result.space
    return result


def _measured(value: float | None, otherwise: str) -> str:
    if value is None:
        return otherwise
    return number(value)


def _p(result: Hypothesis, value: float) -> str:
    """A p-value; a hypothesis that was screened out on the train drawings was never tested."""
    if result.suspect is None:
        return "–"
    return p_text(value)


def _drawings(result: Hypothesis) -> str:
    if result.suspect is None:
        return "–"
    return str(result.drawings)


def _strength(result: Hypothesis) -> tuple[bool, float, float, float, str]:
    """Sort key: what was tested before what was not, then the smallest p-values, then the largest effect."""
    return (
        result.suspect is None,
        result.p_holm,
        result.p_value,
        -result.train_effect,
        result.trigger.name,
    )


class SignaturesTable(FixedTable[Hypothesis]):
    """Strongest evidence first; screened-out hypotheses stay listed, with dashes and never with a zero."""

    def __init__(self, results: Sequence[Hypothesis], parent: QObject | None = None) -> None:
        super().__init__(COLUMNS, sorted(results, key=_strength), parent)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column = COLUMNS[index.column()]
        shown = column.text(self._rows[index.row()])
        if role == _Role.DisplayRole:
            return plain(shown)
        if role == _Role.ToolTipRole:
            return tooltip(shown)
        if role == _Role.AccessibleTextRole:
            return plain(f"{column.title}: {shown}")
        if role == _Role.TextAlignmentRole and column.numeric:
            return alignment(numeric=True)
        return None
