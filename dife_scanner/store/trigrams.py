"""An index of texts by their trigrams, so that a word is found in 100,000 rows without reading each of them.

Derived from the tables and never read for itself: `candidates` names the rows that may have a word, the statement looks
at those. It is made where it is missing or of another version when a home is opened for writing, in one transaction,
and triggers keep it in step. A SQLite without the tokenizer takes the triggers away, so that rows can still be written;
without them the index counts as absent, until a SQLite with it makes it anew.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

SHORTEST = 3
"""Characters of a word that the index knows; shorter ones are looked for row by row."""
_LONGEST = 64
"""Characters of a word that the index is asked for: each costs a look, and the rest decides about few rows more."""
_NUL = "\0"
"""The tokenizer stops at this character: rows with it are candidates for every word."""


@dataclass(frozen=True)
class _Texts:
    """The texts of one table."""

    table: str
    alias: str
    """How the store's statements call the table."""
    key: str
    columns: tuple[str, ...]
    """Every text in which a bare word is looked for."""


_ALL = (
    _Texts(
        "findings",
        "f",
        "fingerprint",
        (
            "fingerprint",
            "repo_id",
            "revision",
            "kind",
            "severity",
            "confidence",
            "carrier",
            "channel",
            "trigger",
            "source",
            "target",
            "interfaces",
            "triage",
            "reason",
        ),
    ),
    _Texts(
        "audits",
        "a",
        "id",
        (
            "id",
            "repo_id",
            "revision",
            "verdict",
            "carrier",
            "channel",
            "trigger",
            "source",
            "target",
            "interfaces",
            "reference",
            "architecture",
            "budget",
            "audit_version",
            "pack",
            "reason",
        ),
    ),
    _Texts(
        "jobs",
        "j",
        "id",
        (
            "id",
            "repo_id",
            "revision",
            "endpoint",
            "state",
            "layout",
            "fingerprint",
            "reason",
        ),
    ),
)


def _places() -> dict[str, tuple[_Texts, str]]:
    found = {}
    for texts in _ALL:
        for column in texts.columns:
            found[f"{texts.alias}.{column}"] = (texts, column)
    return found


_PLACES = _places()
"""By a column's name in the store's statements: whose text it is."""

Read = Callable[[str], list[dict[str, Any]]]


# --- asking ---------------------------------------------------------------------------------------------------


def candidates(places: Sequence[str], word: str) -> tuple[str, tuple[str, ...]] | None:
    """A condition for rows that may have `word` in one of `places`, with its parameters; `None` where none is known.

    The index takes more letters for the same than a filter does (`Ä` and `ä`), so it never leaves a row out.
    """
    if len(word) < SHORTEST or _NUL in word or not all(place in _PLACES for place in places):
        return None
    columns: dict[_Texts, list[str]] = {}
    for place in places:
        texts, column = _PLACES[place]
        columns.setdefault(texts, []).append(column)
    phrase = '"' + word[:_LONGEST].replace('"', '""') + '"'
    conditions = [_among(texts) for texts in columns]
    matches = [f"{{{' '.join(of_table)}}} : {phrase}" for of_table in columns.values()]
    return " OR ".join(conditions), tuple(matches)


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
    """Whether the index is there, of this version, and kept in step. `read` gives the rows of a statement."""
    names = ", ".join(f"'{name}'" for name in _TRIGGERS)
    rows = read(f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name IN ({names})")
    return {row["name"]: row["sql"] for row in rows} == _TRIGGERS and has_trigrams()


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
    if has_trigrams():
        return not is_in_step(lambda sql: _rows(connection, sql))
    return bool(_stored_triggers(connection))


def make(connection: sqlite3.Connection) -> None:
    """Make the index anew, or where this SQLite cannot, take its triggers away; in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for name in _stored_triggers(connection):
            connection.execute(f"DROP TRIGGER {name}")
        if has_trigrams():
            for texts in _ALL:
                _fill(connection, texts)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fill(connection: sqlite3.Connection, texts: _Texts) -> None:
    table, columns = texts.table, ", ".join(texts.columns)
    connection.execute(f"DROP TABLE IF EXISTS {table}_texts")
    connection.execute(f"DROP TABLE IF EXISTS {table}_numbers")
    connection.execute(
        f"CREATE TABLE {table}_numbers"
        " (number INTEGER PRIMARY KEY, key ANY NOT NULL UNIQUE, whole INTEGER NOT NULL) STRICT"
    )
    connection.execute(f"CREATE INDEX {table}_cut ON {table}_numbers (key) WHERE whole = 0")
    connection.execute(
        f"CREATE VIRTUAL TABLE {table}_texts"
        f" USING fts5({columns}, content = '', tokenize = 'trigram')"
    )
    connection.execute(
        f"INSERT INTO {table}_numbers (key, whole) SELECT {texts.key}, {_whole(texts, table)} FROM {table}"
    )
    connection.execute(
        f"INSERT INTO {table}_texts (rowid, {columns}) SELECT n.number, {_values(texts, 'x')}"
        f" FROM {table} AS x JOIN {table}_numbers AS n ON n.key = x.{texts.key}"
    )
    for statement in _triggers(texts).values():
        connection.execute(statement)


def _values(texts: _Texts, row: str) -> str:
    return ", ".join(f"{row}.{column}" for column in texts.columns)


def _whole(texts: _Texts, row: str) -> str:
    """Whether the tokenizer reads every text of a row to its end."""
    together = " || ".join(f"coalesce({row}.{column}, '')" for column in texts.columns)
    return f"instr({together}, char(0)) = 0"


def _triggers(texts: _Texts) -> dict[str, str]:
    """The statements that keep the index of one table in step, by the names of the triggers."""
    table, columns = texts.table, ", ".join(texts.columns)
    number = f"(SELECT number FROM {table}_numbers WHERE key = {{row}}.{texts.key})"
    number_old, number_new = number.format(row="OLD"), number.format(row="NEW")
    # a table without content is told what stood there: it does not know itself
    remove = (
        f"INSERT INTO {table}_texts ({table}_texts, rowid, {columns})"
        f" VALUES ('delete', {number_old}, {_values(texts, 'OLD')});"
    )
    forget = f"DELETE FROM {table}_numbers WHERE key = OLD.{texts.key};"
    add = (
        f"INSERT INTO {table}_numbers (key, whole) VALUES (NEW.{texts.key}, {_whole(texts, 'NEW')});"
        f" INSERT INTO {table}_texts (rowid, {columns}) VALUES ({number_new}, {_values(texts, 'NEW')});"
    )
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in texts.columns)
    return {
        f"{table}_texts_insert": f"CREATE TRIGGER {table}_texts_insert AFTER INSERT ON {table}"
        f" BEGIN {add} END",
        f"{table}_texts_delete": f"CREATE TRIGGER {table}_texts_delete AFTER DELETE ON {table}"
        f" BEGIN {remove} {forget} END",
        f"{table}_texts_update": f"CREATE TRIGGER {table}_texts_update AFTER UPDATE OF {columns} ON {table}"
        f" WHEN {changed} BEGIN {remove} {forget} {add} END",
    }


def _all_triggers() -> dict[str, str]:
    found = {}
    for texts in _ALL:
        found.update(_triggers(texts))
    return found


_TRIGGERS = _all_triggers()


def _stored_triggers(connection: sqlite3.Connection) -> list[str]:
    """Triggers of any version of the index, by their names."""
    found = []
    for texts in _ALL:
        for row in _rows(
            connection,
            f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '{texts.table}_texts_*'",
        ):
            found.append(str(row["name"]))
    return found


def _rows(connection: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
