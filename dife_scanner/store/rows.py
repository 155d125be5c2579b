"""Rows that more than one table's file turns into records."""

from __future__ import annotations

from typing import Any

from dife_scanner.records import Job, JobState, ModelRef


def to_job(row: dict[str, Any]) -> Job:
    return Job(
        id=row["id"],
        ref=ModelRef(row["repo_id"], row["revision"], bool(row["local"])),
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
    )
