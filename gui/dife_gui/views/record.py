"""What an audit did, where it stops, and the hashes that name everything it touched."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableView,
    QToolButton,
    QWidget,
)

from dife_gui.feed import Detail, Picture
from dife_gui.models.signatures_table import SignaturesTable
from dife_gui.views import theme
from dife_gui.views.card import grid, lines, stack
from dife_gui.views.text import SMALL, Label
from dife_scanner.records import Audit, FindingKind, HubFile, Hypothesis, ModelRef
from dife_scanner.sentences import plain
from dife_scanner.sentences.audits import accuracy_text, towers
from dife_scanner.sentences.movement import movement_text, revision_text
from dife_scanner.sentences.numbers import bytes_text, capital
from dife_scanner.sentences.opinions import opinion_lines
from dife_scanner.sentences.recognition import recognition_text
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.sentences.settings import deviation_lines
from dife_scanner.sentences.tokenizers import tokenizer_lines

_HASH = re.compile(r"[0-9a-f]{32,}")
MOST_LINES = 12
"""Signatures shown before their table scrolls."""
_HASH_GROUP = 16
_LINE = 1000
"""Characters of a line about a revision."""
NO_OPINION = "Second opinions on the files: no other scanner was asked"
_WORD_GROUP = 32
"""Characters after which a long word may be broken."""


def copy(value: str) -> None:
    """Put `value` on the clipboard, without anything that a terminal could take for a command."""
    QGuiApplication.clipboard().setText(plain(value, limit=4000))


class CopyButton(QToolButton):
    """Puts one value on the clipboard."""

    def __init__(
        self,
        what: str,
        value: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._value = value
        self.setText("Copy")
        self.setAutoRaise(True)
        self.setFont(theme.sized(SMALL))
        self.setAccessibleName(f"Copy {what}")
        self.setToolTip(f"Copy {what}")
        self.clicked.connect(lambda: copy(self._value))


def identifiers(detail: Detail) -> list[tuple[str, str]]:
    """Name and value of everything worth copying, most wanted first; values may be hostile text."""
    audit = detail.audit
    named = [("model", _full_name(detail.row.job.ref))]
    if detail.finding is not None:
        named.append(("finding", detail.finding.fingerprint))
    if audit is not None:
        named.append(("audit", audit.id))
        named.append(("command that makes it again", f"dife rerun {audit.id}"))
        named.append(("identity", audit.identity))
        named.append(("image tower", audit.image_tower))
        named.append(("text tower", audit.text_tower))
    if detail.manifest is not None:
        for file in detail.manifest.files:
            named.append((f"file {file.path}", _hash(file)))
    for sha256, role in _evidence_roles(detail.pictures).items():
        named.append((f"evidence {role}", sha256))
    return [(name, value) for name, value in named if value]


def _full_name(ref: ModelRef) -> str:
    """What `dife scan` takes; the revision of a folder is only ours."""
    if ref.local:
        return ref.repo_id
    return f"{ref.repo_id}@{ref.revision}"


def _evidence_roles(pictures: Sequence[Picture]) -> dict[str, str]:
    """Role of each evidence file by its hash; the first role of a file that has several."""
    roles: dict[str, str] = {}
    for picture in pictures:
        roles.setdefault(picture.sha256, picture.role)
    return roles


def _hash(file: HubFile) -> str:
    return file.sha256 or file.git_oid or ""


def hashes(detail: Detail) -> QWidget:
    """Every identifier in full, selectable, with its copy button."""
    holder, table = grid(across=0.6, down=0.1)
    table.setColumnStretch(2, 1)
    for line, (name, value) in enumerate(identifiers(detail)):
        short = plain(name, limit=48)
        title = Label(short, tone="muted", wrap=False)
        table.addWidget(title, line, 0)
        table.addWidget(CopyButton(short, value), line, 1)
        shown = Label(_breakable(value), font=theme.monospace(SMALL))
        shown.setAccessibleName(plain(f"{name} {value}"))
        table.addWidget(shown, line, 2)
    return stack([holder, *_origin(detail)], spacing=0.5)


def _breakable(value: str) -> str:
    """Long words in groups, so that a narrow window can break the line; copying gives the value itself."""
    size = _HASH_GROUP if _HASH.fullmatch(value) else _WORD_GROUP
    groups = [value[start : start + size] for start in range(0, len(value), size)]
    return " ".join(groups)


def _origin(detail: Detail) -> list[QWidget]:
    """Where the checkpoint and the audit come from, as one widget or none."""
    facts: list[str] = []
    if detail.audit is not None:
        facts += _audit_origin(detail.audit)
    manifest = detail.manifest
    if manifest is not None:
        facts.append(
            f"Layout {manifest.layout.value}, {bytes_text(manifest.bytes_to_fetch)} to fetch"
        )
        if manifest.base_claim:
            facts.append(f"Its card claims it was made from {manifest.base_claim}; not verified")
    said = opinion_lines(detail.opinions, refused=_is_refused(detail))
    facts += [f"Second opinion: {line}" for line in said] or [NO_OPINION]
    return [lines(facts)]


def _is_refused(detail: Detail) -> bool:
    return detail.finding is not None and detail.finding.kind is FindingKind.REFUSED


def revisions(detail: Detail) -> QWidget | None:
    """Every audited revision with its exposure, and what moved since the one before; `None` without an earlier one."""
    if len(detail.revisions) < 2:
        return None
    texts = [revision_text(one, detail.row.job.id) for one in detail.revisions]
    if detail.movement is not None:
        texts.append(f"Since {movement_text(detail.movement)}")
    return lines([plain(text, limit=_LINE) for text in texts], tone="normal")


def _audit_origin(audit: Audit) -> list[str]:
    compared = [f"{name} tower {stands}" for name, stands in towers(audit)]
    versions = [f"{name} {version}" for name, version in sorted(audit.versions.items())]
    return [
        f"Architecture {audit.architecture}; reference {audit.reference or 'none fitted'}",
        capital(", ".join(compared)),
        recognition_text(audit),
        *deviation_lines(audit),
        *tokenizer_lines(audit),
        f"Versions: {', '.join(versions)}",
    ]


def signatures(results: Sequence[Hypothesis]) -> QWidget | None:
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
    _lay_out(table, min(len(results), MOST_LINES))
    return table


def _lay_out(table: QTableView, lines_shown: int) -> None:
    """Columns as wide as their texts, and a height of so many lines."""
    line_height = round(theme.em(table) * 1.6)
    table.verticalHeader().hide()
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.verticalHeader().setDefaultSectionSize(line_height)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setAccessibleName("Columns of the signatures table")
    header.setStretchLastSection(False)
    table.resizeColumnsToContents()
    header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    header.setMinimumSectionSize(round(3 * theme.em(table)))
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    height = line_height * lines_shown + header.sizeHint().height()
    table.setFixedHeight(height + theme.gap(0.3))


def budget(audit: Audit) -> QWidget:
    """What was spent, what was found out about clean use, and what would have been missed."""
    first, *rest = budget_lines(audit)
    accuracy = Label(accuracy_text(audit), tone="muted")
    return stack([Label(first), lines(rest), accuracy], spacing=0.2)
