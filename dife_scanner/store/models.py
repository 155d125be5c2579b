"""The models table: one line per discovered revision, with its result."""

from __future__ import annotations

import json
from typing import Any

from dife_scanner.errors import NotFound
from dife_scanner.records import (
    JobState,
    ModelRow,
    Severity,
    TriageState,
    Verdict,
)
from dife_scanner.store import matching, query
from dife_scanner.store.audits import TRIGGER_COLUMNS
from dife_scanner.store.conditions import condition
from dife_scanner.store.db import Store
from dife_scanner.store.fields import Column, Kind, choices
from dife_scanner.store.rows import sql_limit, to_job

MODEL_COLUMNS = {
    "job": Column("j.id", "number of its job"),
    "repo": Column("j.repo_id", "repository, or the path of a local checkpoint"),
    "revision": Column("j.revision", "commit"),
    "endpoint": Column("j.endpoint", "address of its hub"),
    "state": Column("j.state", "where it stands", choices=choices(JobState)),
    "layout": Column("j.layout", "how the checkpoint is stored"),
    "verdict": Column("a.verdict", "what its audit says", choices=choices(Verdict)),
    **TRIGGER_COLUMNS,
    "finding": Column("j.fingerprint", "fingerprint of its finding"),
    "triage": Column("f.triage", "what people decided", choices=choices(TriageState)),
    "severity": Column("f.severity", "worst entry over its interfaces", choices=choices(Severity)),
    "reason": Column("j.reason", "the reason of its state in words"),
    "score": Column("a.score", "its audit's score", Kind.NUMBER),
    "p_value": Column("a.p_value", "p-value of the score", Kind.NUMBER),
    "alarm_bound": Column("a.alarm_bound", "bound of the share of false alarms", Kind.NUMBER),
    "attempts": Column("j.attempts", "how often it was tried", Kind.NUMBER),
    "audited": Column("a.stored_at", "when its audit was stored", Kind.TIME),
    "discovered": Column("j.created_at", "when it was discovered", Kind.TIME),
    "updated": Column("j.updated_at", "when its state last changed", Kind.TIME),
    "modified": Column("j.last_modified", "when the hub says it was changed", Kind.TIME),
    "age": Column("j.created_at", "since it was discovered", Kind.AGE),
}
"""Fields that a filter over discovered revisions knows."""

TABLES = (
    "FROM jobs AS j LEFT JOIN audits AS a ON a.id = j.audit_id "
    "LEFT JOIN findings AS f ON f.fingerprint = j.fingerprint"
)
"""What `MODEL_COLUMNS` are columns of."""


def model_rows(
    store: Store, *, filter: str = "", limit: int | None = None, offset: int = 0
) -> list[ModelRow]:
    """List one line per discovered revision, newest discovery first. Raises `QueryError`."""
    where, parameters = condition(store, filter, MODEL_COLUMNS)
    rows = store.read(
        "SELECT j.*, a.verdict, a.carrier, a.channel, a.trigger, a.target, a.interfaces, a.reference"
        f" {TABLES} WHERE {where} ORDER BY j.id DESC LIMIT ? OFFSET ?",
        (*parameters, sql_limit(limit), offset),
    )
    return [_to_model_row(row) for row in rows]


def model_row(store: Store, job_id: int) -> ModelRow:
    """Read the line of one job. Raises `NotFound`."""
    rows = model_rows(store, filter=f"job:{job_id}")
    if not rows:
        raise NotFound(f"there is no job {job_id}", "`dife queue` lists them")
    return rows[0]


def why_matched(store: Store, job_id: int, filter: str) -> tuple[str, ...]:
    """The terms of a filter by which it lets this line through; none where it does not, or there is no such job.

    Raises `QueryError`.
    """
    rows = store.read(
        f"SELECT {matching.selected(MODEL_COLUMNS)} {TABLES} WHERE j.id = ?", (job_id,)
    )
    if not rows:
        return ()
    reasons = matching.why(query.parse(filter), rows[0], MODEL_COLUMNS)
    return tuple(query.show_part(reason) for reason in reasons)


def count_models(store: Store, *, filter: str = "") -> int:
    """Count the lines that `model_rows` would give without a limit. Raises `QueryError`."""
    where, parameters = condition(store, filter, MODEL_COLUMNS)
    rows = store.read(f"SELECT count(*) AS n {TABLES} WHERE {where}", parameters)
    return int(rows[0]["n"])


def _to_model_row(row: dict[str, Any]) -> ModelRow:
    """A line; what belongs to an audit is NULL where the job has none."""
    verdict = None
    if row["verdict"]:
        verdict = Verdict(row["verdict"])
    return ModelRow(
        job=to_job(row),
        verdict=verdict,
        carrier=row["carrier"] or "",
        channel=row["channel"] or "",
        trigger=row["trigger"] or "",
        target=row["target"] or "",
        interfaces=tuple(json.loads(row["interfaces"] or "[]")),
        reference=row["reference"] or "",
        layout=row["layout"],
        finding=row["fingerprint"],
        last_modified=row["last_modified"],
    )
