"""What the hub page shows, read in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dife_gui.feed import Overview, overview
from dife_scanner import settings
from dife_scanner.durable import hub_windows
from dife_scanner.durable.fetched import disk_use
from dife_scanner.durable.hub_windows import Window
from dife_scanner.records import Budget, DiskUse, Reach, Scope, WatchedModel
from dife_scanner.settings import Settings
from dife_scanner.store import audits, polls, throughput, watchlist
from dife_scanner.store.db import Store
from dife_scanner.store.polls import Pass
from dife_scanner.store.throughput import Throughput

PASSES = 5


@dataclass(frozen=True)
class HubReading:
    """What is watched, what the last passes saw of it, what waits, and what it costs."""

    settings: Settings
    scope: Scope
    passes: tuple[Pass, ...]
    """The latest first, complete or not."""
    reaches: dict[str, Reach]
    """By source, how far back it has been read."""
    around: Overview
    backlog: Throughput
    budget: Budget
    """The one that most of the newest audits were made at; that of the settings where there are none."""
    seconds: float | None
    """What an audit takes of late; `None` where there was none."""
    budgets: Mapping[Budget, int]
    """At which budget how many of the newest audits were made."""
    windows: Mapping[str, Window]
    """By limit, what the hub's answers last said of it."""
    disk: DiskUse
    in_use: tuple[WatchedModel, ...]


def read_hub(store: Store, home: Path) -> HubReading:
    """Read it. Raises `SettingsError` for a settings file that cannot be used."""
    given = settings.load(home)
    budgets = audits.budgets_of_late(store)
    used = next(iter(budgets), given.budget)
    return HubReading(
        settings=given,
        scope=given.watch.in_force,
        passes=tuple(polls.passes(store, limit=PASSES)),
        reaches=polls.reaches(store, given.endpoint),
        around=overview(store),
        backlog=throughput.throughput(store),
        budget=used,
        seconds=audits.usual_seconds(store, used),
        budgets=budgets,
        windows=hub_windows.read(hub_windows.file(given.home, given.endpoint)),
        disk=disk_use(home, given.disk.quota_bytes, given.disk.free_bytes),
        in_use=tuple(watchlist.watched(store, given.endpoint)),
    )
