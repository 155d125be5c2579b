"""Tables in Markdown, and figures as they stand in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dife_scanner.sentences import numbers as formatting

NONE = "–"
"""In a table, where there is no number and none was expected."""
DIGITS = 4


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; what would end a cell or a line is escaped."""
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for row in rows:
        lines.append(_line([_escaped(cell) for cell in row]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def number(value: float) -> str:
    """Return a figure with four decimals."""
    return formatting.number(value, DIGITS)


def signed(value: float) -> str:
    """Return a change with its sign and four decimals."""
    return formatting.signed(value, DIGITS)


def numbers(values: Iterable[float]) -> list[str]:
    """Return figures with four decimals."""
    return [number(value) for value in values]


def maybe(
    value: float | None,
    say: Callable[[float], str] = number,
) -> str:
    """Return a figure, or a dash where there is none."""
    return NONE if value is None else say(value)
