"""The filter grammar: `verdict:flagged state:done repo:~clip !channel:image,both word "two words"`.

Terms are separated by spaces and all have to hold. `field:value` compares without regard to case, `field:~value` looks
for a part, `field:a,b` for either, `!` turns a term round; a bare word is looked for in every text of a row. Quotes
keep spaces, commas and leading signs; inside them `\\"` and `\\\\` stand for a quote and a backslash. Read with
`parse`, written back with `show` (`parse(show(q)) == q`), and made into SQL with parameters by `to_sql`.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dife_scanner.errors import UsageError

MOST_TERMS = 50
_FIELD = re.compile(r"[a-z_]+:")
_NEEDS_QUOTES = re.compile(r'[\s",\\]')
"""Characters that a value keeps only inside quotes."""


class QueryError(UsageError):
    """A filter that cannot be read; `column` counts from 1."""

    def __init__(self, what: str, column: int, advice: str = "") -> None:
        example = "example: verdict:flagged repo:~clip !channel:image"
        super().__init__(f"filter, column {column}: {what}", advice or example)
        self.column = column


@dataclass(frozen=True)
class Value:
    """What a field is compared with."""

    text: str
    part: bool = False
    """Whether containing it is enough."""


@dataclass(frozen=True)
class Term:
    """One condition of a filter."""

    values: tuple[Value, ...]
    """Any of them."""
    field: str = ""
    """Empty for a bare word."""
    negated: bool = False
    column: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True)
class Query:
    """A filter: all of its terms have to hold."""

    terms: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Column:
    """Where a field lies in a SQL statement; `listed` when it holds a JSON list."""

    sql: str
    listed: bool = False


# --- text to query --------------------------------------------------------------------------------------------


def parse(text: str) -> Query:
    """Read a filter. Raises `QueryError` with the column."""
    reader = _Reader(text)
    terms: list[Term] = []
    while not reader.at_end():
        terms.append(_term(reader))
    if len(terms) > MOST_TERMS:
        raise QueryError(f"more than {MOST_TERMS} terms", terms[MOST_TERMS].column)
    return Query(tuple(terms))


class _Reader:
    """A filter's text and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def at_end(self) -> bool:
        """Whether nothing but spaces is left; skips them."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at == len(self.text)

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> bool:
        """Go past the next character where it is `wanted`."""
        if self.peek() != wanted:
            return False
        self.at += 1
        return True


def _term(reader: _Reader) -> Term:
    column = reader.at + 1
    negated = reader.take("!")
    found = _FIELD.match(reader.text, reader.at)
    if not found:
        return Term((Value(_value(reader), part=True),), negated=negated, column=column)
    reader.at = found.end()
    values = [_field_value(reader)]
    while reader.take(","):
        values.append(_field_value(reader))
    return Term(tuple(values), field=found.group()[:-1], negated=negated, column=column)


def _field_value(reader: _Reader) -> Value:
    part = reader.take("~")
    return Value(_value(reader), part)


def _value(reader: _Reader) -> str:
    if reader.peek() == '"':
        return _quoted(reader)
    return _bare(reader)


def _bare(reader: _Reader) -> str:
    start = reader.at
    while not _ends_word(reader.peek()) and reader.peek() != '"':
        reader.at += 1
    if reader.at == start:
        raise QueryError("a value is missing", start + 1)
    if reader.peek() == '"':
        raise QueryError("a quote inside a word", reader.at + 1, "put the whole value in quotes")
    return reader.text[start : reader.at]


def _quoted(reader: _Reader) -> str:
    start = reader.at
    reader.at += 1
    found = ""
    while not reader.take('"'):
        reader.take("\\")
        if not reader.peek():
            raise QueryError("this quote is never closed", start + 1)
        found += reader.peek()
        reader.at += 1
    if not _ends_word(reader.peek()):
        raise QueryError("text right after a closing quote", reader.at + 1, "put a space between")
    return found


def _ends_word(character: str) -> bool:
    """Whether a value ends before this character; at the end of the text there is none."""
    return not character or character.isspace() or character == ","


# --- query to text --------------------------------------------------------------------------------------------


def show(query: Query) -> str:
    """The query in the grammar; `parse` gives it back."""
    return " ".join(_show_term(term) for term in query.terms)


def _show_term(term: Term) -> str:
    text = _show_word(term.values[0].text)
    if term.field:
        values = ",".join(_show_value(value) for value in term.values)
        text = f"{term.field}:{values}"
    if term.negated:
        return f"!{text}"
    return text


def _show_value(value: Value) -> str:
    word = _show_word(value.text)
    if value.part:
        return f"~{word}"
    return word


def _show_word(text: str) -> str:
    """`text` in quotes, unless it reads as one value without them."""
    reads_otherwise = not text or text[0] in "!~" or _FIELD.match(text)
    if reads_otherwise or _NEEDS_QUOTES.search(text):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def shown(text: str) -> str:
    """A piece of what somebody typed, for an error message."""
    return ascii(text[:80])


# --- query to SQL ---------------------------------------------------------------------------------------------


def to_sql(query: Query, columns: Mapping[str, Column]) -> tuple[str, list[str]]:
    """A condition and its parameters. Raises `QueryError` for a field that `columns` does not have."""
    conditions: list[str] = []
    parameters: list[str] = []
    for term in query.terms:
        condition, values = _term_sql(term, columns)
        negation = "NOT " if term.negated else ""
        conditions.append(f"{negation}({condition})")
        parameters.extend(values)
    return " AND ".join(conditions) or "1", parameters


def _term_sql(term: Term, columns: Mapping[str, Column]) -> tuple[str, list[str]]:
    if not term.field:
        return _any_column(term.values[0].text, columns)
    if term.field not in columns:
        fields = ", ".join(sorted(columns))
        raise QueryError(
            f"there is no field {shown(term.field)} here", term.column, f"fields: {fields}"
        )
    column = columns[term.field]
    conditions = [_value_sql(column, value) for value in term.values]
    parameters = [value.text for value in term.values]
    return " OR ".join(conditions), parameters


def _any_column(word: str, columns: Mapping[str, Column]) -> tuple[str, list[str]]:
    places = dict.fromkeys(column.sql for column in columns.values())
    conditions = [_contains(place) for place in places]
    return " OR ".join(conditions), [word] * len(places)


def _value_sql(column: Column, value: Value) -> str:
    if column.listed:
        matches = "value = ? COLLATE NOCASE"
        if value.part:
            matches = _contains("value")
        return f"EXISTS (SELECT 1 FROM json_each(coalesce({column.sql}, '[]')) WHERE {matches})"
    if value.part:
        return _contains(column.sql)
    return f"coalesce({column.sql}, '') = ? COLLATE NOCASE"


def _contains(place: str) -> str:
    return f"instr(lower(coalesce({place}, '')), lower(?)) > 0"
