"""What is in a backup, in lines."""

from __future__ import annotations

from rich.console import Group, RenderableType

from dife_scanner.reports.as_json import BackupDocument
from dife_scanner.reports.layout import safe
from dife_scanner.sentences.numbers import bytes_text, count
from dife_scanner.sentences.times import time_text


def render(document: BackupDocument) -> RenderableType:
    """What was written or restored, what is in it, and what is not."""
    return Group(*(safe(line, 400) for line in _lines(document)))


def _lines(document: BackupDocument) -> list[str]:
    restored = document.done == "restored"
    place = document.home if restored else document.archive
    files = [f"{kind}: {count(number, 'file')}" for kind, number in document.files.items()]
    lines = [
        f"{document.done}: {place} ({bytes_text(document.bytes)})",
        f"made {time_text(document.made_at)} by version {document.version}; schema {document.schema}",
        f"in it: {', '.join(files)}",
        f"not in it: {', '.join(document.left_out)}",
    ]
    if document.forgotten:
        names = ", ".join(document.forgotten)
        lines.append(f"references without files, to be added again: {names}")
    return lines
