"""A study as Markdown (GitHub's tables), for a lab book or an issue."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dife_scanner.plain import plain
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.reports.study import Study
from dife_scanner.reports.study_sheets import sheets

_SENTENCE = 1500
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$&@])")


def render(study: Study) -> str:
    """All tables of a study, one section each; strings that a stranger wrote can form no markup."""
    return "\n".join(map(section, sheets(study)))


def document(title: str, lines: Iterable[str], sheets: Iterable[Sheet]) -> str:
    """A title, sentences and tables, as harmless."""
    parts = [f"# {escaped(title)}", ""]
    for line in lines:
        parts += [escaped(line, _SENTENCE), ""]
    return "\n".join([*parts, *map(section, sheets)])


def escaped(text: str, limit: int = 600) -> str:
    """`text` on one line, with every character that Markdown or HTML would read as markup escaped.

    >>> escaped("a|b <i>*c*")
    'a\\\\|b \\\\<i\\\\>\\\\*c\\\\*'
    """
    return _SPECIAL.sub(r"\\\1", plain(text, limit))


def section(sheet: Sheet) -> str:
    """One table under its title, its notes below."""
    head = _line(map(escaped, sheet.columns))
    rule = _line("---" for _ in sheet.columns)
    lines = [f"## {sheet.title}", "", head, rule]
    for row in sheet.rows:
        lines.append(_line(map(_cell, row)))
    lines.append("")
    for note in sheet.notes:
        lines.append(f"- {escaped(note)}")
    lines.append("")
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(mark: Mark) -> str:
    text = escaped(mark.text)
    if text and mark.tone is Tone.EXPOSED:
        return f"**{text}**"
    return text
