"""How many jobs, audits and findings there are, as triggers count them (`migrations.m036_row_counts`)."""

from __future__ import annotations

from dife_scanner.records import Tally
from dife_scanner.store.db import Store


def of(store: Store, table: str) -> dict[str, int]:
    """By state of `jobs`, verdict of `audits`, or triage of `findings`; values without rows are absent."""
    rows = store.read(
        "SELECT value, rows AS n FROM row_counts WHERE of_table = ? AND rows > 0 ORDER BY value",
        (table,),
    )
    return {row["value"]: row["n"] for row in rows}


def tally(store: Store) -> Tally:
    """Count over all audits."""
    rows = store.read(
        "SELECT coalesce(sum(rows), 0) AS audited,"
        " coalesce(sum(CASE value WHEN 'flagged' THEN rows END), 0) AS flagged,"
        " (SELECT count(DISTINCT audit_id) FROM findings WHERE kind = 'anomalous') AS anomalous,"
        " coalesce(sum(rated), 0) AS rated, coalesce(sum(alarm_bounds), 0.0) AS expected"
        " FROM row_counts WHERE of_table = 'audits'"
    )
    return Tally(**rows[0])
