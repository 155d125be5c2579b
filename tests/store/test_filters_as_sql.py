"""What a filter chooses in the database is what the slow evaluator says of each row, with and without the index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_records import make_finding, put_finding

from dife_scanner.store import Store, findings, models, open_store, trigrams
from dife_scanner.store.conditions import Narrow, to_sql
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.matching import holds, selected
from dife_scanner.store.query import COMPARISONS, Part, Query, Term, Value, grouped, query_of
from dife_scanner.store.rows import follow_clock

NOW = datetime(2026, 12, 1, tzinfo=UTC)
PIECES = (
    "clip",
    "CLI",
    "\u00c4rger",
    "\u00e4rger",
    "\u212aelvin",
    '"',
    "\\",
    "%_",
    " ",
    "\U0001f600",
    "NULL",
    "face",
)
some_text = st.lists(st.sampled_from((*PIECES, "cut\0clip")), max_size=3).map("".join)
# the JSON of SQLite ends a text at an escaped NUL; names of interfaces are ours and have none
some_list = st.lists(some_text.map(lambda text: text.replace("\0", "")), max_size=2).map(json.dumps)
some_number = st.one_of(st.none(), st.integers(-2, 2), st.sampled_from([0.5, -0.5, 1e9, 1e-9]))
some_time = st.sampled_from(
    [
        "",
        "2026-11-30T23:59:59.999999+00:00",
        "2026-12-01T00:00:00.000Z",
        "2025-01-01T00:00:00+00:00",
    ]
)
ROW = {
    **dict.fromkeys(("repo_id", "kind", "trigger", "source", "target", "reason"), some_text),
    **dict.fromkeys(("created_at", "last_seen_at"), some_time),
    "revision": st.sampled_from(["", "face0", "FACE1", "refs/clip"]),
    "interfaces": some_list,
    "score": some_number,
    "p_value": some_number,
    "stored_at": some_time,
}
rows = st.lists(st.fixed_dictionaries(ROW), min_size=1, max_size=4)

sought = st.one_of(st.sampled_from((*PIECES, "lip", "clipnull")), some_text)
value = st.builds(Value, sought, st.booleans())
negated = st.booleans()
text_terms = st.builds(
    lambda field, values, negated: Term(tuple(values), field, negated),
    st.sampled_from(["repo", "interface", "reason", "trigger", "revision"]),
    st.lists(value, min_size=1, max_size=2),
    negated,
)
words = st.builds(lambda text, negated: Term((Value(text, True),), "", negated), sought, negated)


def compared(field: str, texts: list[str], signs: tuple[str, ...]) -> st.SearchStrategy[Term]:
    return st.builds(
        lambda text, sign, negated: Term((Value(text),), field, negated, sign=sign),
        st.sampled_from(texts),
        st.sampled_from(signs),
        negated,
    )


NUMBERS = ["0", "0.5", "-.5", "+1e0", "1e9"]
MOMENTS = ["2026-12-01", "2026-11-30T23:59:59.999", "2026-12-01T01:00+01:00", "20250101"]
terms = st.one_of(
    text_terms,
    words,
    words,
    compared("score", NUMBERS, COMPARISONS),
    compared("p_value", ["", *NUMBERS], (":",)),
    compared("found", MOMENTS, COMPARISONS),
    compared("audited", ["", "2026", "2026-11", "2026-12-01T00"], (":",)),
    compared("age", ["1h", "0.001s", "30d", "99w", "999999w"], COMPARISONS),
)
parts: st.SearchStrategy[Part] = st.recursive(
    terms,
    lambda inner: st.builds(
        lambda parts, either, negated: grouped(parts, either=either, negated=negated),
        st.lists(inner, min_size=1, max_size=3),
        st.booleans(),
        negated,
    ),
    max_leaves=5,
)
queries = st.one_of(
    words.map(lambda word: query_of([word])), st.lists(parts, max_size=3).map(query_of)
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    home = tmp_path_factory.mktemp("home")
    open_store(home).close()
    connection = sqlite3.connect(home / "dife.db", isolation_level=None)
    follow_clock(connection)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def put(database: sqlite3.Connection, number: int, row: dict[str, Any]) -> None:
    """A finding and its audit, with what `row` says and something else in every other column."""
    key = f"fp1:{number}"
    for table, name in (("audits", "id"), ("findings", "fingerprint")):
        held: dict[str, Any] = {}
        for column in database.execute(f"PRAGMA table_info({table})"):
            fallback = None if not column["notnull"] else ("" if column["type"] == "TEXT" else 0)
            held[column["name"]] = row.get(column["name"], fallback)
        held |= (
            {name: key, "identity": key, "audit_id": key}
            if table == "findings"
            else {name: key, "identity": key}
        )
        known = {column["name"] for column in database.execute(f"PRAGMA table_info({table})")}
        held = {column: value for column, value in held.items() if column in known}
        marks = ", ".join("?" * len(held))
        database.execute(
            f"INSERT INTO {table} ({', '.join(held)}) VALUES ({marks})", tuple(held.values())
        )


@settings(max_examples=200)
@given(rows, queries, st.sampled_from([0, 2, -1]))
def test_sql_chooses_what_the_slow_evaluator_chooses(
    database: sqlite3.Connection, rows: list[dict[str, Any]], query: Query, taken: int
) -> None:
    """`taken` rows are in the index; the others wait."""
    database.execute("BEGIN")
    try:
        for number, row in enumerate(rows):
            put(database, number, row)
        for texts in trigrams._ALL:
            trigrams._take(database, texts, taken)
        held = database.execute(f"SELECT {selected(FINDING_COLUMNS)} FROM findings AS f").fetchall()
        expected = {row["id"] for row in held if holds(query, dict(row), FINDING_COLUMNS, now=NOW)}
        for narrow in (*Narrow, None):
            where, parameters = to_sql(query, FINDING_COLUMNS, narrow=narrow, now=NOW)
            statement = f"SELECT fingerprint FROM findings AS f WHERE {where}"
            assert {row[0] for row in database.execute(statement, parameters)} == expected
    finally:
        database.execute("ROLLBACK")


def test_why_a_row_matched(store: Store) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one", reason="moves cat to dog"))
    why = findings.why_matched
    assert why(store, "fp1:a", "(repo:~clip | repo:~vit) !triage:confirmed cat") == (
        "repo:~clip",
        "!triage:confirmed",
        "cat",
    )
    assert why(store, "fp1:a", "!(vit | bird) age<1h") == ("!(vit | bird)",)[:0]
    assert why(store, "fp1:a", "!(vit | bird) found<2026-11-02") == (
        "!(vit | bird)",
        "found<2026-11-02",
    )
    assert why(store, "fp1:nobody", "cat") == ()
    (row,) = models.model_rows(store, filter="clip-one")
    assert models.why_matched(store, row.job.id, "state:refused | verdict:flagged") == (
        "state:refused",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one | two", {"a", "b"}),
        ("!(one | two)", {"c"}),
        ("(one | two) !footprint:visual", {"b"}),
        ("found>=2026-11-01", {"a", "b", "c"}),
        ("found>2026-11-01", set()),
        ("found:2026-11", {"a", "b", "c"}),
        ("age>1d", {"a", "b", "c"}),
        ("score>0.5", set()),
        ('score:""', {"a", "b", "c"}),
        ("!score>0.5", {"a", "b", "c"}),
        ('"f(x)" | repo:org/clip-one', {"a", "c"}),
    ],
)
def test_filters_with_groups_and_comparisons_choose_findings(
    store: Store, text: str, expected: set[str]
) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one", carrier="visual"))
    put_finding(store, make_finding("fp1:b", repo="org/clip-two"))
    put_finding(store, make_finding("fp1:c", repo="org/other", source="f(x)"))
    assert trigrams.is_in_step(store.read) is trigrams.has_trigrams()
    assert {found.fingerprint[4:] for found in findings.findings(store, filter=text)} == expected
