"""What a window or another command requests from the watcher, and whether the queue is paused.

Requests are kept with who made them and when, so they are also the log of who paused the queue.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import DifeError
from dife_scanner.store import jobs
from dife_scanner.store.db import Store
from dife_scanner.store.rows import placeholders


class RequestKind(StrEnum):
    """What the watcher is to do."""

    SCAN = "scan"
    POLL = "poll"
    PAUSE = "pause"
    RESUME = "resume"
    FRONT = "front"
    RETRY = "retry"
    CANCEL = "cancel"


OF_HUB = (RequestKind.SCAN, RequestKind.POLL)
"""What a pass serves, in a process of its own."""
OF_A_JOB = (RequestKind.FRONT, RequestKind.RETRY, RequestKind.CANCEL)
OF_QUEUE = (RequestKind.PAUSE, RequestKind.RESUME, *OF_A_JOB)
"""What the watcher serves at once: it needs the database only."""
RUNNING = (
    "coalesce((SELECT kind FROM requests WHERE kind IN ('pause', 'resume') AND taken_at IS NOT NULL"
    " ORDER BY id DESC LIMIT 1), 'resume') = 'resume'"
)
"""SQL: whether jobs may be taken."""


@dataclass(frozen=True)
class Request:
    """Something that nobody has acted on yet."""

    id: int
    kind: RequestKind
    target: str
    """What to scan, or the number of a job; empty where there is neither."""
    actor: str
    created_at: str


def request_scan(store: Store, target: str, *, actor: str = "") -> int:
    """Ask for `org/name[@revision]` or a folder to be audited; returns the request's id."""
    return _add(store, RequestKind.SCAN, target, actor)


def request_poll(store: Store, *, actor: str = "") -> int:
    """Ask for a pass over the hub now."""
    return _add(store, RequestKind.POLL, "", actor)


def request_queue(
    store: Store, kind: RequestKind, job: int | None = None, *, actor: str = ""
) -> int:
    """Ask for the queue to be paused or resumed, or for one job to go first, to be queued again or to be stopped."""
    if (job is None) == (kind in OF_A_JOB):
        raise ValueError(f"{kind} of job {job}")
    return _add(store, kind, "" if job is None else str(job), actor)


def _add(store: Store, kind: RequestKind, target: str, actor: str) -> int:
    with store.atomic("requests.add"):
        cursor = store.write(
            "INSERT INTO requests (kind, target, actor, created_at) VALUES (?, ?, ?, ?)",
            (kind.value, target, actor, now()),
        )
    return int(cursor.lastrowid or 0)


def waiting(store: Store, kinds: Sequence[RequestKind] = OF_HUB) -> list[Request]:
    """List what nobody has taken yet, oldest first."""
    rows = store.read(
        "SELECT id, kind, target, actor, created_at FROM requests"
        f" WHERE taken_at IS NULL AND kind IN ({placeholders(kinds)}) ORDER BY id",
        tuple(kind.value for kind in kinds),
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


# --- the queue --------------------------------------------------------------------------------------------------


def serve_queue(store: Store) -> list[str]:
    """Do what is requested of the queue; returns what could not be done, in words. Audits in work go on."""
    problems = []
    for request in waiting(store, OF_QUEUE):
        try:
            _serve(store, request)
        except DifeError as error:
            problems.append(error.what)
            take(store, request.id)
    return problems


def _serve(store: Store, request: Request) -> None:
    """A pause or its end counts from the moment it is taken."""
    with store.atomic("requests.take"):
        if request.kind is RequestKind.FRONT:
            jobs.put_first(store, int(request.target))
        elif request.kind is RequestKind.RETRY:
            jobs.requeue(store, int(request.target))
        elif request.kind is RequestKind.CANCEL:
            jobs.cancel(
                store, int(request.target), reason=f"cancelled by {request.actor or 'hand'}"
            )
        store.write("UPDATE requests SET taken_at = ? WHERE id = ?", (now(), request.id))


def paused_by(store: Store) -> Request | None:
    """The request by which the queue is paused; `None` where it is not."""
    rows = store.read(
        "SELECT id, kind, target, actor, created_at FROM requests WHERE kind IN ('pause', 'resume')"
        " AND taken_at IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    if not rows or rows[0]["kind"] != RequestKind.PAUSE.value:
        return None
    return _to_request(rows[0])
