"""From a filter to a condition in SQL, with parameters.

Every condition is true or false, never NULL, so that `!` turns it round: what was not measured is more or less than
nothing.
Upper and lower case are the same for the 26 letters of ASCII and for no others, as in SQLite's `lower`.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from dife_scanner.durable import clock
from dife_scanner.store import fields, trigrams
from dife_scanner.store.db import Store
from dife_scanner.store.fields import FOLD, Column, Columns, Kind, column_of
from dife_scanner.store.query import Part, Query, Term, Value, parse

Sql = tuple[str, list[str | float]]
"""A condition, and the parameters of its question marks in their order."""


class Narrow(Enum):
    """How words are found sooner than by looking for them in each row, where the tables of `trigrams` are in step."""

    BY_SIGHT = "of each row: as LIKE sees it, and row by row where LIKE may not see everything"
    BY_INDEX = "the same, of the rows that the index of texts names"


def condition(store: Store, filter: str, columns: Columns) -> Sql:
    """The condition of a filter as people write it, with the index of texts where there is one. Raises `QueryError`."""
    found = Narrow.BY_INDEX if trigrams.is_in_step(store.read) else None
    return to_sql(parse(filter), columns, narrow=found)


def without_index(store: Store, filter: str, columns: Columns) -> Sql:
    """The same for a few rows that are looked at one by one: to ask the index of texts would take longer."""
    found = Narrow.BY_SIGHT if trigrams.is_in_step(store.read) else None
    return to_sql(parse(filter), columns, narrow=found)


def to_sql(
    query: Query, columns: Columns, *, narrow: Narrow | None = None, now: datetime | None = None
) -> Sql:
    """A condition and its parameters. Raises `QueryError` for what `columns` do not have or cannot be compared with.

    `narrow`: only where the tables of `trigrams` are there and in step.
    `now`: from when ages are counted back.
    """
    maker = _Maker(columns, narrow, now or clock.moment())
    return _among_named(maker.joined(query.terms, either=False))


@dataclass(frozen=True)
class _Made:
    """A condition, and the words that each row has that it lets through: those that the index of texts knows."""

    sql: str
    values: list[str | float]
    words: tuple[trigrams.Word, ...] = ()


def _among_named(made: _Made) -> Sql:
    """The condition, of those rows alone that the index names for all of its words together.

    Asked together, the index is done as soon as the rarest of them is.
    """
    if not made.words:
        return made.sql, made.values
    rows, matches = trigrams.candidates(made.words)
    return f"({rows}) AND ({made.sql})", [*matches, *made.values]


class _Maker:
    """What making a condition needs beside the query."""

    def __init__(self, columns: Columns, narrow: Narrow | None, now: datetime) -> None:
        self.columns = columns
        self.narrow = narrow
        self.now = now

    def joined(self, parts: Sequence[Part], *, either: bool) -> _Made:
        """All or either of `parts`; no part at all is true."""
        made = [self.part(part) for part in parts]
        if not made:
            return _Made("1", [])
        return _either(made) if either else _all(made)

    def part(self, part: Part) -> _Made:
        """One part, turned round where it is negated."""
        if part.negated and self.narrow is Narrow.BY_INDEX:
            # what a word is to be missing from is most rows: to see it missing takes less than to name all that have it
            return _Maker(self.columns, Narrow.BY_SIGHT, self.now).part(part)
        made = self.as_it_stands(part)
        if part.negated:
            return _Made(f"NOT ({made.sql})", made.values)
        return _Made(f"({made.sql})", made.values, made.words)

    def as_it_stands(self, part: Part) -> _Made:
        """One part, as if it were not negated."""
        if isinstance(part, Term):
            return self.term(part)
        return self.joined(part.parts, either=part.either)

    def term(self, term: Term) -> _Made:
        """A word, or what is said of a field, as if it were not negated."""
        if not term.field:
            return self.anywhere(term.values[0].text)
        column = column_of(term, self.columns)
        if column.kind is Kind.NUMBER:
            return _Made(*_numbers(term, column))
        if column.kind in (Kind.TIME, Kind.AGE):
            return _Made(*self.times(term, column))
        return _either([self.text(column, value) for value in term.values])

    def anywhere(self, word: str) -> _Made:
        """A word in any text of a row."""
        texts = [one.sql for one in self.columns.values() if one.kind in (Kind.TEXT, Kind.LIST)]
        return self.word_in(tuple(dict.fromkeys(texts)), word)

    def word_in(self, places: tuple[str, ...], word: str) -> _Made:
        """A word in one of these columns."""
        scan = " OR ".join(_contains(place) for place in places)
        values: list[str | float] = [word] * len(places)
        seen = None if self.narrow is None else trigrams.alike(places, word)
        if seen is not None:
            # as a case it ends at the first text that has the word; as a value, SQLite would look at every one of them
            scan = f"CASE WHEN {seen.has} THEN 1 WHEN {seen.unsure} THEN ({scan}) ELSE 0 END"
            values = [*seen.values, *values]
        asked = trigrams.Word(places, word)
        known = self.narrow is Narrow.BY_INDEX and trigrams.knows(asked)
        return _Made(scan, values, (asked,) if known else ())

    def text(self, column: Column, value: Value) -> _Made:
        """A text, or one of a list, that is equal to a value or contains it."""
        matches = _contains("value") if value.part else "lower(value) = lower(?)"
        if column.kind is Kind.LIST:
            listed = f"json_each(coalesce({column.sql}, '[]'))"
            return _Made(f"EXISTS (SELECT 1 FROM {listed} WHERE {matches})", [value.text])
        if not value.part and value.text and column.choices:
            # as it is stored: an index finds it
            return _Made(f"{column.sql} IS ?", [_folded(value.text)])
        if not value.part:
            return _Made(f"lower(coalesce({column.sql}, '')) = lower(?)", [value.text])
        return self.word_in((column.sql,), value.text)

    def times(self, term: Term, column: Column) -> Sql:
        """A time that begins with one of the values, or is before or after the one moment."""
        moment = f"substr(coalesce({column.sql}, ''), 1, {fields.MOMENT_CHARACTERS})"
        if term.sign == ":":
            values = [fields.beginning_of(term, column, value.text) for value in term.values]
            return _joined([_begins(moment, value) for value in values], " OR ")
        text = term.values[0].text
        if column.kind is Kind.AGE:
            bound = fields.moment_before(term, column, text, self.now)
            return f"{moment} != '' AND {moment} {fields.TURNED[term.sign]} ?", [bound]
        bound = fields.moment_of(term, column, text)
        return f"{moment} != '' AND {moment} {term.sign} ?", [bound]


def _numbers(term: Term, column: Column) -> Sql:
    """A number that is one of the values, or less or more than the one; an empty value is no number at all."""
    is_number = f"typeof({column.sql}) IN ('integer', 'real')"
    if term.sign == ":":
        return _joined([_equals(term, column, value.text) for value in term.values], " OR ")
    bound = fields.number_of(term, column, term.values[0].text)
    return f"{is_number} AND {column.sql} {term.sign} ?", [bound]


def _equals(term: Term, column: Column, text: str) -> Sql:
    is_number = f"typeof({column.sql}) IN ('integer', 'real')"
    if not text:
        return f"NOT {is_number}", []
    return f"({is_number} AND {column.sql} = ?)", [fields.number_of(term, column, text)]


def _begins(moment: str, value: str) -> Sql:
    if not value:
        return f"{moment} = ''", []
    return f"substr({moment}, 1, {len(value)}) = ?", [value]


def _all(made: Sequence[_Made]) -> _Made:
    words: list[trigrams.Word] = []
    for one in made:
        words.extend(one.words)
    sql, values = _joined([(one.sql, one.values) for one in made], " AND ")
    return _Made(sql, values, tuple(words))


def _either(made: Sequence[_Made]) -> _Made:
    """Of several each has its own rows: a row has the words of one of them."""
    if len(made) == 1:
        return made[0]
    return _Made(*_joined([_among_named(one) for one in made], " OR "))


def _joined(made: Sequence[Sql], between: str) -> Sql:
    values: list[str | float] = []
    for _, parameters in made:
        values.extend(parameters)
    return between.join(sql for sql, _ in made), values


def _folded(text: str) -> str:
    """As SQLite's `lower`: the letters of ASCII only."""
    return text.translate(FOLD)


def _contains(place: str) -> str:
    return f"instr(lower(coalesce({place}, '')), lower(?)) > 0"
