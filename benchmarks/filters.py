"""How long filters over many findings take, with the index of texts and without it, in one run on one database.

python benchmarks/filters.py [--findings 100000] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import large_home

from dife_scanner.store import trigrams
from dife_scanner.store.conditions import by_index, to_sql
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
    database = large_home.make(home, findings)
    began = time.process_time()
    trigrams.make(database)
    print(
        f"index of {findings:,} findings, audits and lines made in {time.process_time() - began:.1f} s",
        flush=True,
    )
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
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
        where, parameters = to_sql(parse(text), columns, narrow=by_index if indexed else None)
        began = time.process_time()
        counts.add(
            database.execute(f"SELECT count(*) {tables} WHERE {where}", parameters).fetchone()
        )
        times[indexed].append(1000 * (time.process_time() - began))
    ((count,),) = counts  # one count: both ways choose the same
    scan, index = statistics.median(times[False]), statistics.median(times[True])
    shown = text.replace("|", "\\|")
    return f"| `{shown}` | {count:,} | {scan:.1f} | {index:.1f} | {scan / index:.1f} |"


def size(database: sqlite3.Connection) -> float:
    """Megabytes that the index of texts takes, with its numbers."""
    (page,) = database.execute("PRAGMA page_size").fetchone()
    pages = 0
    for table in ("findings", "audits", "model_lines"):
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
