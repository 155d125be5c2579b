"""The index of texts: in step with the tables whatever happens, made anew where it is not, never needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_records import make_finding, make_ref, put_finding

from dife_scanner.records import JobState, TriageState
from dife_scanner.store import (
    Store,
    db,
    findings,
    jobs,
    leases,
    models,
    open_store,
    polls,
    triage,
    trigrams,
)
from dife_scanner.store.conditions import Narrow, to_sql
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.models import MODEL_COLUMNS
from dife_scanner.store.query import parse


@pytest.fixture
def without_trigrams(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A SQLite that has no FTS5 with trigrams, until the patch is undone."""
    monkeypatch.setattr(trigrams, "has_trigrams", lambda: False)
    yield monkeypatch


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row waits for the index to have company."""
    monkeypatch.setattr(trigrams, "MOST_WAITING", 0)


def indexed_words(store: Store, word: str) -> set[str]:
    """Findings that the index itself names, those that wait left out."""
    rows = store.read(
        "SELECT key FROM findings_numbers WHERE number IN"
        " (SELECT rowid FROM findings_texts WHERE findings_texts MATCH ?)",
        (f'"{word}"',),
    )
    return {row["key"] for row in rows}


def found(store: Store, filter: str) -> set[str]:
    return {one.fingerprint for one in findings.findings(store, filter=filter)}


def test_what_is_written_is_found_before_and_after_it_is_indexed(
    store: Store, at_once: None
) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    assert (found(store, "clip-one"), indexed_words(store, "clip-one")) == ({"fp1:a"}, set())
    store.index_texts()
    assert found(store, "clip-one") == indexed_words(store, "clip-one") == {"fp1:a"}
    triage.decide(store, TriageState.CONFIRMED, triage.seen(store, ["fp1:a"]), actor="ada")
    assert found(store, "confirmed") == found(store, "!triage:new") == {"fp1:a"}
    polls.beat(store, "watcher", 1, "")
    assert found(store, "confirmed") == indexed_words(store, "confirmed") == {"fp1:a"}
    assert found(store, "moves") == {"fp1:a"}
    with store.atomic("test"):
        store.write("UPDATE findings SET reason = 'another sentence'")
    store.index_texts()
    assert found(store, "moves") == indexed_words(store, "moves") == set()
    assert store.read("PRAGMA quick_check") == [{"quick_check": "ok"}]


def test_a_row_that_goes_leaves_the_index(store: Store, at_once: None) -> None:
    with store.atomic("test"):
        store.write(
            "INSERT INTO findings VALUES ('k', 'org/gone', '', 0, '', '', '', '', '', '', '', '', '[]', '', NULL,"
            " 'new', '', '', '', '', '', '')"
        )
    store.index_texts()
    assert indexed_words(store, "gone") == {"k"}
    with store.atomic("test"):
        store.write("DELETE FROM findings")
    assert indexed_words(store, "gone") == set()
    assert store.read("SELECT * FROM findings_numbers") == []


def test_an_index_that_is_mostly_of_the_past_is_made_anew(
    store: Store, home: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigrams, "_MOST_OLD_NUMBERS", 3)
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    for number in range(5):
        with store.atomic("test"):
            store.write("UPDATE findings SET reason = ?", (f"sentence {number}",))
        store.index_texts()
    with open_store(home) as opened:
        assert opened.read("SELECT number FROM findings_numbers") == [{"number": 1}]
        assert found(opened, "sentence") == indexed_words(opened, "sentence 4") == {"fp1:a"}


def test_the_numbers_survive_a_vacuum(store: Store, home: Path) -> None:
    """SQLite may number the rows of a table without a number of its own anew."""
    for name in ("fp1:a", "fp1:b"):
        put_finding(store, make_finding(name, repo=f"org/{name[4:]}-model"))
    with sqlite3.connect(home / "dife.db") as other:
        other.execute("VACUUM")
    assert found(store, "b-model") == {"fp1:b"}


def test_an_old_home_gets_its_index_when_it_is_opened_even_for_reading(
    store: Store, home: Path
) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    store.close()
    with sqlite3.connect(home / "dife.db") as old:
        for table in ("findings", "audits", "model_lines"):
            for event in ("insert", "update", "delete"):
                old.execute(f"DROP TRIGGER {table}_texts_{event}")
            old.execute(f"DROP TABLE {table}_texts")
            old.execute(f"DROP TABLE {table}_numbers")
        old.execute("DELETE FROM _sqlite_migrations WHERE name = 'm016_index_of_texts'")
    with open_store(home, read_only=True) as opened:
        assert trigrams.is_in_step(opened.read)
        assert found(opened, "clip-one") == {"fp1:a"}
        assert opened.integrity() == []


def test_an_older_home_gets_triggers_that_use_the_index_and_keeps_what_is_indexed(
    store: Store, home: Path
) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    store.close()
    with sqlite3.connect(home / "dife.db") as old:
        for name, sql in trigrams._TRIGGERS.items():
            old.execute(f"DROP TRIGGER {name}")
            old.execute(sql.replace("key = +", "key = "))
        old.execute("UPDATE findings_numbers SET number = 7")
        old.execute("DELETE FROM _sqlite_migrations WHERE name = 'm031_numbers_by_index'")
    with open_store(home) as opened:
        assert trigrams.is_in_step(opened.read)
        assert opened.read("SELECT number FROM findings_numbers") == [{"number": 7}]  # not anew


def _steps(store: Store, act: Callable[[], object]) -> int:
    """Steps of the database's machine in tens, which depend on no clock."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection = store._connection
    connection.set_progress_handler(count, 10)
    act()
    connection.set_progress_handler(None, 0)
    return steps


