"""An index of texts by their trigrams, so that a word is found in 100,000 rows without reading each of them.

Derived from the tables: `candidates` names the rows that may have a word, and the statement looks at those. Triggers
give each row that is new or changed a new number, under which it is a candidate for every word until `catch_up` indexes
it, many at once: row by row that costs ten times as much. The index itself is no part of a trigger, so a SQLite without
the tokenizer writes to the same tables. What the index keeps under a number that is no longer given leads nowhere.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

SHORTEST = 3
"""Characters of a word that the index knows; shorter ones are looked for row by row."""
MOST_WAITING = 1000
"""Rows that may wait for `catch_up`; to look at so many takes a few milliseconds."""
_AT_ONCE = 5000
"""Rows that are indexed in one transaction, in half a second."""
_MOST_OLD_NUMBERS = 10_000
"""Numbers that lead nowhere, beside as many as there are rows, before the index is made anew."""
_LONGEST = 64
"""Characters of a word that the index is asked for: each costs a look, and the rest decides about few rows more."""
_LONGEST_PATTERN = 1000
_OF_PATTERNS = frozenset("%_")
_NUL = "\0"
"""The tokenizer stops at this character: rows with it stay candidates for every word."""


_OF_IDS = frozenset("0123456789abcdefp:")
"""Characters of hashes, numbers and fingerprints, which are not indexed: so many trigrams that differ cost much room.
A row whose ids have others stays a candidate for every word, and a word of these alone is looked for row by row."""
_OTHER_THAN_OF_IDS = "*[^0-9a-fA-FpP:]*"


@dataclass(frozen=True)
class _Texts:
    """The texts of one table: every column in which a bare word is looked for."""

    table: str
    alias: str
    """How the store's statements call the table."""
    key: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    """Those that are indexed."""


_ALL = (
    _Texts(
        "findings",
        "f",
        "fingerprint",
        ("fingerprint", "revision"),
        (
            *("repo_id", "kind", "severity", "confidence", "carrier", "channel"),
            *("trigger", "source", "target", "interfaces", "triage", "assignee"),
            *("comment", "answer", "reason"),
        ),
    ),
    _Texts(
        "audits",
        "a",
        "id",
        ("id", "revision"),
        (
            *("repo_id", "verdict", "carrier", "channel", "trigger", "source", "target"),
            *("interfaces", "reference", "architecture", "budget", "audit_version", "pack"),
            "reason",
        ),
    ),
    _Texts(
        "model_lines",
        "m",
        "job_id",
        ("job_id", "revision", "fingerprint"),
        (
            *("repo_id", "endpoint", "author", "state", "layout", "verdict", "severity"),
            *("confidence", "triage", "assignee", "carrier", "channel", "trigger", "source"),
            *("target", "interfaces", "reference", "tags", "comment", "answer", "reason"),
        ),
    ),
)


def _places() -> dict[str, tuple[_Texts, str]]:
    found = {}
    for texts in _ALL:
        for column in (*texts.ids, *texts.columns):
            found[f"{texts.alias}.{column}"] = (texts, column)
    return found


_PLACES = _places()
"""By a column's name in the store's statements: whose text it is."""

Read = Callable[[str], list[dict[str, Any]]]


# --- asking ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A word that is looked for."""

    places: tuple[str, ...]
    """In one of these columns, as the store's statements call them."""
    text: str


def knows(word: Word) -> bool:
    """Whether `candidates` can name rows for this word."""
    if len(word.text) < SHORTEST or _NUL in word.text or _OF_IDS.issuperset(word.text.lower()):
        return False
    return all(place in _PLACES for place in word.places)


def candidates(words: Sequence[Word]) -> tuple[str, list[str]]:
    """A condition for rows that may have all of these words, each one that it `knows`, with its parameters.

    The index takes more letters for the same than a filter does (`Ä` and `ä`), so it never leaves a row out.
    """
    asked: dict[tuple[_Texts, ...], list[dict[_Texts, str]]] = {}
    for word in words:
        matches = _matches(word)
        asked.setdefault(tuple(matches), []).append(matches)
    conditions = []
    parameters = []
    for tables, together in asked.items():
        # of one table they are asked for at once, of several each on its own: the row of either may have it
        groups = [together] if len(tables) == 1 else [[one] for one in together]
        for group in groups:
            conditions.append("(" + " OR ".join(_among(texts) for texts in tables) + ")")
            parameters += [" AND ".join(one[texts] for one in group) for texts in tables]
    return " AND ".join(conditions), parameters


