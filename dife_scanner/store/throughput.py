"""How fast the queue is worked through, and when it will be empty."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from dife_scanner.durable.clock import later, now
from dife_scanner.records import Job, JobState
from dife_scanner.store.db import Store
from dife_scanner.store.job_rows import WAITING_SQL
from dife_scanner.store.rows import to_job
from dife_scanner.store.upcoming import STUCK

HOURS = 24.0
"""The time that is looked back at, or less where the first job came later."""
_LEAST_HOURS = 1 / 60


@dataclass(frozen=True)
class Throughput:
    """Of the last `hours`."""

    hours: float
    audits: int
    """Completed and stored."""
    reused: int
    """Jobs that ended with an audit of the same weights made for another revision or repository."""
    jobs_per_hour: float
    """That ended with an audit, a reused one included."""
    busy: float
    """Seconds of audits by seconds of the clock: with two workers at most 2."""
    devices: dict[str, float]
    """The same of each device."""
    pictures_per_second: float
    """That went through towers, by seconds of audits."""
    texts_per_second: float
    remembered: float | None
    """Share of the inputs that did not have to go through one, 0..1; `None` where none was asked for."""
    requests: int
    """Sent by passes."""
    failures: dict[str, int]
    """Jobs that ended stuck, by state; those put off after an error and still waiting, by kind of error."""
    waiting: int
    oldest_waiting: str | None
    """When the first of those that wait was discovered."""
    hours_left: float | None
    """Until nothing waits, as fast as of late; `None` where no job has ended."""
    oldest_unaudited: Job | None = None
    """Of the revisions that no audit was stored of, whatever their state, the one that was discovered first."""


def throughput(store: Store) -> Throughput:
    """Read it."""
    begin = later(-3600 * HOURS)
    hours = _hours(store, begin)
    audited = store.read(
        "SELECT count(*) AS n, coalesce(sum(seconds), 0.0) AS seconds, coalesce(sum(pictures), 0) AS pictures,"
        " coalesce(sum(texts), 0) AS texts, coalesce(sum(remembered), 0) AS remembered"
        " FROM audits WHERE stored_at >= ?",
        (begin,),
    )[0]
    ended = store.read(
        "SELECT count(*) AS n, coalesce(sum(a.repo_id != j.repo_id OR a.revision != j.revision), 0) AS reused"
        " FROM jobs AS j JOIN audits AS a ON a.id = j.audit_id WHERE j.updated_at >= ? AND +j.state = ?",
        (begin, JobState.DONE.value),
    )[0]
    waiting = store.read(
        f"SELECT count(*) AS n, min(created_at) AS oldest FROM jobs WHERE state IN ({WAITING_SQL})"
    )[0]
    requests = store.read(
        "SELECT coalesce(sum(requests), 0) AS n FROM passes WHERE at >= ?", (begin,)
    )
    rate = ended["n"] / hours
    seconds = audited["seconds"] or math.inf
    encoded = audited["pictures"] + audited["texts"]
    asked_for = encoded + audited["remembered"]
    return Throughput(
        hours=hours,
        audits=audited["n"],
        reused=ended["reused"],
        jobs_per_hour=rate,
        busy=audited["seconds"] / (3600 * hours),
        devices=_devices(store, begin, hours),
        pictures_per_second=audited["pictures"] / seconds,
        texts_per_second=audited["texts"] / seconds,
        remembered=audited["remembered"] / asked_for if asked_for else None,
        requests=requests[0]["n"],
        failures=_failures(store, begin),
        waiting=waiting["n"],
        oldest_waiting=waiting["oldest"],
        hours_left=waiting["n"] / rate if rate else None,
        oldest_unaudited=_oldest_unaudited(store),
    )


def _oldest_unaudited(store: Store) -> Job | None:
    """A job that ended without an audit can be of a revision that was audited before."""
    rows = store.read(
        "SELECT * FROM jobs AS j INDEXED BY jobs_unaudited WHERE j.audit_id IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM audits AS a WHERE a.repo_id = j.repo_id AND a.revision = j.revision)"
        " ORDER BY j.created_at, j.id LIMIT 1"
    )
    return to_job(rows[0]) if rows else None


def _hours(store: Store, begin: str) -> float:
    """How long ago the first job was discovered, `HOURS` at most."""
    rows = store.read("SELECT created_at FROM jobs ORDER BY id LIMIT 1")
    if not rows or rows[0]["created_at"] <= begin:
        return HOURS
    passed = datetime.fromisoformat(now()) - datetime.fromisoformat(rows[0]["created_at"])
    return max(passed.total_seconds() / 3600, _LEAST_HOURS)


def _devices(store: Store, begin: str, hours: float) -> dict[str, float]:
    rows = store.read(
        "SELECT device, sum(seconds) AS seconds FROM audits WHERE stored_at >= ? AND device != ''"
        " GROUP BY device ORDER BY device",
        (begin,),
    )
    return {row["device"]: row["seconds"] / (3600 * hours) for row in rows}


def _failures(store: Store, begin: str) -> dict[str, int]:
    stuck = ", ".join(f"'{state.value}'" for state in STUCK)
    rows = store.read(
        f"SELECT state AS kind, count(*) AS n FROM jobs WHERE updated_at >= ? AND state IN ({stuck}) GROUP BY state"
        " UNION ALL SELECT last_error, count(*) FROM jobs WHERE state = ? AND last_error != '' GROUP BY last_error",
        (begin, JobState.RETRY_WAIT.value),
    )
    return {row["kind"]: row["n"] for row in rows}
