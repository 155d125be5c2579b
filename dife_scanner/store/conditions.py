"""From a filter to a condition in SQL, with parameters.

Every condition is true or false, never NULL, so that `!` turns it round: what was not measured is more or less than
nothing.
Upper and lower case are the same for the 26 letters of ASCII and for no others, as in SQLite's `lower`.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from dife_scanner.durable import clock
from dife_scanner.store import fields, trigrams
from dife_scanner.store.db import Store
from dife_scanner.store.fields import FOLD, Column, Columns, Kind, column_of
from dife_scanner.store.query import Part, Query, Term, Value, parse

Sql = tuple[str, list[str | float]]
"""A condition, and the parameters of its question marks in their order."""
Narrow = Callable[[Sequence[str], str, Sql], Sql]
"""From columns, a word, and a condition that looks for it in each row: one that says the same and is found sooner."""


def condition(store: Store, filter: str, columns: Columns) -> Sql:
    """The condition of a filter as people write it, with the index of texts where there is one. Raises `QueryError`."""
    found = by_index if trigrams.is_in_step(store.read) else None
    return to_sql(parse(filter), columns, narrow=found)


def without_index(store: Store, filter: str, columns: Columns) -> Sql:
    """The same for a few rows that are looked at one by one: to ask the index of texts would take longer."""
    found = by_sight if trigrams.is_in_step(store.read) else None
    return to_sql(parse(filter), columns, narrow=found)


def by_index(places: Sequence[str], word: str, scan: Sql) -> Sql:
    """Of the rows that the index of texts names; of all, by sight, where it does not know the word."""
    rows = trigrams.candidates(places, word)
    if rows is None:
        return by_sight(places, word, scan)
    return _joined([(f"({rows[0]})", list(rows[1])), (f"({scan[0]})", scan[1])], " AND ")


def by_sight(places: Sequence[str], word: str, scan: Sql) -> Sql:
    """Of each row: as LIKE sees it, and as `scan` says where LIKE may not see everything."""
    seen = trigrams.alike(places, word)
    if seen is None:
        return scan
    # as a case it ends at the first text that has the word; as a value, SQLite would look at every one of them
    made = f"CASE WHEN {seen.has} THEN 1 WHEN {seen.unsure} THEN ({scan[0]}) ELSE 0 END"
    return made, [*seen.values, *scan[1]]


def to_sql(
    query: Query, columns: Columns, *, narrow: Narrow | None = None, now: datetime | None = None
) -> Sql:
    """A condition and its parameters. Raises `QueryError` for what `columns` do not have or cannot be compared with.

    `narrow`: `by_index`, or another, where the tables of `trigrams` are there and in step.
    `now`: from when ages are counted back.
    """
    maker = _Maker(columns, narrow, now or clock.moment())
    return maker.joined(query.terms, either=False)


class _Maker:
    """What making a condition needs beside the query."""

    def __init__(self, columns: Columns, narrow: Narrow | None, now: datetime) -> None:
        self.columns = columns
        self.narrow = narrow
        self.now = now

    def joined(self, parts: Sequence[Part], *, either: bool) -> Sql:
        """All or either of `parts`; no part at all is true."""
        made = [self.part(part) for part in parts]
        return _joined(made, " OR " if either else " AND ") if made else ("1", [])

    def part(self, part: Part) -> Sql:
        """One part, turned round where it is negated."""
        if part.negated and self.narrow is by_index:
            # what a word is to be missing from is most rows: to see it missing takes less than to name all that have it
            return _Maker(self.columns, by_sight, self.now).part(part)
        if isinstance(part, Term):
            sql, values = self.term(part)
        else:
            sql, values = self.joined(part.parts, either=part.either)
        negation = "NOT " if part.negated else ""
        return f"{negation}({sql})", values

    def term(self, term: Term) -> Sql:
        """One term, as if it were not negated."""
        if not term.field:
            return self.anywhere(term.values[0].text)
        column = column_of(term, self.columns)
        if column.kind is Kind.NUMBER:
            return _numbers(term, column)
        if column.kind in (Kind.TIME, Kind.AGE):
            return self.times(term, column)
        return _joined([self.text(column, value) for value in term.values], " OR ")

    def anywhere(self, word: str) -> Sql:
        """A word in any text of a row."""
        texts = [one.sql for one in self.columns.values() if one.kind in (Kind.TEXT, Kind.LIST)]
        places = list(dict.fromkeys(texts))
        scan = " OR ".join(_contains(place) for place in places)
        values: list[str | float] = [word] * len(places)
        return self.narrowed(places, word, (scan, values))

    def narrowed(self, places: Sequence[str], word: str, scan: Sql) -> Sql:
        """What `scan` says, of fewer rows where the tables of `trigrams` help."""
        return scan if self.narrow is None else self.narrow(places, word, scan)

    def text(self, column: Column, value: Value) -> Sql:
        """A text, or one of a list, that is equal to a value or contains it."""
        matches = _contains("value") if value.part else "lower(value) = lower(?)"
        if column.kind is Kind.LIST:
            listed = f"json_each(coalesce({column.sql}, '[]'))"
            return f"EXISTS (SELECT 1 FROM {listed} WHERE {matches})", [value.text]
        if not value.part and value.text and column.choices:
            stored = _folded(value.text)
            if stored not in column.choices:
                return "0", []  # no row has it: half of a word, mostly, that is still being typed
            return f"{column.sql} IS ?", [stored]  # as it is stored: an index finds it
        if not value.part:
            return f"lower(coalesce({column.sql}, '')) = lower(?)", [value.text]
        return self.narrowed([column.sql], value.text, (_contains(column.sql), [value.text]))

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
