"""A database of each schema since the first is opened by today's code, with what it held; a newer one is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import calling
import pytest
from sqlite_utils import Database

from dife_scanner.records import TriageState
from dife_scanner.store import audits, findings, jobs, models, open_store, triage
from dife_scanner.store.migrations import MIGRATIONS

NAMES = [migration.name for migration in MIGRATIONS.pending(Database(memory=True))]
WRITTEN = {
    "audits": {"id": "audit-1", "verdict": "flagged", "budget": "quick"},
    "findings": {
        "fingerprint": "fp1:a",
        "kind": "flagged",
        "severity": "exposed",
        "confidence": "demonstrated",
        "audit_id": "audit-1",
        "triage": "confirmed",
    },
    "jobs": {"state": "done", "audit_id": "audit-1", "fingerprint": "fp1:a"},
    "triage_events": {"fingerprint": "fp1:a", "state": "confirmed", "actor": "ada"},
}
"""Rows of an early version, by table; the columns that every table has in common are filled in below."""
USUAL = {"repo_id": "org/clip", "interfaces": "[]", "endpoint": "https://hub.example"}
MOMENTS = ("at", "created_at", "updated_at", "last_seen_at", "stored_at", "started_at")


def write(database: sqlite3.Connection, table: str, values: dict[str, str]) -> None:
    """One row, with a value for each column of that time that has to have one."""
    row: dict[str, object] = dict(values)
    for _, name, kind, required, default, is_key in database.execute(f"PRAGMA table_info({table})"):
        if name in row or not required or default is not None or is_key:
            continue
        if name in MOMENTS:
            row[name] = "2025-01-31T00:00:00.000000+00:00"
        else:
            row[name] = USUAL.get(name, "") if kind == "TEXT" else 0
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def database_of(schema: str, home: Path) -> None:
    """What a scanner whose last migration was `schema` left."""
    home.mkdir()
    later = NAMES[NAMES.index(schema) + 1 :]
    raw = sqlite3.connect(home / "dife.db", isolation_level=None)
    raw.execute("PRAGMA synchronous=OFF")  # nobody pulls the plug here
    MIGRATIONS.apply(Database(raw), stop_before=later[0] if later else None)
    assert [one.name for one in MIGRATIONS.applied(Database(raw))][-1] == schema
    for table, values in WRITTEN.items():
        write(raw, table, values)
    raw.close()


def tables(home: Path) -> list[str]:
    """Every table, index and trigger, as it is declared."""
    raw = sqlite3.connect(home / "dife.db")
    found = raw.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    declared = [sql for (sql,) in found]
    raw.close()
    return declared


@pytest.fixture(scope="module")
def tables_today(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Those of a home that is made anew."""
    home = tmp_path_factory.mktemp("today") / "home"
    open_store(home).close()
    return tables(home)


@pytest.mark.parametrize("schema", NAMES)
def test_a_database_of_each_schema_opens_with_what_it_held(
    schema: str, tables_today: list[str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    database_of(schema, home)
    with open_store(home) as store:
        assert store.schema == NAMES[-1] and store.integrity() == []
        (audit,) = audits.audits(store)
        (finding,) = findings.findings(store, filter="repo:~clip triage:confirmed")
        (row,) = models.model_rows(store, filter="verdict:flagged")
        (job,) = jobs.jobs(store)
        decided = triage.all_by_state(store)
    assert (audit.id, finding.audit_id, job.audit_id) == ("audit-1",) * 3
    assert row.job.ref.repo_id == finding.ref.repo_id == "org/clip"
    assert decided[TriageState.CONFIRMED] == 1
    assert tables(home) == tables_today


def test_a_database_of_a_newer_schema_is_refused_in_plain_words(tmp_path: Path) -> None:
    home = tmp_path / "home"
    database_of(NAMES[-1], home)
    with sqlite3.connect(home / "dife.db") as raw:
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('dife-scanner', 'm999_later', '')"
        )
    raw.close()
    done = calling.dife("findings", "--home", home)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    for said in ("dife.db was written by a newer version of DIFE Scanner", "install that version"):
        assert said in " ".join(done.stderr.split())
