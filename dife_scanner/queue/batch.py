"""Which scores stand out once a batch is over: the targets of one scan, or what one pass of a watcher found."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.core.calibration import ANOMALOUS, benjamini_hochberg
from dife_scanner.core.findings import anomaly
from dife_scanner.core.verdict import stands_out
from dife_scanner.durable.clock import now
from dife_scanner.records import Audit, Finding, JobState
from dife_scanner.sentences.verdict import anomaly_reason
from dife_scanner.store import Store, findings, jobs

LARGEST = 100
"""Audits of a batch that is closed although work goes on, so that a watcher that is never idle reports as well."""
_HELD = (JobState.DOWNLOADING, JobState.AUDITING)


def settle(store: Store, audit_ids: Sequence[str] | None = None) -> list[Finding]:
    """Correct the p-values of these audits (or of all whose batch is still open) together; the anomalous ones.

    Each becomes a finding of every job that ended with it and has none. Benjamini-Hochberg runs over every audit of
    the batch that has a p-value, demonstrated ones too; what is demonstrated needs no finding of this kind.
    """
    batch = findings.waiting(store, audit_ids)
    adjusted = benjamini_hochberg([one.p_value for one in batch])
    out = []
    for one, adjusted_p in zip(batch, adjusted, strict=True):
        audit = findings.audit(store, one.audit_id)
        if stands_out(audit.verdict, adjusted_p, ANOMALOUS):
            out.append((audit, adjusted_p))
    with store.atomic("batch.settle"):
        if findings.waiting(store, audit_ids) != batch:  # somebody else was quicker, or an audit came meanwhile
            return []
        findings.close_batch(store, batch)
        made: list[Finding] = []
        for audit, adjusted_p in out:
            made += _attached(store, audit, adjusted_p, len(batch))
        return made


def settle_when_over(store: Store) -> None:
    """`settle` what is open, unless a job is still in some worker's hand."""
    if findings.waiting(store) and not jobs.jobs(store, states=_HELD, limit=1):
        settle(store)


def settle_when_full(store: Store) -> None:
    """`settle` what is open once it is `LARGEST` audits, however much work is left."""
    if len(findings.waiting(store)) >= LARGEST:
        settle(store)


def _attached(store: Store, audit: Audit, adjusted: float, batch: int) -> list[Finding]:
    made = []
    for job in jobs.without_finding(store, audit.id):
        found = anomaly(audit, job.ref, anomaly_reason(audit, adjusted, batch), now())
        jobs.attach(store, job.id, found)
        made.append(found)
    return made
