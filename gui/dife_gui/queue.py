"""What the queue page shows, read in one go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dife_scanner import settings
from dife_scanner.durable.fetched import disk_use
from dife_scanner.records import DiskUse
from dife_scanner.store import audits, polls, upcoming
from dife_scanner.store.db import Store
from dife_scanner.store.polls import Pass
from dife_scanner.store.upcoming import Upcoming


@dataclass(frozen=True)
class QueueReading:
    """The queue and what bears on it."""

    upcoming: Upcoming
    last_pass: Pass | None
    """The latest reading of the hub's listings, complete or not."""
    disk: DiskUse
    workers: int
    seconds: float | None
    """What an audit takes of late; `None` where there was none."""


def read_queue(store: Store, home: Path) -> QueueReading:
    """Read it. Raises `SettingsError` for a settings file that cannot be used."""
    given = settings.load(home)
    passes = polls.passes(store, limit=1)
    return QueueReading(
        upcoming=upcoming.upcoming(store),
        last_pass=passes[0] if passes else None,
        disk=disk_use(home, given.disk.quota_bytes, given.disk.free_bytes),
        workers=polls.running(store, "worker") or given.audits_at_once,
        seconds=audits.usual_seconds(store, given.budget),
    )