def _matches(word: Word) -> dict[_Texts, str]:
    """By table, what its index is asked."""
    columns: dict[_Texts, list[str]] = {}
    for place in word.places:
        texts, column = _PLACES[place]
        of_table = columns.setdefault(texts, [])
        if column in texts.columns:
            of_table.append(column)
    phrase = '"' + word.text[:_LONGEST].replace('"', '""') + '"'
    found = {}
    for texts, of_table in columns.items():
        # what is asked of ids alone is asked of every text as well: rows too many, never too few
        found[texts] = f"({{{' '.join(of_table or texts.columns)}}} : {phrase})"
    return found


@dataclass(frozen=True)
class Sight:
    """What each row shows of a word without the index, several times as fast as `instr(lower(…))`."""

    has: str
    """True only of rows that have the word; NULL or false of others."""
    values: tuple[str, ...]
    """Parameters of `has`."""
    unsure: str
    """True of every other row that may have it: LIKE reads no text beyond a NUL."""


def alike(places: Sequence[str], word: str) -> Sight | None:
    """How `word` shows in one of `places`; `None` where LIKE would take something else for the word."""
    if not word or len(word) > _LONGEST_PATTERN or _NUL in word or _OF_PATTERNS & set(word):
        return None
    if not _folds_ascii_alone() or not all(place in _PLACES for place in places):
        return None
    has = " OR ".join(f"{place} LIKE ?" for place in places)
    unsure = []
    for texts in dict.fromkeys(_PLACES[place][0] for place in places):
        key = f"{texts.alias}.{texts.key}"
        rows = f"SELECT key FROM {texts.table}_numbers WHERE whole = 0"
        unsure.append(f"coalesce({key} IN ({rows}), 0)")
    values = (f"%{word}%",) * len(places)
    return Sight(has, values, " OR ".join(unsure))


@cache
def _folds_ascii_alone() -> bool:
    """Whether this SQLite's LIKE takes upper and lower case for the same in ASCII and nowhere else, as filters do."""
    memory = sqlite3.connect(":memory:")
    try:
        ((ascii_, others),) = memory.execute("SELECT 'A' LIKE 'a', 'Ä' LIKE 'ä'")
    finally:
        memory.close()
    return bool(ascii_) and not others


def _among(texts: _Texts) -> str:
    """Rows of one table whose texts match. The key may be NULL where the table was joined from the left."""
    key = f"{texts.alias}.{texts.key}"
    numbers, index = f"{texts.table}_numbers", f"{texts.table}_texts"
    return (
        f"({key} IS NOT NULL AND {key} IN ("
        f"SELECT n.key FROM {index} AS t JOIN {numbers} AS n ON n.number = t.rowid WHERE {index} MATCH ?"
        f" UNION ALL SELECT key FROM {numbers} WHERE whole = 0))"
    )


def is_in_step(read: Read) -> bool:
    """Whether the index is there, of this version, and can be read. `read` gives the rows of a statement."""
    if not has_trigrams():
        return False
    names = ", ".join(f"'{name}'" for name in _TRIGGERS)
    rows = read(f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name IN ({names})")
    return {row["name"]: row["sql"] for row in rows} == _TRIGGERS


@cache
def has_trigrams() -> bool:
    """Whether this SQLite has FTS5 and its trigram tokenizer."""
    memory = sqlite3.connect(":memory:")
    try:
        memory.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize = 'trigram')")
    except sqlite3.Error:
        return False
    finally:
        memory.close()
    return True


def described() -> str:
    """How words are looked for, for `dife info`."""
    if has_trigrams():
        return "by an index of trigrams"
    return f"row by row (SQLite {sqlite3.sqlite_version} has no FTS5 with trigrams)"


