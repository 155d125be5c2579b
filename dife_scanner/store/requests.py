"""What a window or another command requests from the watcher."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.store.db import Store


class RequestKind(StrEnum):
    """What the watcher is to do."""

    SCAN = "scan"
    POLL = "poll"


@dataclass(frozen=True)
class Request:
    """Something that nobody has acted on yet."""

    id: int
    kind: RequestKind
    target: str
    """What to scan; empty for a poll."""
    actor: str
    created_at: str


def request_scan(store: Store, target: str, *, actor: str = "") -> int:
    """Ask for `org/name[@revision]` or a folder to be audited; returns the request's id."""
    return _add(store, RequestKind.SCAN, target, actor)


def request_poll(store: Store, *, actor: str = "") -> int:
    """Ask for a pass over the hub now."""
    return _add(store, RequestKind.POLL, "", actor)


def _add(store: Store, kind: RequestKind, target: str, actor: str) -> int:
    with store.atomic("requests.add"):
        cursor = store.write(
            "INSERT INTO requests (kind, target, actor, created_at) VALUES (?, ?, ?, ?)",
            (kind.value, target, actor, now()),
        )
    return int(cursor.lastrowid or 0)


def waiting(store: Store) -> list[Request]:
    """List what nobody has taken yet, oldest first."""
    rows = store.read(
        "SELECT id, kind, target, actor, created_at FROM requests WHERE taken_at IS NULL ORDER BY id"
    )
    return [_to_request(row) for row in rows]


def _to_request(row: dict[str, Any]) -> Request:
    return Request(
        id=row["id"],
        kind=RequestKind(row["kind"]),
        target=row["target"],
        actor=row["actor"],
        created_at=row["created_at"],
    )


def take(store: Store, request_id: int) -> bool:
    """Mark one as done; `False` when somebody else was quicker. Act first, then take: acting twice is harmless."""
    with store.atomic("requests.take"):
        cursor = store.write(
            "UPDATE requests SET taken_at = ? WHERE id = ? AND taken_at IS NULL",
            (now(), request_id),
        )
    return cursor.rowcount == 1
