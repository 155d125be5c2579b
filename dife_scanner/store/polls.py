"""How far each source of a hub has been read, and which processes are alive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dife_scanner.durable.clock import later, now
from dife_scanner.store.db import Store

_FORGET_BEATS_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Beat:
    """A process's last sign of life."""

    role: str
    pid: int
    note: str
    at: str


@dataclass(frozen=True)
class Pass:
    """One reading of a hub's listings."""

    endpoint: str
    at: str
    seen: int
    new: int
    malformed: int
    requests: int
    complete: bool
    problems: str
    """Why it is not complete, and what was wrong with the malformed items."""


def watermarks(store: Store, endpoint: str) -> dict[str, str]:
    """Give, by source, the newest `last_modified` that a complete pass has read."""
    rows = store.read("SELECT source, value FROM watermarks WHERE endpoint = ?", (endpoint,))
    return {row["source"]: row["value"] for row in rows}


def complete_pass(
    store: Store,
    endpoint: str,
    watermarks: Mapping[str, str],
    seen: int,
    new: int,
    malformed: int,
    *,
    requests: int = 0,
    complete: bool = True,
    problems: str = "",
) -> None:
    """Advance the watermarks (none after an incomplete pass) together with the counts of the pass."""
    at = now()
    with store.atomic("polls.complete_pass"):
        for source, value in watermarks.items():
            store.write(
                "INSERT INTO watermarks (endpoint, source, value, updated_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (endpoint, source)"
                " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                (endpoint, source, value, at),
            )
        store.write(
            "INSERT INTO passes (endpoint, at, seen, new, malformed, requests, complete, problems)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (endpoint, at, seen, new, malformed, requests, int(complete), problems),
        )


def passes(store: Store, *, limit: int = 20) -> list[Pass]:
    """List passes, newest first."""
    rows = store.read(
        "SELECT endpoint, at, seen, new, malformed, requests, complete, problems FROM passes ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [Pass(**{**row, "complete": bool(row["complete"])}) for row in rows]


def beat(store: Store, role: str, pid: int, note: str) -> None:
    """Keep a sign of life of a watcher, worker, poller or alert sender; a week-old one is forgotten."""
    with store.atomic("polls.beat"):
        store.write(
            "INSERT INTO beats (role, pid, note, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (role, pid) DO UPDATE SET note = excluded.note, at = excluded.at",
            (role, pid, note, now()),
        )
        store.write("DELETE FROM beats WHERE at < ?", (later(-_FORGET_BEATS_SECONDS),))


def beats(store: Store) -> list[Beat]:
    """List signs of life, latest first."""
    rows = store.read("SELECT role, pid, note, at FROM beats ORDER BY at DESC")
    return [Beat(**row) for row in rows]