# --- making ---------------------------------------------------------------------------------------------------


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether `make` has something to do."""
    if not has_trigrams():
        return False
    if not is_in_step(lambda sql: _rows(connection, sql)):
        return True
    return any(_mostly_old(connection, texts) for texts in _ALL)


def _mostly_old(connection: sqlite3.Connection, texts: _Texts) -> bool:
    number = f"SELECT coalesce(max(number), 0) FROM {texts.table}_numbers"
    row = f"SELECT coalesce(max(rowid), 0) FROM {texts.table}"
    ((old,),) = connection.execute(f"SELECT ({number}) - 2 * ({row})")
    return bool(old > _MOST_OLD_NUMBERS)


def make(connection: sqlite3.Connection) -> None:
    """Make the index anew, in one transaction."""
    with _transaction(connection):
        for texts in _ALL:
            _create(connection, texts)
            _take(connection, texts, -1)


def catch_up(connection: sqlite3.Connection) -> None:
    """Index rows that wait for it, where they have become many. One transaction; some may still wait afterwards."""
    if not is_in_step(lambda sql: _rows(connection, sql)):
        return
    for texts in _ALL:
        if _are_many(connection, texts):
            with _transaction(connection):
                _take(connection, texts, _AT_ONCE)


def _are_many(connection: sqlite3.Connection, texts: _Texts) -> bool:
    waiting = f"SELECT 1 FROM {texts.table}_numbers WHERE taken = 0 LIMIT 1 OFFSET {MOST_WAITING}"
    return bool(connection.execute(waiting).fetchall())


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection, texts: _Texts) -> None:
    """Tables and triggers, with every row waiting."""
    table, columns = texts.table, ", ".join(texts.columns)
    for name in _triggers(texts):
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
    connection.execute(f"DROP TABLE IF EXISTS {table}_texts")
    connection.execute(f"DROP TABLE IF EXISTS {table}_numbers")
    # AUTOINCREMENT: a number that was given to another row must not come back
    connection.execute(
        f"CREATE TABLE {table}_numbers (number INTEGER PRIMARY KEY AUTOINCREMENT, key ANY NOT NULL UNIQUE,"
        " taken INTEGER NOT NULL DEFAULT 0, whole INTEGER NOT NULL DEFAULT 0) STRICT"
    )
    connection.execute(f"CREATE INDEX {table}_not_whole ON {table}_numbers (key) WHERE whole = 0")
    connection.execute(f"CREATE INDEX {table}_waiting ON {table}_numbers (number) WHERE taken = 0")
    connection.execute(
        f"CREATE VIRTUAL TABLE {table}_texts"
        f" USING fts5({columns}, content = '', tokenize = 'trigram')"
    )
    connection.execute(f"INSERT INTO {table}_numbers (key) SELECT {texts.key} FROM {table}")
    for statement in _triggers(texts).values():
        connection.execute(statement)


def _take(connection: sqlite3.Connection, texts: _Texts, most: int) -> None:
    """Index at most so many of the rows that wait; -1 for all of them."""
    table, columns = texts.table, ", ".join(texts.columns)
    first = f"SELECT number FROM {table}_numbers WHERE taken = 0 ORDER BY number LIMIT ?"
    ((last,),) = connection.execute(f"SELECT max(number) FROM ({first})", (most,))
    connection.execute(
        f"INSERT INTO {table}_texts (rowid, {columns}) SELECT n.number, {_values(texts, 'x')}"
        f" FROM {table}_numbers AS n JOIN {table} AS x ON x.{texts.key} = n.key"
        " WHERE n.taken = 0 AND n.number <= ? ORDER BY n.number",
        (last,),
    )
    connection.execute(
        f"UPDATE {table}_numbers SET taken = 1,"
        f" whole = (SELECT {_whole(texts, 'x')} FROM {table} AS x WHERE x.{texts.key} = key)"
        " WHERE taken = 0 AND number <= ?",
        (last,),
    )


def _values(texts: _Texts, row: str) -> str:
    return ", ".join(f"{row}.{column}" for column in texts.columns)


def _whole(texts: _Texts, row: str) -> str:
    """Whether the index knows everything about a row."""
    ids, together = (
        " || ".join(f"coalesce({row}.{column}, '')" for column in columns)
        for columns in (texts.ids, texts.columns)
    )
    return f"instr({together}, char(0)) = 0 AND NOT ({ids}) GLOB '{_OTHER_THAN_OF_IDS}'"


def _triggers(texts: _Texts) -> dict[str, str]:
    """The statements that keep the numbers of one table in step, by the names of the triggers."""
    table, key = texts.table, texts.key
    watched = (*texts.ids, *texts.columns)
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in watched)
    # `+` takes the column's type away: compared as a number or a text, a key of any type is not found by its index
    forget = f"DELETE FROM {table}_numbers WHERE key = +{{row}}.{key};"
    old, new = forget.format(row="OLD"), forget.format(row="NEW")
    add = f"{new} INSERT INTO {table}_numbers (key) VALUES (NEW.{key});"
    bodies = {
        "insert": f"AFTER INSERT ON {table} BEGIN {add} END",
        "delete": f"AFTER DELETE ON {table} BEGIN {old} END",
        "update": f"AFTER UPDATE OF {', '.join(watched)} ON {table} WHEN {changed} BEGIN {old} {add} END",
    }
    found = {}
    for event, body in bodies.items():
        name = f"{table}_texts_{event}"
        found[name] = f"CREATE TRIGGER {name} {body}"
    return found


def _all_triggers() -> dict[str, str]:
    found = {}
    for texts in _ALL:
        found.update(_triggers(texts))
    return found


_TRIGGERS = _all_triggers()


def _rows(connection: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
