"""Silences: what is not told for some time, by whose decision and why."""

from __future__ import annotations

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import Silence
from dife_scanner.store import findings, query
from dife_scanner.store.db import Store


def add(store: Store, filter: str, *, until: str, reason: str, actor: str) -> Silence:
    """Keep a silence from now on until `until`. Raises `QueryError` for a filter that findings do not have."""
    if not query.parse(filter).terms:
        raise UsageError("a silence without a filter would silence everything", "give a filter")
    findings.check_filter(filter)
    with store.atomic("silences.keep"):
        cursor = store.write(
            "INSERT INTO silences (filter, reason, actor, created_at, until) VALUES (?, ?, ?, ?, ?)",
            (filter, reason, actor, now(), until),
        )
    return silence(store, int(cursor.lastrowid or 0))


def end(store: Store, silence_id: int) -> Silence:
    """End a silence now; one that has ended stays as it is. Raises `NotFound`."""
    found = silence(store, silence_id)
    at = now()
    if found.until > at:
        with store.atomic("silences.keep"):
            store.write("UPDATE silences SET until = ? WHERE id = ?", (at, silence_id))
    return silence(store, silence_id)


def silence(store: Store, silence_id: int) -> Silence:
    """Read one. Raises `NotFound`."""
    rows = store.read("SELECT * FROM silences WHERE id = ?", (silence_id,))
    if not rows:
        raise NotFound(f"there is no silence {silence_id}", "`dife alerts silences --all`")
    return Silence(**rows[0])


def silences(store: Store, *, at: str = "") -> list[Silence]:
    """List silences, newest first; with `at` only those in force then."""
    rows = store.read("SELECT * FROM silences WHERE until > ? ORDER BY id DESC", (at,))
    return [Silence(**row) for row in rows]
