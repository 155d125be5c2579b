"""What could stand at the cursor of a filter that is being written: names of fields, and values of closed sets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dife_scanner.store.fields import Columns, Kind
from dife_scanner.store.query import MOST_CHARACTERS

_BEGINS_WORD = re.compile(r"[\s&|(]")
_STARTED = re.compile(r"([a-z_]+):(?:[^,]*,)*~?")
"""A field, its values so far, and the sign before the last one."""


@dataclass(frozen=True)
class Completion:
    """Candidates for the piece of a filter from `start` to the cursor, which the chosen one replaces."""

    start: int
    candidates: tuple[str, ...] = ()


def complete(text: str, cursor: int, columns: Columns) -> Completion:
    """The candidates for the word that ends at `cursor`, sorted. None inside quotes, and where anything may stand."""
    before = text[:cursor][:MOST_CHARACTERS]
    if _is_quoted(before):
        return Completion(len(before))
    start = len(before)
    while start and not _BEGINS_WORD.match(before[start - 1]):
        start -= 1
    if before[start : start + 1] == "!":
        start += 1
    started = _STARTED.match(before, start)
    if started is None:
        return Completion(start, _fields(before[start:], columns))
    return Completion(started.end(), _values(started.group(1), before[started.end() :], columns))


def _is_quoted(before: str) -> bool:
    return re.sub(r"\\.", "", before).count('"') % 2 == 1


def _fields(word: str, columns: Columns) -> tuple[str, ...]:
    found = []
    for field, column in columns.items():
        sign = ":" if column.kind in (Kind.TEXT, Kind.LIST) else ">"
        if field.startswith(word.lower()):
            found.append(field + sign)
    return tuple(sorted(found))


def _values(field: str, word: str, columns: Columns) -> tuple[str, ...]:
    if field not in columns:
        return ()
    found = []
    for choice in columns[field].choices:
        if choice.startswith(word.lower()):
            found.append(f'"{choice}"' if " " in choice or not choice else choice)
    return tuple(sorted(found))
