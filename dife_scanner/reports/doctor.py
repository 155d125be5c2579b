"""What `dife doctor` found, as one table."""

from __future__ import annotations

from rich.console import Group, RenderableType

from dife_scanner.reports.as_json import DoctorDocument
from dife_scanner.reports.layout import columns, safe
from dife_scanner.sentences.numbers import count

_STYLE = {"ok": "default", "warning": "yellow", "problem": "bold red", "not-checked": "dim"}


def render(document: DoctorDocument) -> RenderableType:
    """A line for each thing, with what to do about it, and how many problems there are."""
    table = columns("part", "what", "state", "found", "next")
    for line in document.lines:
        state = line.state.replace("-", " ")
        table.add_row(
            safe(line.part),
            safe(line.what),
            safe(state, style=_STYLE[line.state]),
            safe(line.said, 400),
            safe(line.next, 400),
        )
    return Group(table, safe(_summary(document)))


def _summary(document: DoctorDocument) -> str:
    if not document.problems and not document.warnings:
        return "nothing is wrong"
    return f"{count(document.problems, 'problem')}, {count(document.warnings, 'warning')}"
