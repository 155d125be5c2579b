"""The filter grammar: `verdict:flagged (repo:~clip | score>0.5) !channel:image,both "two words"`.

    filter  = any
    any     = all { "|" all }
    all     = part { [ "&" ] part }
    part    = [ "!" ] ( "(" any ")" | term )
    term    = word | field ":" value { "," value } | field ( ">" | ">=" | "<" | "<=" ) word
    value   = [ "~" ] word

`docs/filters.md` says what each means. Quotes keep spaces and signs in a word; inside them `\\"` and `\\\\` stand for a
quote and a backslash. Read with `parse`, written back with `show` (`parse(show(q)) == q`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dife_scanner.errors import UsageError

MOST_TERMS = 50
MOST_VALUES = 500
"""Of all terms together."""
MOST_CHARACTERS = 20_000
MOST_DEPTH = 20
"""Of parentheses within each other."""
PAGE = "docs/filters.md"
COMPARISONS = (">=", "<=", ">", "<")
_FIELD = re.compile(r"([a-z_]+)(:|>=|<=|>|<)")
_ENDS_WORD = frozenset(",&|()")
_NEEDS_QUOTES = re.compile(r'[\s",\\&|()]')
"""Characters that a value keeps only inside quotes."""


class QueryError(UsageError):
    """A filter that cannot be read: where, what was expected there, and an example that can be."""

    def __init__(
        self,
        what: str,
        column: int,
        expected: str = "",
        *,
        example: str = "verdict:flagged repo:~clip !channel:image",
        candidates: tuple[str, ...] = (),
    ) -> None:
        advice = f"{expected}; example: {example}" if expected else f"example: {example}"
        super().__init__(f"filter, column {column}: {what}", advice)
        self.column = column
        """Counts from 1."""
        self.expected = expected
        self.example = example
        self.candidates = candidates
        """What could stand there instead, where that is a closed set."""


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
    """Any of them; exactly one where the sign compares or the field is empty."""
    field: str = ""
    """Empty for a bare word."""
    negated: bool = False
    column: int = dataclasses.field(default=1, compare=False)
    sign: str = ":"
    """`:` or one of `COMPARISONS`."""


@dataclass(frozen=True)
class Group:
    """At least two conditions of which any (`either`) or each has to hold; made by `grouped`."""

    parts: tuple[Part, ...]
    either: bool
    negated: bool = False


Part = Term | Group


@dataclass(frozen=True)
class Query:
    """A filter: all of its terms have to hold."""

    terms: tuple[Part, ...] = ()


def grouped(parts: Sequence[Part], *, either: bool, negated: bool = False) -> Part:
    """The one form of a group: none of a single part, none directly inside its own kind. `parts` are not empty."""
    if len(parts) == 1:
        return _turned(parts[0], negated)
    flat: list[Part] = []
    for part in parts:
        if isinstance(part, Group) and part.either == either and not part.negated:
            flat.extend(part.parts)
        else:
            flat.append(part)
    return Group(tuple(flat), either, negated)


def _turned(part: Part, negated: bool) -> Part:
    return dataclasses.replace(part, negated=part.negated != negated)


def query_of(parts: Sequence[Part]) -> Query:
    """The one form of a filter of which all `parts` have to hold."""
    if not parts:
        return Query()
    whole = grouped(parts, either=False)
    if isinstance(whole, Group) and not whole.either and not whole.negated:
        return Query(whole.parts)
    return Query((whole,))


def leaves(parts: Sequence[Part]) -> list[Term]:
    """Every term, in the order of the text."""
    found: list[Term] = []
    for part in parts:
        if isinstance(part, Group):
            found.extend(leaves(part.parts))
        else:
            found.append(part)
    return found


# --- text to query --------------------------------------------------------------------------------------------


def parse(text: str) -> Query:
    """Read a filter. Raises `QueryError` with the column."""
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"more than {MOST_CHARACTERS:,} characters", MOST_CHARACTERS + 1)
    reader = _Reader(text)
    if reader.at_end():
        return Query()
    whole = _any(reader, 0)
    if not reader.at_end():
        raise QueryError(
            "this parenthesis was never opened",
            reader.at + 1,
            "a parenthesis that is looked for needs quotes",
            example='(repo:~clip | repo:~vit) "f(x)"',
        )
    return query_of([whole])


class _Reader:
    """A filter's text, how far it has been read, and how much it has asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.terms = 0
        self.values = 0

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

    def count_term(self, column: int) -> None:
        """One more term. Raises `QueryError` beyond the limit."""
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise QueryError(f"more than {MOST_TERMS} terms", column)

    def count_value(self) -> None:
        """One more value. Raises `QueryError` beyond the limit."""
        self.values += 1
        if self.values > MOST_VALUES:
            raise QueryError(f"more than {MOST_VALUES} values", self.at + 1)


def _any(reader: _Reader, depth: int) -> Part:
    parts = [_all(reader, depth)]
    while reader.take("|"):
        parts.append(_all(reader, depth))
    return grouped(parts, either=True)


def _all(reader: _Reader, depth: int) -> Part:
    parts = [_part(reader, depth)]
    while not reader.at_end() and reader.peek() not in "|)":
        reader.take("&")
        parts.append(_part(reader, depth))
    return grouped(parts, either=False)


