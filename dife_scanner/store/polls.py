"""How far each source of a hub has been read, and which processes are alive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psutil

from dife_scanner.durable.clock import later, now
from dife_scanner.records import Reach
from dife_scanner.store.db import Store

_FORGET_BEATS_SECONDS = 7 * 24 * 3600.0
_KEPT_PASSES = 20
_CLOCK_SECONDS = 60.0
"""By which the clock may have been set back since a process began."""


@dataclass(frozen=True)
class Beat:
    """A process's last sign of life."""

    role: str
    pid: int
    note: str
    at: str
    device: str = ""
    """The one that a worker is bound to; empty where it takes what there is."""


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
    """Give, by source, the newest `last_modified` down to which everything later was read."""
    rows = store.read("SELECT source, value FROM watermarks WHERE endpoint = ?", (endpoint,))
    return {row["source"]: row["value"] for row in rows}


def reaches(store: Store, endpoint: str) -> dict[str, Reach]:
    """Give, by source, how far back it has been read; a source that is not there never showed a model."""
    rows = store.read(
        "SELECT source, next, oldest, ended, pages FROM reaches WHERE endpoint = ?1 AND (pages > 0"
        " OR source IN (SELECT source FROM watermarks WHERE endpoint = ?1))",
        (endpoint,),
    )
    found: dict[str, Reach] = {}
    for row in rows:
        found[row["source"]] = Reach(row["next"], row["oldest"], bool(row["ended"]), row["pages"])
    return found


def keep_reach(store: Store, endpoint: str, source: str, reach: Reach, newest: str = "") -> None:
    """Keep how far back a source was read, once its models are kept; with `newest` also its watermark, unless there is
    a later one.
    """
    at = now()
    with store.atomic("polls.keep_reach"):
        store.write(
            "INSERT INTO reaches (endpoint, source, next, oldest, ended, pages, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (endpoint, source) DO UPDATE SET next = excluded.next,"
            " oldest = excluded.oldest, ended = excluded.ended, pages = excluded.pages,"
            " updated_at = excluded.updated_at",
            (endpoint, source, reach.next, reach.oldest, int(reach.ended), reach.pages, at),
        )
        if newest and newest > watermarks(store, endpoint).get(source, ""):
            _keep_watermark(store, endpoint, source, newest, at)


def _keep_watermark(store: Store, endpoint: str, source: str, value: str, at: str) -> None:
    store.write(
        "INSERT INTO watermarks (endpoint, source, value, updated_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (endpoint, source)"
        " DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        (endpoint, source, value, at),
    )


def turns(store: Store, endpoint: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give, by source, when its newest changes were asked for last, and when it was read further back last."""
    heads = store.read("SELECT source, updated_at FROM watermarks WHERE endpoint = ?", (endpoint,))
    backs = store.read("SELECT source, updated_at FROM reaches WHERE endpoint = ?", (endpoint,))
    return (
        {row["source"]: row["updated_at"] for row in heads},
        {row["source"]: row["updated_at"] for row in backs},
    )


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
    """Advance the watermarks of the sources that were read down to them, together with the counts of the pass."""
    at = now()
    with store.atomic("polls.complete_pass"):
        for source, value in watermarks.items():
            _keep_watermark(store, endpoint, source, value, at)
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


def latest_complete(store: Store) -> Pass | None:
    """The latest pass that read every source; `None` where there was none."""
    rows = store.read(
        "SELECT endpoint, at, seen, new, malformed, requests, complete, problems FROM passes"
        " WHERE complete = 1 ORDER BY id DESC LIMIT 1"
    )
    return Pass(**{**rows[0], "complete": True}) if rows else None


def forget(store: Store, before: str) -> int:
    """Remove the counts of passes that ended before, but for the newest that lists show and the latest complete one."""
    with store.atomic("polls.forget"):
        cursor = store.write(
            "DELETE FROM passes WHERE at < ? AND id NOT IN (SELECT id FROM passes ORDER BY id DESC LIMIT ?)"
            " AND id IS NOT (SELECT max(id) FROM passes WHERE complete = 1)",
            (before, _KEPT_PASSES),
        )
    return cursor.rowcount


def beat(store: Store, role: str, pid: int, note: str, device: str = "") -> None:
    """Keep a sign of life of a watcher, worker, poller or alert sender; a week-old one is forgotten.

    Whoever lives also sees to it that no texts wait for their index for long.
    """
    with store.atomic("polls.beat"):
        store.write(
            "INSERT INTO beats (role, pid, note, at, device) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (role, pid) DO UPDATE"
            " SET note = excluded.note, at = excluded.at, device = excluded.device",
            (role, pid, note, now(), device),
        )
        store.write("DELETE FROM beats WHERE at < ?", (later(-_FORGET_BEATS_SECONDS),))
    store.index_texts()


def beats(store: Store) -> list[Beat]:
    """List signs of life, latest first."""
    rows = store.read("SELECT role, pid, note, at, device FROM beats ORDER BY at DESC")
    return [Beat(**row) for row in rows]


def running(store: Store, role: str) -> int:
    """How many processes of this role run."""
    return sum(one.role == role and is_alive(one) for one in beats(store))


def is_alive(beat: Beat | None) -> bool:
    """Whether the process that left this sign of life still runs, and not a later one under its number."""
    if beat is None:
        return False
    try:
        process = psutil.Process(beat.pid)
        has_ended = process.status() == psutil.STATUS_ZOMBIE
        began = process.create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # it is there, and belongs to somebody else
    return not has_ended and began <= _seconds(beat.at) + _CLOCK_SECONDS


def _seconds(moment: str) -> float:
    """A moment in seconds since 1970; the first of them where it cannot be read."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
