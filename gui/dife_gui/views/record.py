"""What an audit did, where it stops, and the hashes that name everything it touched."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractItemView, QGridLayout, QHeaderView, QTableView, QToolButton, QWidget

from dife_gui.feed import Detail
from dife_gui.models.signatures_table import SignaturesTable
from dife_gui.views import theme
from dife_gui.views.card import lines, stack
from dife_gui.views.text import Label
from dife_scanner.records import Audit, HubFile, SignatureResult
from dife_scanner.reports import plain, words

_HASH = re.compile(r"[0-9a-f]{32,}")
MOST_LINES = 12
"""Signatures shown before their table scrolls."""


def copy(value: str) -> None:
    """To the clipboard, without anything that a terminal could take for a command."""
    QGuiApplication.clipboard().setText(plain(value, limit=4000))


class CopyButton(QToolButton):
    """Puts one value on the clipboard."""

    def __init__(self, what: str, value: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = value
        self.setText("Copy")
        self.setAutoRaise(True)
        self.setFont(theme.sized(0.88))
        self.setAccessibleName(f"Copy {what}")
        self.setToolTip(f"Copy {what}")
        self.clicked.connect(lambda: copy(self._value))


def identifiers(detail: Detail) -> list[tuple[str, str]]:
    """Name and value of everything worth copying, most wanted first; values may be hostile text."""
    job, found, audit = detail.row.job, detail.finding, detail.audit
    named = [("model", f"{job.ref.repo_id}@{job.ref.revision}" if not job.ref.local else job.ref.repo_id)]
    if found is not None:
        named.append(("finding", found.fingerprint))
    if audit is not None:
        named += [("audit", audit.id), ("identity", audit.identity)]
        named += [("image tower", audit.image_tower), ("text tower", audit.text_tower)]
    if detail.manifest is not None:
        named += [(f"file {file.path}", hash) for file in detail.manifest.files if (hash := _hash(file))]
    pictures = {picture.sha256: picture.role for picture in reversed(detail.pictures)}
    named += [(f"evidence {role}", sha256) for sha256, role in reversed(pictures.items())]
    return [(name, value) for name, value in named if value]


def _hash(file: HubFile) -> str:
    return file.sha256 or file.git_oid or ""


def hashes(detail: Detail) -> QWidget:
    """Every identifier in full, selectable, with its copy button."""
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(theme.gap(0.6))
    grid.setVerticalSpacing(theme.gap(0.1))
    grid.setColumnStretch(2, 1)
    for line, (name, value) in enumerate(identifiers(detail)):
        short = plain(name, limit=48)
        grid.addWidget(Label(short, tone="muted", wrap=False), line, 0)
        grid.addWidget(CopyButton(short, value), line, 1)
        shown = Label(_breakable(value), font=theme.monospace(0.88))
        shown.setAccessibleName(plain(f"{name} {value}"))
        grid.addWidget(shown, line, 2)
    return stack([holder, *_origin(detail)], spacing=0.5)


def _breakable(value: str) -> str:
    """Long words in groups, so that a narrow window can break the line; copying gives the value itself."""
    group = 16 if _HASH.fullmatch(value) else 32
    return " ".join(value[at : at + group] for at in range(0, len(value), group))


def _origin(detail: Detail) -> list[QWidget]:
    audit, manifest = detail.audit, detail.manifest
    facts: list[str] = []
    if audit is not None:
        facts.append(f"Architecture {audit.architecture}; reference {audit.reference or 'none fitted'}")
        facts.append(", ".join(f"{name.capitalize()} tower {stand}" for name, stand in words.towers(audit)))
        facts.append(f"Versions: {', '.join(f'{name} {version}' for name, version in sorted(audit.versions.items()))}")
    if manifest is not None:
        facts.append(f"Layout {manifest.layout.value}, {words.bytes_text(manifest.bytes_to_fetch)} to fetch")
        if manifest.base_claim:
            facts.append(f"Its card claims it was made from {manifest.base_claim}; not verified")
    return [lines(facts)] if facts else []


def signatures(results: Sequence[SignatureResult]) -> QWidget | None:
    """Every hypothesis tried, with its p-values; `None` where none was."""
    if not results:
        return None
    table = QTableView()
    table.setModel(SignaturesTable(results, table))
    table.setAccessibleName("Hypotheses tried")
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setFrameShape(QTableView.Shape.NoFrame)
    table.verticalHeader().hide()
    height = round(theme.em(table) * 1.6)
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.verticalHeader().setDefaultSectionSize(height)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setAccessibleName("Columns of the signatures table")
    header.setStretchLastSection(False)
    table.resizeColumnsToContents()
    header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    header.setMinimumSectionSize(round(3 * theme.em(table)))
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    shown = min(len(results), MOST_LINES)
    table.setFixedHeight(height * shown + header.sizeHint().height() + theme.gap(0.3))
    return table


def budget(audit: Audit) -> QWidget:
    """What was spent, what was found out about clean use, and what would have been missed."""
    first, *rest = words.budget_lines(audit)
    return stack([Label(first), lines(rest), Label(words.accuracy_text(audit), tone="muted")], spacing=0.2)