def _part(reader: _Reader, depth: int) -> Part:
    if reader.at_end() or reader.peek() in "&|)":
        raise QueryError(
            "a term is missing here",
            reader.at + 1,
            "a word, a field or a parenthesis stands on either side of & and |, and inside ( )",
            example="(repo:~clip | repo:~vit) & !channel:image",
        )
    start = reader.at
    negated = reader.take("!")
    if reader.peek() != "(":
        return _term(reader, start + 1, negated)
    return _turned(_in_parentheses(reader, depth + 1), negated)


def _in_parentheses(reader: _Reader, depth: int) -> Part:
    column = reader.at + 1
    if depth > MOST_DEPTH:
        raise QueryError(f"more than {MOST_DEPTH} parentheses within each other", column)
    reader.take("(")
    found = _any(reader, depth)
    if not reader.take(")"):
        raise QueryError("this parenthesis is never closed", column, "a ) is expected at the end")
    if not _ends_word(reader.peek()) or reader.peek() in ("(", ","):
        raise QueryError("text right after a parenthesis", reader.at + 1, "put a space between")
    return found


def _term(reader: _Reader, column: int, negated: bool) -> Term:
    reader.count_term(column)
    found = _FIELD.match(reader.text, reader.at)
    if not found:
        term = Term((Value(_value(reader), part=True),), negated=negated, column=column)
        return _ended(reader, term)
    field, sign = found.groups()
    reader.at = found.end()
    compares = sign in COMPARISONS
    values = (Value(_value(reader)),) if compares else _field_values(reader)
    return _ended(reader, Term(values, field, negated, column, sign))


def _field_values(reader: _Reader) -> tuple[Value, ...]:
    values = [_field_value(reader)]
    while reader.take(","):
        values.append(_field_value(reader))
    return tuple(values)


def _ended(reader: _Reader, term: Term) -> Term:
    """The term, where what follows may follow one."""
    if reader.peek() == ",":
        raise QueryError(
            "a comma outside the values of a field",
            reader.at + 1,
            "either of two words is `a | b`; put a word with a comma in quotes",
        )
    if reader.peek() == "(":
        raise QueryError(
            "a parenthesis inside a word",
            reader.at + 1,
            "put a space before it, or the whole word in quotes",
            example='"f(x)"',
        )
    return term


def _field_value(reader: _Reader) -> Value:
    part = reader.take("~")
    return Value(_value(reader), part)


def _value(reader: _Reader) -> str:
    reader.count_value()
    if reader.peek() == '"':
        return _quoted(reader)
    return _bare(reader)


def _bare(reader: _Reader) -> str:
    start = reader.at
    while not _ends_word(reader.peek()) and reader.peek() != '"':
        reader.at += 1
    if reader.at == start:
        raise QueryError("a value is missing", start + 1, 'nothing at all is written as ""')
    if reader.peek() == '"':
        raise QueryError("a quote inside a word", reader.at + 1, "put the whole value in quotes")
    return reader.text[start : reader.at]


def _quoted(reader: _Reader) -> str:
    start = reader.at
    reader.at += 1
    found: list[str] = []
    while not reader.take('"'):
        reader.take("\\")
        if not reader.peek():
            raise QueryError("this quote is never closed", start + 1, 'a " is expected at the end')
        found.append(reader.peek())
        reader.at += 1
    if not _ends_word(reader.peek()):
        raise QueryError("text right after a closing quote", reader.at + 1, "put a space between")
    return "".join(found)


def _ends_word(character: str) -> bool:
    """Whether a value ends before this character; at the end of the text there is none."""
    return not character or character.isspace() or character in _ENDS_WORD


# --- query to text --------------------------------------------------------------------------------------------


def show(query: Query) -> str:
    """The query in the grammar; `parse` gives it back."""
    lone = len(query.terms) == 1
    return " ".join(show_part(part, bare=lone) for part in query.terms)


def show_part(part: Part, *, bare: bool = False) -> str:
    """One part in the grammar; `bare` leaves out parentheses around alternatives."""
    sign = "!" if part.negated else ""
    if isinstance(part, Term):
        return sign + _show_term(part)
    between = " | " if part.either else " "
    inside = between.join(_show_inside(inner, part) for inner in part.parts)
    if bare and not part.negated:
        return inside
    return f"{sign}({inside})"


def _show_inside(inner: Part, around: Group) -> str:
    """A part of a group; `a b | c` needs no parentheses, because a space binds tighter."""
    return show_part(inner, bare=around.either)


def _show_term(term: Term) -> str:
    if not term.field:
        return _show_word(term.values[0].text)
    values = ",".join(_show_value(value) for value in term.values)
    return f"{term.field}{term.sign}{values}"


def _show_value(value: Value) -> str:
    word = _show_word(value.text)
    if value.part:
        return f"~{word}"
    return word


def _show_word(text: str) -> str:
    """`text` in quotes, unless it reads as one value without them."""
    reads_otherwise = not text or text[0] in "!~=" or _FIELD.match(text)
    if reads_otherwise or _NEEDS_QUOTES.search(text):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def shown(text: str) -> str:
    """A piece of what somebody typed, for an error message."""
    return ascii(text[:80])
