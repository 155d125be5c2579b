"""The models table: one line per discovered revision, with its result."""

from __future__ import annotations

import json
from typing import Any

from dife_scanner.errors import NotFound
from dife_scanner.records import ModelRow, Verdict
from dife_scanner.store import query
from dife_scanner.store.db import Store
from dife_scanner.store.query import Column
from dife_scanner.store.rows import sql_limit, to_job

MODEL_COLUMNS = {
    "job": Column("CAST(j.id AS TEXT)"),
    "repo": Column("j.repo_id"),
    "revision": Column("j.revision"),
    "endpoint": Column("j.endpoint"),
    "state": Column("j.state"),
    "layout": Column("j.layout"),
    "verdict": Column("a.verdict"),
    "footprint": Column("a.carrier"),
    "channel": Column("a.channel"),
    "trigger": Column("a.trigger"),
    "source": Column("a.source"),
    "target": Column("a.target"),
    "interface": Column("a.interfaces", listed=True),
    "reference": Column("a.reference"),
    "finding": Column("j.fingerprint"),
    "triage": Column("f.triage"),
    "severity": Column("f.severity"),
    "reason": Column("j.reason"),
}
"""Fields that a filter over discovered revisions knows."""

_TABLES = (
    "FROM jobs AS j LEFT JOIN audits AS a ON a.id = j.audit_id "
    "LEFT JOIN findings AS f ON f.fingerprint = j.fingerprint"
)


def model_rows(
    store: Store, *, filter: str = "", limit: int | None = None, offset: int = 0
) -> list[ModelRow]:
    """List one line per discovered revision, newest discovery first. Raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), MODEL_COLUMNS)
    rows = store.read(
        "SELECT j.*, a.verdict, a.carrier, a.channel, a.trigger, a.target, a.interfaces, a.reference"
        f" {_TABLES} WHERE {where} ORDER BY j.id DESC LIMIT ? OFFSET ?",
        (*parameters, sql_limit(limit), offset),
    )
    return [_to_model_row(row) for row in rows]


def model_row(store: Store, job_id: int) -> ModelRow:
    """Read the line of one job. Raises `NotFound`."""
    rows = model_rows(store, filter=f"job:{job_id}")
    if not rows:
        raise NotFound(f"there is no job {job_id}", "`dife queue` lists them")
    return rows[0]


def count_models(store: Store, *, filter: str = "") -> int:
    """Count the lines that `model_rows` would give without a limit. Raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), MODEL_COLUMNS)
    rows = store.read(f"SELECT count(*) AS n {_TABLES} WHERE {where}", parameters)
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
