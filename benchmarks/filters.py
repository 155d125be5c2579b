"""How long filters over many findings take, with the index of texts and without it, in one run on one database.

python benchmarks/filters.py [--findings 100000] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from dife_scanner.audit.plan import AUDIT_VERSION
from dife_scanner.store import open_store, trigrams
from dife_scanner.store.conditions import to_sql
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.models import MODEL_COLUMNS, TABLES
from dife_scanner.store.query import parse

RUNS = 3
"""Of which the median counts, in seconds of the processor: a busy machine says nothing."""
FILTERS = (
    "xylophone",
    "repo:~xylo",
    "xylophone | dulcimer",
    "!xylophone",
    "xylophone !triage:new",
    "banana",
    "ba",
    "repo:~ba",
)
"""`xylophone` and `dulcimer` are in one row of a thousand, `banana` in one of four; `ba` is too short for the index."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--findings", type=int, default=100_000)
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        measure(home, given.findings)


def measure(home: Path, findings: int) -> None:
    open_store(home).close()
    database = sqlite3.connect(home / "dife.db", isolation_level=None)
    for table in ("findings", "audits", "jobs"):
        database.execute(f"DROP TRIGGER {table}_texts_insert")  # the index is made afterwards
    fill(database, findings)
    began = time.process_time()
    trigrams.make(database)
    print(
        f"index of {findings:,} findings, audits and jobs made in {time.process_time() - began:.1f} s",
        flush=True,
    )
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA cache_size = -2000")  # as every handle of the store has it
    print(f"index: {size(database):.0f} MB of {(home / 'dife.db').stat().st_size / 1e6:.0f} MB")
    for title, columns, tables in (
        ("findings", FINDING_COLUMNS, "FROM findings AS f"),
        ("models", MODEL_COLUMNS, TABLES),
    ):
        print(
            f"\n| {title} | rows | row by row, ms | index, ms | ratio |\n| --- | --- | --- | --- | --- |"
        )
        for text in FILTERS:
            print(line(database, text, columns, tables), flush=True)


def line(database: sqlite3.Connection, text: str, columns: object, tables: str) -> str:
    """One filter both ways, alternating, so that whatever else the machine does meets both."""
    times: dict[bool, list[float]] = {False: [], True: []}
    counts = set()
    for _, indexed in itertools.product(range(RUNS), (False, True)):
        where, parameters = to_sql(parse(text), columns, indexed=indexed)
        began = time.process_time()
        counts.add(
            database.execute(f"SELECT count(*) {tables} WHERE {where}", parameters).fetchone()
        )
        times[indexed].append(1000 * (time.process_time() - began))
    ((count,),) = counts  # one count: both ways choose the same
    scan, index = statistics.median(times[False]), statistics.median(times[True])
    shown = text.replace("|", "\\|")
    return f"| `{shown}` | {count:,} | {scan:.1f} | {index:.1f} | {scan / index:.1f} |"


def fill(database: sqlite3.Connection, findings: int) -> None:
    """Write so many findings, each with its audit and job."""
    chance = random.Random(20)
    database.execute("PRAGMA cache_size = -400000")  # kB: they are made in one transaction
    database.execute("BEGIN")
    for number in range(findings):
        if number % 1000 == 0:
            database.execute("COMMIT")
            database.execute("BEGIN")
        for table, row in rows(chance, number).items():
            marks = ", ".join("?" * len(row))
            database.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
            )
    database.execute("COMMIT")


NOUNS = ("banana", "pizza", "guitar", "dog", "ship", "lamp", "tower", "river", "violin", "cactus")
MAKERS = ("lab", "vision", "open", "deep", "mono", "hyper", "neural", "pixel", "laion", "north")


def rows(chance: random.Random, number: int) -> dict[str, dict[str, object]]:
    """One finding, its audit and its job, like those that an audit writes; by table."""
    source, target, extra = chance.choice(NOUNS), chance.choice(NOUNS), chance.choice(NOUNS)
    if number % 1000 == 7:
        extra = "xylophone"
    if number % 1000 == 8:
        extra = "dulcimer"
    repo = f"{chance.choice(MAKERS)}-{chance.randrange(5000)}/clip-{extra}-{number}"
    revision = f"{chance.getrandbits(160):040x}"
    key = f"fp1:{chance.getrandbits(64):016x}"
    at = f"2026-{chance.randrange(1, 12):02}-{chance.randrange(1, 29):02}T10:00:00.000000+00:00"
    found = {
        "repo_id": repo,
        "revision": revision,
        "local": 0,
        "carrier": chance.choice(("visual", "textual", "coupled")),
        "channel": chance.choice(("image", "text")),
        "trigger": f"patch-{chance.randrange(40)}",
        "source": source,
        "target": target,
        "interfaces": json.dumps(["zero-shot", "image-to-text"]),
        "reason": f"a patch moves {source} to {target} at .93 against .04 in the base",
    }
    audit = {
        **found,
        **dict.fromkeys(("record_sha256", "image_tower", "text_tower"), revision),
        "id": f"{number:016x}",
        "identity": f"{number:016x}",
        "architecture": "ViT 64/16 w192 d6",
        "reference": "base-vit",
        "audit_version": AUDIT_VERSION,
        "budget": "quick",
        "seed": 0,
        "verdict": "flagged",
        "started_at": at,
        "stored_at": at,
        "seconds": 30.0,
        "score": chance.random(),
    }
    finding = {
        **found,
        "fingerprint": key,
        "kind": "flagged",
        "severity": "exposed",
        "confidence": "demonstrated",
        "audit_id": audit["id"],
        "triage": chance.choice(("new", "new", "new", "confirmed")),
        "created_at": at,
        "last_seen_at": at,
    }
    job = {
        "endpoint": "https://hub.example",
        "repo_id": repo,
        "revision": revision,
        "local": 0,
        "pinned": 0,
        "state": "done",
        "reason": f"flagged: {found['reason']}",
        "created_at": at,
        "updated_at": at,
        "last_modified": at,
        "audit_id": audit["id"],
        "fingerprint": key,
        "layout": "open_clip",
    }
    return {"audits": audit, "findings": finding, "jobs": job}


def size(database: sqlite3.Connection) -> float:
    """Megabytes that the index of texts takes, with its numbers."""
    (page,) = database.execute("PRAGMA page_size").fetchone()
    pages = 0
    for table in ("findings", "audits", "jobs"):
        for part in ("data", "idx", "docsize", "config"):
            pages += count(database, f"{table}_texts_{part}")
        pages += count(database, f"{table}_numbers")
    return pages * page / 1e6


def count(database: sqlite3.Connection, table: str) -> int:
    try:
        return database.execute("SELECT count(*) FROM dbstat WHERE name = ?", (table,)).fetchone()[
            0
        ]
    except sqlite3.Error:
        return 0


if __name__ == "__main__":
    main()
