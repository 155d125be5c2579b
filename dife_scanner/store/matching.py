"""Why a row matched: a filter evaluated in Python over one row's values.

It says what `conditions.to_sql` says, slowly and for one row; the tests hold the two against each other.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dife_scanner.durable import clock
from dife_scanner.store import fields
from dife_scanner.store.fields import Column, Columns, Kind, column_of
from dife_scanner.store.query import Part, Query, Term, Value

Row = Mapping[str, Any]
"""What each field's column holds, as SQLite gives it."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def holds(query: Query, row: Row, columns: Columns, *, now: datetime | None = None) -> bool:
    """Whether a row fits a filter. Raises `QueryError` as `to_sql` does."""
    judge = _Judge(row, columns, now or clock.moment())
    return all(judge.part(part) for part in query.terms)


def why(
    query: Query, row: Row, columns: Columns, *, now: datetime | None = None
) -> tuple[Part, ...]:
    """The terms by which a row fits a filter, in their order; none where it does not fit.

    Of alternatives those that hold. A negated group stands as a whole: it holds because its terms do not.
    """
    if not holds(query, row, columns, now=now):
        return ()
    judge = _Judge(row, columns, now or clock.moment())
    return tuple(judge.reasons(query.terms))


def selected(columns: Columns) -> str:
    """What a statement selects to give a `Row`."""
    return ", ".join(f'{column.sql} AS "{field}"' for field, column in columns.items())


class _Judge:
    """One row, and what judging it needs."""

    def __init__(self, row: Row, columns: Columns, now: datetime) -> None:
        self.row = row
        self.columns = columns
        self.now = now

    def reasons(self, parts: Sequence[Part]) -> list[Part]:
        """The parts that hold, with groups that are not negated taken apart."""
        found: list[Part] = []
        for part in parts:
            if not self.part(part):
                continue
            if isinstance(part, Term) or part.negated:
                found.append(part)
            else:
                found.extend(self.reasons(part.parts))
        return found

    def part(self, part: Part) -> bool:
        """Whether one part holds."""
        if isinstance(part, Term):
            return self.term(part) != part.negated
        combine = any if part.either else all
        return combine([self.part(inner) for inner in part.parts]) != part.negated

    def term(self, term: Term) -> bool:
        """Whether one term holds, as if it were not negated."""
        if not term.field:
            return self.anywhere(term.values[0].text)
        column = column_of(term, self.columns)
        held = self.row[term.field]
        if column.kind is Kind.NUMBER:
            return _is_number(term, column, held)
        if column.kind in (Kind.TIME, Kind.AGE):
            return self.is_time(term, column, _text(held)[: fields.MOMENT_CHARACTERS])
        return any(_is_text(column, value, held) for value in term.values)

    def anywhere(self, word: str) -> bool:
        """Whether a word stands in any text of the row, a list as it is written."""
        for field, column in self.columns.items():
            is_text = column.kind in (Kind.TEXT, Kind.LIST)
            if is_text and _fold(word) in _fold(_text(self.row[field])):
                return True
        return False

    def is_time(self, term: Term, column: Column, held: str) -> bool:
        """Whether a moment begins with one of the values, or is before or after the one moment."""
        if term.sign == ":":
            beginnings = [fields.beginning_of(term, column, value.text) for value in term.values]
            return any(held.startswith(one) if one else not held for one in beginnings)
        text = term.values[0].text
        if column.kind is Kind.AGE:
            bound = fields.moment_before(term, column, text, self.now)
            return bool(held) and _COMPARE[fields.TURNED[term.sign]](held, bound)
        bound = fields.moment_of(term, column, text)
        return bool(held) and _COMPARE[term.sign](held, bound)


def _is_number(term: Term, column: Column, held: Any) -> bool:
    measured = isinstance(held, int | float)
    if term.sign != ":":
        bound = fields.number_of(term, column, term.values[0].text)
        return measured and _COMPARE[term.sign](held, bound)
    wanted = []
    for value in term.values:
        wanted.append(fields.number_of(term, column, value.text) if value.text else None)
    return held in wanted if measured else None in wanted


def _is_text(column: Column, value: Value, held: Any) -> bool:
    listed = json.loads(held or "[]") if column.kind is Kind.LIST else [held]
    texts = [_text(one) for one in listed]
    wanted = _fold(value.text)
    if value.part:
        return any(wanted in _fold(text) for text in texts)
    return any(wanted == _fold(text) for text in texts)


def _fold(text: str) -> str:
    """As SQLite's `lower`: the letters of ASCII only."""
    return text.translate(fields.FOLD)


def _text(held: Any) -> str:
    return "" if held is None else str(held)
