"""The models in use: what the watch-lists name, and what the hub last said of each."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import InUse, JobState, WatchedModel
from dife_scanner.store.db import Store
from dife_scanner.store.job_rows import LISTED_PRIORITY


def replace_all(store: Store, endpoint: str, entries: Iterable[InUse]) -> None:
    """Make these the models in use; what is known of those that stay is kept, and jobs of others lose their place."""
    kept = {(one.repo_id, one.revision): one for one in entries}
    with store.atomic("watchlist.replace_all"):
        for one in watched(store, endpoint):
            key = (one.wanted.repo_id, one.wanted.revision)
            if key not in kept:
                _remove(store, endpoint, one)
        for wanted in kept.values():
            store.write(
                "INSERT INTO in_use (endpoint, repo_id, revision, place) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (endpoint, repo_id, revision) DO UPDATE SET place = excluded.place",
                (endpoint, wanted.repo_id, wanted.revision, wanted.place),
            )


def _remove(store: Store, endpoint: str, one: WatchedModel) -> None:
    key = (endpoint, one.wanted.repo_id, one.wanted.revision)
    store.write("DELETE FROM in_use WHERE endpoint = ? AND repo_id = ? AND revision = ?", key)
    store.write(
        "UPDATE jobs SET in_use = '', priority = CASE pinned WHEN 1 THEN priority ELSE"
        f" {LISTED_PRIORITY} END"
        " WHERE endpoint = ? AND repo_id IN (?, ?) AND in_use != ''",
        (endpoint, one.wanted.repo_id, one.found_as),
    )


def watched(store: Store, endpoint: str) -> list[WatchedModel]:
    """List the models in use, those first that were looked at longest ago."""
    rows = store.read(
        "SELECT * FROM in_use WHERE endpoint = ? ORDER BY looked_at, repo_id, revision", (endpoint,)
    )
    return [_to_record(row) for row in rows]


def keep(store: Store, endpoint: str, one: WatchedModel) -> None:
    """Keep what the hub said of one just now."""
    with store.atomic("watchlist.keep"):
        store.write(
            "UPDATE in_use SET found_as = ?, sha = ?, state = ?, reason = ?, misses = ?, bases = ?, looked_at = ?"
            " WHERE endpoint = ? AND repo_id = ? AND revision = ?",
            (
                one.found_as,
                one.sha,
                one.state.value if one.state else "",
                one.reason,
                one.misses,
                json.dumps(one.bases),
                now(),
                endpoint,
                one.wanted.repo_id,
                one.wanted.revision,
            ),
        )


def _to_record(row: dict[str, Any]) -> WatchedModel:
    return WatchedModel(
        wanted=InUse(row["repo_id"], row["revision"], row["place"]),
        found_as=row["found_as"],
        sha=row["sha"],
        state=JobState(row["state"]) if row["state"] else None,
        reason=row["reason"],
        misses=row["misses"],
        bases=tuple(json.loads(row["bases"])),
        looked_at=row["looked_at"],
    )
