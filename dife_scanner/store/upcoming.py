"""What is in work, what waits in the order in which it will be taken, and what ended without help to go on."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import Job, JobState
from dife_scanner.store import polls, requests, row_counts
from dife_scanner.store.db import Store
from dife_scanner.store.job_rows import HELD, TAKEN_IN_ORDER, WAITING
from dife_scanner.store.requests import Request
from dife_scanner.store.rows import placeholders, state_values, to_job

STUCK = (JobState.QUARANTINED, JobState.FAILED, JobState.LIMIT_EXCEEDED)
"""Ended, and may go on once somebody queues it again."""
MOST_ROWS = 500
"""Of each part; how many there are in all stands beside it."""


@dataclass(frozen=True)
class Waiting:
    """A job that a worker may take."""

    job: Job
    priority: int
    """0: a listing shows it; `job_rows.JUDGED`, `job_rows.IN_USE`, `job_rows.BY_HAND`."""
    due: bool
    """Whether it may be taken now; otherwise from its `next_check_at` on."""
    popularity: int = 0
    """How many digits the number of downloads has; 0 for none."""


@dataclass(frozen=True)
class Upcoming:
    """The queue as a worker sees it."""

    working: tuple[Job, ...]
    """The longest in work first."""
    waiting: tuple[Waiting, ...]
    """In the order in which they will be taken, as things stand."""
    stuck: tuple[Job, ...]
    """The latest first."""
    waiting_count: int
    stuck_count: int
    progress: Mapping[int, str] = field(default_factory=dict)
    """By job in work, what its worker said last, with the device that it is bound to."""
    paused: Request | None = None
    """By which the queue is paused."""
    asked: tuple[Request, ...] = ()
    """What is requested of the queue and not done: no watcher runs, or it has not come to it."""


def upcoming(store: Store) -> Upcoming:
    """Read the queue; at most `MOST_ROWS` of what waits and of what is stuck."""
    working = _jobs(store, HELD, "updated_at, id")
    stuck = _jobs(store, STUCK, "updated_at DESC, id DESC")
    return Upcoming(
        working=tuple(to_job(row) for row in working),
        waiting=_waiting(store),
        stuck=tuple(to_job(row) for row in stuck),
        waiting_count=_count(store, WAITING),
        stuck_count=_count(store, STUCK),
        progress=_progress(store, working),
        paused=requests.paused_by(store),
        asked=tuple(requests.waiting(store, requests.OF_QUEUE)),
    )


def _progress(store: Store, working: list[dict[str, Any]]) -> dict[int, str]:
    """What the processes say that hold jobs; `host:process:start` is how a worker is named."""
    notes = {}
    for beat in polls.beats(store):
        notes[str(beat.pid)] = f"{beat.note} ({beat.device})" if beat.device else beat.note
    found = {}
    for row in working:
        _, _, rest = (row["worker"] or "").partition(":")
        note = notes.get(rest.partition(":")[0])
        if note:
            found[row["id"]] = note
    return found


def _waiting(store: Store) -> tuple[Waiting, ...]:
    """As `leases.claim` takes them: what is due in order, then the rest as it comes due."""
    at = now()
    rows = store.read(
        "SELECT *, coalesce(next_check_at, '') <= ? AS due FROM jobs"
        f" WHERE state IN ({placeholders(WAITING)})"
        " ORDER BY due DESC, CASE WHEN coalesce(next_check_at, '') <= ? THEN '' ELSE next_check_at END,"
        f" {TAKEN_IN_ORDER} LIMIT ?",
        (at, *state_values(WAITING), at, MOST_ROWS),
    )
    return tuple(
        Waiting(to_job(row), row["priority"], bool(row["due"]), row["popularity"]) for row in rows
    )


def _jobs(store: Store, states: tuple[JobState, ...], order: str) -> list[dict[str, Any]]:
    return store.read(
        f"SELECT * FROM jobs WHERE state IN ({placeholders(states)}) ORDER BY {order} LIMIT ?",
        (*state_values(states), MOST_ROWS),
    )


def _count(store: Store, states: tuple[JobState, ...]) -> int:
    counts = row_counts.of(store, "jobs")
    return sum(counts.get(state.value, 0) for state in states)
