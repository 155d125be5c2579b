"""Clean references and known bases for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType

from dife_scanner.records import Qualification, Reference, Trust
from dife_scanner.reports.as_json import (
    ReferenceChecksDocument,
    ReferencesDocument,
    RegistryDocument,
)
from dife_scanner.reports.layout import columns, safe
from dife_scanner.sentences.numbers import bytes_text, count
from dife_scanner.sentences.recognition import knowledge_words, unknown_lines

_SAYS = {True: "yes", False: "no", None: "not checked"}


def references(document: ReferencesDocument) -> RenderableType:
    """The references, the bases that audits lack, and repositories that changed."""
    table = columns(
        "reference",
        "architecture",
        "image tower",
        "text tower",
        "weights",
        "trust",
        "size",
        "knows",
    )
    for row in document.references:
        table.add_row(
            safe(row.name),
            safe(row.architecture),
            row.image_tower[:12],
            row.text_tower[:12],
            row.weights_sha256[:12],
            _trust(row),
            bytes_text(row.size) if row.size else "",
            _knows(document.qualified.get(row.name)),
        )
    lines = []
    for base, jobs in document.wanted.items():
        lines.append(f"{count(jobs, 'audit')} lacked {base}: `dife reference add {base}`")
    for record in document.trusted:
        if record.changed:
            lines.append(f"changed, not accepted: {record.changed}")
    return Group(table, *(safe(line, 300) for line in lines))


def _trust(row: Reference) -> str:
    """`trusted on first use 2026-12-01`, and what that is short for where nothing has to be said."""
    if row.trust in (Trust.FIRST_USE, Trust.PINNED):
        return f"{row.trust.value} {row.trusted_at[:10]}"
    return row.trust.value


def _knows(found: Qualification | None) -> str:
    return knowledge_words(found.recognition) if found else "not measured yet"


def unknown(document: ReferencesDocument) -> RenderableType:
    """The concepts and styles that each reference does not recognise."""
    lines = []
    for row in document.references:
        found = document.qualified.get(row.name)
        lines.append(
            f"{row.name} knows {_knows(found)}" if found else f"{row.name}: {_knows(found)}"
        )
        if found:
            lines += unknown_lines(found.recognition)
    return Group(*(safe(line, 20_000) for line in lines))


def registry(document: RegistryDocument) -> RenderableType:
    """Every base that is known by name."""
    table = columns("base", "architecture", "fetched from", "here as")
    for base in document.bases:
        here = base.reference or (f"not read: {base.unread}" if base.unread else "")
        table.add_row(
            safe(base.name), safe(base.architecture), safe(base.repositories[0]), safe(here)
        )
    return Group(table, safe(f"{count(len(document.bases), 'base')} known by name"))


def checks(document: ReferenceChecksDocument) -> RenderableType:
    """What became of verifying each reference."""
    table = columns("reference", "intact on disk", "as the hub announces", "problem")
    for check in document.checks:
        table.add_row(
            safe(check.name), _SAYS[check.intact], _SAYS[check.on_hub], safe(check.problem, 300)
        )
    return table