def test_a_change_costs_no_more_among_many_rows(store: Store) -> None:
    """Each change once read the numbers of all rows: with 100,000 jobs five milliseconds of every step."""

    def queue(first: int, last: int) -> None:
        for number in range(first, last):
            put_finding(store, make_finding(f"fp1:{number}", repo=f"org/clip-{number}"))

    def take() -> None:
        assert leases.claim(store, "w", 60.0)

    def note() -> None:
        with store.atomic("test"):
            store.write("UPDATE findings SET comment = comment || 'x' WHERE fingerprint = 'fp1:0'")

    def discover(name: str) -> None:
        ref = make_ref(name)
        jobs.discover(store, ref, endpoint="hub", state=JobState.QUEUED, reason="new")

    queue(0, 2)
    for number in range(3):
        discover(f"org/first-{number}")
    few = [_steps(store, take), _steps(store, note), _steps(store, lambda: discover("org/one"))]
    queue(2, 300)
    for number in range(300):
        discover(f"org/later-{number}")
    many = [_steps(store, take), _steps(store, note), _steps(store, lambda: discover("org/two"))]
    for before, after in zip(few, many, strict=True):
        assert after < before + 100, (few, many)  # one look at each of 300 rows is as much


def test_a_making_that_breaks_off_leaves_what_was_there(store: Store, home: Path) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    with sqlite3.connect(home / "dife.db", isolation_level=None) as other:
        trigrams.make(other)
        steps = iter(range(10_000))
        other.set_progress_handler(lambda: next(steps) > 40, 50)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            trigrams.make(other)
    other.close()
    assert trigrams.is_in_step(store.read)
    assert indexed_words(store, "clip-one") == {"fp1:a"}


def test_without_the_tokenizer_everything_works_and_later_the_index_goes_on(
    store: Store, home: Path, at_once: None, without_trigrams: pytest.MonkeyPatch
) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    with open_store(home) as opened:
        assert not trigrams.is_in_step(opened.read)
        put_finding(opened, make_finding("fp1:b", repo="org/clip-two"))
        assert found(opened, "clip-two") == {"fp1:b"}
        assert "row by row" in trigrams.described()
    without_trigrams.undo()
    with open_store(home) as opened:
        opened.index_texts()
        assert trigrams.is_in_step(opened.read)
        assert found(opened, "clip-two") == {"fp1:b"}


def test_a_home_made_without_the_tokenizer_gets_its_index_later(
    home: Path, without_trigrams: pytest.MonkeyPatch, migrate: Callable[..., None]
) -> None:
    without_trigrams.setattr(db, "_migrate", migrate)
    with open_store(home) as opened:
        put_finding(opened, make_finding("fp1:a", repo="org/clip-one"))
        assert not opened.read("SELECT 1 FROM sqlite_master WHERE name GLOB 'findings_*s_*'")
    without_trigrams.undo()
    with open_store(home) as opened:
        assert indexed_words(opened, "clip-one") == {"fp1:a"}


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("word", True),
        ("wo", False),
        ("\U0001f600ab", True),
        ("repo:~part", True),
        ("repo:~pa", False),
    ],
)
def test_words_of_three_characters_ask_the_index(text: str, asks: bool) -> None:
    for columns in (FINDING_COLUMNS, MODEL_COLUMNS):
        where, parameters = to_sql(parse(text), columns, narrow=Narrow.BY_INDEX)
        assert ("MATCH" in where) is asks
        assert where.count("?") == len(parameters)


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("word other", 1),
        ("word (other repo:~part) verdict:flagged", 1),
        ("word | other", 2),
        ("word !other", 1),
        ("word (other | third)", 3),
    ],
)
def test_words_that_a_row_has_together_are_asked_for_together(text: str, questions: int) -> None:
    where, parameters = to_sql(parse(text), MODEL_COLUMNS, narrow=Narrow.BY_INDEX)
    assert where.count("MATCH") == questions
    assert where.count("?") == len(parameters)


def test_models_are_found_by_the_texts_of_all_their_tables(store: Store) -> None:
    put_finding(store, make_finding("fp1:a", repo="org/clip-one"))
    put_finding(store, make_finding("fp1:b", repo="org/clip-two"))
    triage.decide(store, TriageState.CONFIRMED, triage.seen(store, ["fp1:b"]), actor="ada")
    rows = {row.job.ref.repo_id for row in models.model_rows(store, filter="confirmed | clip-one")}
    assert rows == {"org/clip-one", "org/clip-two"}
    assert models.count_models(store, filter="!confirmed") == 1
    first = models.model_rows(store, filter="clip-one")[0]
    assert models.model_row(store, first.job.id) == first


@pytest.mark.parametrize(
    ("column", "text"), [("reason", "cut\0 off-here"), ("revision", "refs/off-here")]
)
def test_a_row_that_the_index_cannot_know_whole_is_still_found(
    store: Store, at_once: None, column: str, text: str
) -> None:
    put_finding(store, make_finding("fp1:a"))
    with store.atomic("test"):
        store.write(f"UPDATE findings SET {column} = ?", (text,))
    store.index_texts()
    assert store.read("SELECT taken, whole FROM findings_numbers") == [{"taken": 1, "whole": 0}]
    assert found(store, "off-here") == {"fp1:a"}
