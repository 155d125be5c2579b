"""Rows as records, and lists and limits in statements: what the file of more than one table needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from dife_scanner.durable import clock
from dife_scanner.records import Job, JobState, ModelRef


def to_ref(row: dict[str, Any]) -> ModelRef:
    """The checkpoint that a row is about."""
    return ModelRef(row["repo_id"], row["revision"], bool(row["local"]))


def to_job(row: dict[str, Any]) -> Job:
    """A job from a row with every column of `jobs`."""
    return Job(
        id=row["id"],
        ref=to_ref(row),
        state=JobState(row["state"]),
        reason=row["reason"],
        endpoint=row["endpoint"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        next_check_at=row["next_check_at"],
        attempts=row["attempts"],
        deaths=row["deaths"],
        lost_leases=row["lost_leases"],
        worker=row["worker"],
        audit_id=row["audit_id"],
        in_use=row["in_use"],
    )


def placeholders(values: Sequence[Any]) -> str:
    """One question mark for each of `values`, for a statement that lists them."""
    return ", ".join("?" * len(values))


def state_values(states: Sequence[JobState]) -> tuple[str, ...]:
    """States as they are stored."""
    return tuple(state.value for state in states)


def follow_clock(connection: sqlite3.Connection) -> None:
    """Let statements ask for `this_moment()` by the clock of this process; SQLite's own is another one."""
    connection.create_function("this_moment", 0, clock.now)


def overdue_days(triage: str, deadline: str, answer: str) -> str:
    """In SQL: days since a dispute's answer was due, from its columns; NULL where it is not, or was answered."""
    since = f"julianday(substr(this_moment(), 1, 23)) - julianday(substr({deadline}, 1, 23))"
    return (
        f"CASE WHEN {triage} = 'disputed' AND {deadline} != '' AND {answer} = '' AND {since} > 0"
        f" THEN {since} END"
    )


def begins_with(column: str) -> str:
    """A condition that an index answers, unlike one with `substr`; the text is given twice."""
    return f"({column} >= ? AND {column} < ? || char(1114111))"


def sql_limit(limit: int | None) -> int:
    """What `LIMIT ?` takes: -1 is no limit."""
    if limit is None:
        return -1
    return limit
