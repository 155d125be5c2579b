"""Clean checkpoints that suspects are compared with, the files they are made of, and which audits use them now."""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import CastTowers, Reference, Trust
from dife_scanner.store import query
from dife_scanner.store.db import Store
from dife_scanner.store.job_rows import HELD
from dife_scanner.store.rows import placeholders, state_values

_COLUMNS = (
    "name", "path", "image_tower", "text_tower", "weights_sha256", "architecture", "added_at", "bundled",
    "repository", "revision", "base", "size", "fetched", "cast_towers",
)  # fmt: skip
_UPDATED = (
    "path", "image_tower", "text_tower", "bundled", "repository", "revision", "base", "size", "fetched", "cast_towers",
)  # fmt: skip
_JOINED = (
    "SELECT r.*, t.pinned_at, t.first_at FROM model_references AS r"
    " LEFT JOIN trusted_repositories AS t ON t.repository = r.repository"
)


def add(store: Store, reference: Reference, files: Mapping[str, str] | None = None) -> None:
    """Keep a reference. The same name and weights again change nothing; other weights raise `UsageError`.

    `files` are the sha256 of its files on disk by their names, for `verify`.
    """
    with store.atomic("references.add"):
        before = _rows(store, reference.name)
        if before and before[0]["weights_sha256"] != reference.weights_sha256:
            raise UsageError(
                f"there is already a reference {reference.name} with other weights",
                "choose another name",
            )
        updates = ", ".join(f"{column} = excluded.{column}" for column in _UPDATED)
        store.write(
            f"INSERT INTO model_references ({', '.join(_COLUMNS)}) VALUES ({placeholders(_COLUMNS)})"
            f" ON CONFLICT (name) DO UPDATE SET {updates}",
            [_value(reference, column) for column in _COLUMNS],
        )
        for path, sha256 in (files or {}).items():
            store.write(
                "INSERT OR REPLACE INTO reference_files (name, path, sha256) VALUES (?, ?, ?)",
                (reference.name, path, sha256),
            )


def _value(reference: Reference, column: str) -> str | int:
    value = getattr(reference, column)
    if column == "cast_towers":
        return json.dumps([asdict(one) for one in value])
    return int(value) if isinstance(value, bool) else value


def remove(store: Store, name: str) -> None:
    """Forget a reference; audits that used it keep its name. Raises `NotFound`."""
    with store.atomic("references.remove"):
        if store.write("DELETE FROM model_references WHERE name = ?", (name,)).rowcount == 0:
            raise _unknown(name)
        store.write("DELETE FROM reference_files WHERE name = ?", (name,))


def references(store: Store) -> list[Reference]:
    """List references in the order of their names."""
    return [_to_reference(row) for row in store.read(f"{_JOINED} ORDER BY r.name")]


def reference(store: Store, name: str) -> Reference:
    """Read one reference by its name. Raises `NotFound`."""
    rows = _rows(store, name)
    if not rows:
        raise _unknown(name)
    return _to_reference(rows[0])


def files(store: Store, name: str) -> dict[str, str]:
    """The sha256 of a reference's files by their names, as they were stored; empty for one of an older version."""
    rows = store.read(
        "SELECT path, sha256 FROM reference_files WHERE name = ? ORDER BY path", (name,)
    )
    return {row["path"]: row["sha256"] for row in rows}


# --- use and room ---------------------------------------------------------------------------------------------


def use(store: Store, job_id: int, names: Iterable[str]) -> None:
    """Say that a job works with these references: until its worker lets it go, none of them is evicted."""
    with store.atomic("references.use"):
        store.write("DELETE FROM reference_uses WHERE job_id = ?", (job_id,))
        for name in names:
            store.write("INSERT INTO reference_uses (job_id, name) VALUES (?, ?)", (job_id, name))
            store.write("UPDATE model_references SET used_at = ? WHERE name = ?", (now(), name))


def evict_oldest(store: Store) -> Reference | None:
    """Forget the fetched reference that was not used for the longest time, and that no running job uses.

    Returns it, so that its files can be removed; `None` where there is no such reference. One that a person added or
    that is bundled is never chosen.
    """
    held = state_values(HELD)
    with store.atomic("references.remove"):
        rows = store.read(
            f"{_JOINED} WHERE r.fetched = 1 AND r.bundled = 0 AND r.name NOT IN (SELECT u.name FROM reference_uses AS u"
            f" JOIN jobs AS j ON j.id = u.job_id WHERE j.state IN ({placeholders(held)}))"
            " ORDER BY max(r.used_at, r.added_at), r.name LIMIT 1",
            held,
        )
        if not rows:
            return None
        remove(store, rows[0]["name"])
    return _to_reference(rows[0])


def fetched_bytes(store: Store) -> int:
    """Bytes on disk of all references that were fetched because a checkpoint needed them."""
    rows = store.read(
        "SELECT coalesce(sum(size), 0) AS size FROM model_references WHERE fetched = 1"
    )
    return int(rows[0]["size"])


# --- audits that lack a base ----------------------------------------------------------------------------------


def want(store: Store, job_id: int, base: str) -> None:
    """Note that a job was audited without this base of the registry, which nobody allowed to fetch."""
    with store.atomic("references.use"):
        store.write(
            "INSERT OR REPLACE INTO wanted_bases (job_id, base) VALUES (?, ?)", (job_id, base)
        )


def take_wanting(store: Store, base: str) -> list[int]:
    """The jobs that lacked this base, oldest first; they are forgotten here."""
    with store.atomic("references.use"):
        rows = store.read("SELECT job_id FROM wanted_bases WHERE base = ? ORDER BY job_id", (base,))
        store.write("DELETE FROM wanted_bases WHERE base = ?", (base,))
    return [row["job_id"] for row in rows]


def wanted(store: Store) -> dict[str, int]:
    """How many jobs lack each base, by its name in the registry."""
    rows = store.read("SELECT base, count(*) AS jobs FROM wanted_bases GROUP BY base ORDER BY base")
    return {row["base"]: row["jobs"] for row in rows}


def _rows(store: Store, name: str) -> list[dict[str, Any]]:
    return store.read(f"{_JOINED} WHERE r.name = ?", (name,))


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no reference {query.shown(name)}", "`dife reference list` shows them"
    )


def _to_reference(row: dict[str, Any]) -> Reference:
    values = {column: row[column] for column in _COLUMNS}
    values["bundled"] = bool(row["bundled"])
    values["fetched"] = bool(row["fetched"])
    values["cast_towers"] = tuple(CastTowers(**one) for one in json.loads(row["cast_towers"]))
    trusted_at = row["pinned_at"] or row["first_at"] or ""
    return Reference(**values, trust=_trust(row), trusted_at=trusted_at)


def _trust(row: dict[str, Any]) -> Trust:
    if row["bundled"]:
        return Trust.BUNDLED
    if not row["repository"]:
        return Trust.PERSON
    return Trust.PINNED if row["pinned_at"] else Trust.FIRST_USE
