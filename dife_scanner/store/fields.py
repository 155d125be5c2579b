"""The fields that a filter can name: where each lies, what it is compared as, and what a term asks of it."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum

from dife_scanner.store.query import COMPARISONS, PAGE, QueryError, Term, Value, show_part, shown


class Kind(StrEnum):
    """What a field is compared as."""

    TEXT = "text"
    LIST = "list"
    """A JSON list of texts: one of them is enough."""
    NUMBER = "number"
    TIME = "time"
    AGE = "age"
    """How long ago a time was."""


@dataclass(frozen=True)
class Column:
    """Where a field lies in a SQL statement, and what it means."""

    sql: str
    about: str
    """For docs and help."""
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()
    """Every value that the field can have, where it is a closed set."""


Columns = Mapping[str, Column]


def choices(values: type[StrEnum]) -> tuple[str, ...]:
    """The values of an enum, for a column of a closed set."""
    return tuple(one.value for one in values)


EXAMPLES = {
    Kind.TEXT: "repo:~clip",
    Kind.LIST: "interface:~zero",
    Kind.NUMBER: "score>0.5",
    Kind.TIME: "audited>=2026-11-01",
    Kind.AGE: "age<7d",
}
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?"
)
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(min|[shdw])")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BEGINS_MOMENT = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2}(?:T[0-9:.]{1,12})?)?)?")
FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""Upper and lower case are the same for these letters and for no others, as in SQLite's `lower`."""
MOMENT_CHARACTERS = 23
"""Of a time that are compared: up to its milliseconds. The clock writes more of them than a hub does."""


def column_of(term: Term, columns: Columns) -> Column:
    """The column that a term names.

    Raises `QueryError` with the names there are, the signs that the field takes, or the values of a closed set.
    """
    if term.field not in columns:
        names = tuple(sorted(columns))
        raise QueryError(
            f"there is no field {shown(term.field)} here",
            term.column,
            _nearest(term.field, "Fields", names),
            candidates=names,
        )
    column = columns[term.field]
    for value in term.values:
        _check_choice(term, column, value)
    is_text = column.kind in (Kind.TEXT, Kind.LIST)
    if term.sign in COMPARISONS and is_text:
        raise _wrong(term, column, "is compared with `:` and `:~` only", f"{term.field}:~part")
    if not is_text and any(value.part for value in term.values):
        raise _wrong(term, column, "is no text, of which `:~` would look for a part")
    if term.sign == ":" and column.kind is Kind.AGE:
        raise _wrong(term, column, f"is compared with {' '.join(COMPARISONS)} only")
    return column


def _check_choice(term: Term, column: Column, value: Value) -> None:
    """Raises `QueryError` where no value of a closed set is this one, or has this part: it would never match.

    Nothing at all may be asked for: a field can be empty where there is no audit yet.
    """
    asked = value.text.translate(FOLD)
    known = [choice.translate(FOLD) for choice in column.choices]
    if not known or not asked:
        return
    if any(asked in choice for choice in known) if value.part else asked in known:
        return
    names = tuple(filter(None, column.choices))
    raise QueryError(
        f"{term.field} {'never contains' if value.part else 'is never'} {shown(value.text)}",
        term.column,
        _nearest(asked, "Values", names),
        example=show_part(Term((Value(names[0]),), term.field)),
        candidates=names,
    )


def _nearest(text: str, what: str, names: Sequence[str]) -> str:
    """Whether the nearest of some names was meant, and all of them under what they are."""
    listed = f"{what}: {', '.join(names)}"
    near = get_close_matches(text.translate(FOLD), names, n=1)
    if not near:
        return listed
    return f"did you mean {near[0]}? {listed}"


def _wrong(term: Term, column: Column, what: str, example: str = "") -> QueryError:
    return QueryError(
        f"{term.field} {what}",
        term.column,
        f"{column.kind} fields are in {PAGE}",
        example=example or EXAMPLES[column.kind],
    )


def number_of(term: Term, column: Column, text: str) -> float:
    """The number that a term compares with. Raises `QueryError`."""
    if not _NUMBER.fullmatch(text):
        raise _wrong(term, column, f"is a number, and {shown(text)} is none")
    return float(text)


def moment_of(term: Term, column: Column, text: str) -> str:
    """The moment that a term compares with, in UTC and up to its milliseconds. Raises `QueryError`."""
    try:
        moment = datetime.fromisoformat(text)
        if not moment.tzinfo:
            moment = moment.replace(tzinfo=UTC)
        return _to_milliseconds(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        raise _wrong(term, column, f"is a time, and {shown(text)} is none") from None


def beginning_of(term: Term, column: Column, text: str) -> str:
    """The year, month, day or more that a time begins with; empty for no time. Raises `QueryError`."""
    if text and not _BEGINS_MOMENT.fullmatch(text):
        raise _wrong(term, column, f"is a time, and {shown(text)} begins none", "audited:2026-11")
    return text


def moment_before(term: Term, column: Column, text: str, now: datetime) -> str:
    """The moment at which something is exactly this old. Raises `QueryError`."""
    seconds = seconds_of(text)
    if seconds is None:
        raise _wrong(term, column, f"is an age like 30min, 12h, 7d or 2w; {shown(text)} is none")
    try:
        return _to_milliseconds(now.astimezone(UTC) - timedelta(seconds=seconds))
    except OverflowError:
        return ""  # before every moment there is


def seconds_of(text: str) -> float | None:
    """The length of a span like `30min`, `12h`, `7d` or `2w`; `None` for anything else."""
    found = _DURATION.fullmatch(text)
    if not found:
        return None
    return float(found.group(1)) * _SECONDS[found.group(2)]


def _to_milliseconds(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")[:MOMENT_CHARACTERS]


TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
"""Older is earlier: how the sign of an age compares moments."""
