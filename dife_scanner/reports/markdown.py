"""A study as Markdown (GitHub's tables), for a lab book or an issue."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dife_scanner.core.plain import plain
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.reports.study import Study, sheets

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$&@])")


def render(study: Study) -> str:
    """All tables of a study, one section each; strings that a stranger wrote can form no markup."""
    return "\n".join(_sheet(sheet) for sheet in sheets(study))


def escaped(text: str, limit: int = 600) -> str:
    """`text` on one line, with every character that Markdown or HTML would read as markup escaped.

    >>> escaped("a|b <i>*c*")
    'a\\\\|b \\\\<i\\\\>\\\\*c\\\\*'
    """
    return _SPECIAL.sub(r"\\\1", plain(text, limit))


def _sheet(sheet: Sheet) -> str:
    lines = [f"## {sheet.title}", "", _line(escaped(column) for column in sheet.columns)]
    lines.append(_line("---" for _ in sheet.columns))
    lines += [_line(_cell(mark) for mark in row) for row in sheet.rows]
    lines += ["", *(f"- {escaped(note)}" for note in sheet.notes), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(mark: Mark) -> str:
    text = escaped(mark.text)
    return f"**{text}**" if mark.tone is Tone.EXPOSED and text else text
