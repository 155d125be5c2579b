"""Make a home with many findings, each with its audit and its job, to see how lists and the window do with it.

python benchmarks/large_home.py FOLDER [--findings 100000]

Then `dife gui --home FOLDER`. Names, numbers and states are drawn with a fixed seed. All audits share one record.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dife_scanner.audit.plan import AUDIT_VERSION
from dife_scanner.records import HubModel
from dife_scanner.store import evidence, open_store, trigrams
from dife_scanner.store.codec import to_json

RECORD = Path(__file__).parents[1] / "tests" / "store" / "assets" / "audit-without-plan.json"
NOUNS = ("banana", "pizza", "guitar", "dog", "ship", "lamp", "tower", "river", "violin", "cactus")
MAKERS = ("lab", "vision", "open", "deep", "mono", "hyper", "neural", "pixel", "laion", "north")
TAGS = ("clip", "open_clip", "zero-shot-image-classification", "safetensors", "license:mit", "en")
HUB = "https://hub.example"
Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--findings", type=int, default=100_000)
    given = parser.parse_args()
    make(given.home, given.findings)


def make(home: Path, findings: int, days: float = 0.0) -> sqlite3.Connection:
    """A new home with so many findings, and a connection to its database; with `days`, as many came in each of them."""
    open_store(home).close()
    database = sqlite3.connect(home / "dife.db", isolation_level=None)
    for table in ("findings", "audits", "model_lines"):
        database.execute(f"DROP TRIGGER {table}_texts_insert")  # the index is made afterwards
    fill(database, findings, evidence.put(home, RECORD.read_bytes(), ".json"), days)
    trigrams.make(database)
    # as every handle of the store has it
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -2000"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database


def fill(database: sqlite3.Connection, findings: int, record: str, days: float) -> None:
    """Write so many findings, each with its audit, of this record, and its job."""
    chance = random.Random(20)
    end = datetime.now(UTC)
    # kB: nobody reads meanwhile, and what a crash leaves is made anew
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1500000"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    database.execute("BEGIN")
    for number in range(findings):
        at = ""
        if days:
            at = (end - timedelta(days=days * (1 - number / findings))).isoformat(
                "T", "microseconds"
            )
        put(database, rows(chance, number, record, at))
    database.execute("COMMIT")


def put(database: sqlite3.Connection, rows: dict[str, Row]) -> None:
    """Insert one row into each of these tables."""
    for table, row in rows.items():
        marks = ", ".join("?" * len(row))
        database.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
        )


def rows(chance: random.Random, number: int, record: str, at: str = "") -> dict[str, Row]:
    """One finding, its audit and its job, like those that an audit writes; by table. `at`: when, else in some month."""
    source, target, extra = chance.choice(NOUNS), chance.choice(NOUNS), chance.choice(NOUNS)
    if number % 1000 == 7:
        extra = "xylophone"
    if number % 1000 == 8:
        extra = "dulcimer"
    author = f"{chance.choice(MAKERS)}-{chance.randrange(5000)}"
    month = f"2026-{chance.randrange(1, 12):02}-{chance.randrange(1, 29):02}T10:00:00.000000+00:00"
    at = at or month
    found: Row = {
        "repo_id": f"{author}/clip-{extra}-{number}",
        "revision": f"{chance.getrandbits(160):040x}",
        "local": 0,
        "carrier": chance.choice(("visual", "textual", "coupled")),
        "channel": chance.choice(("image", "text")),
        "trigger": f"patch-{chance.randrange(40)}",
        "source": source,
        "target": target,
        "interfaces": json.dumps(["zero-shot classification", "image-text retrieval"]),
        "reason": f"a patch moves {source} to {target} at .93 against .04 in the base",
    }
    key = f"fp1:{chance.getrandbits(64):016x}"
    audit = _audit(found, number, record, at) | {"score": chance.random()}
    finding = _finding(found, key, at) | {
        "audit_id": audit["id"],
        "triage": chance.choice(("new", "new", "new", "confirmed")),
    }
    job = _job(found, key, at) | {"audit_id": audit["id"], "model": _model(chance, found, author)}
    return {"audits": audit, "findings": finding, "jobs": job}


def _audit(found: Row, number: int, record: str, at: str) -> Row:
    return {
        **found,
        **dict.fromkeys(("image_tower", "text_tower"), found["revision"]),
        "record_sha256": record,
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
        "exposure": 0.89,
    }


def _finding(found: Row, key: str, at: str) -> Row:
    return {
        **found,
        "fingerprint": key,
        "kind": "flagged",
        "severity": "exposed",
        "confidence": "demonstrated",
        "created_at": at,
        "last_seen_at": at,
    }


def _job(found: Row, key: str, at: str) -> Row:
    return {
        "endpoint": HUB,
        "repo_id": found["repo_id"],
        "revision": found["revision"],
        "local": 0,
        "pinned": 0,
        "state": "done",
        "reason": f"flagged: {found['reason']}",
        "created_at": at,
        "updated_at": at,
        "last_modified": at,
        "fingerprint": key,
        "layout": "open_clip",
    }


def _model(chance: random.Random, found: Row, author: str) -> str:
    """What the hub's listing said."""
    model = HubModel(
        str(found["repo_id"]),
        str(found["revision"]),
        "2026-11-01T10:00:00.000Z",
        author=author,
        tags=tuple(chance.sample(TAGS, 3)),
        downloads=chance.randrange(100_000),
    )
    return to_json(model)


if __name__ == "__main__":
    main()
