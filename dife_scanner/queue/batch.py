"""Which scores stand out once a batch is over: the targets of one scan, or what one pass of a watcher found."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.core.calibration import ANOMALOUS, benjamini_hochberg
from dife_scanner.core.findings import anomaly
from dife_scanner.core.verdict import stands_out
from dife_scanner.durable.clock import now
from dife_scanner.records import Audit, Finding
from dife_scanner.sentences.verdict import anomaly_reason
from dife_scanner.store import Store, audits, findings, jobs
from dife_scanner.store.job_rows import HELD

LARGEST = 100
"""Audits of a batch that is closed although work goes on, so that a watcher that is never idle reports as well."""


def correct(store: Store, audit_ids: Sequence[str] | None = None) -> list[Finding]:
    """Correct the p-values of these audits (or of all whose batch is still open) together; returns the anomalous ones.

    Each becomes a finding of every job that ended with it and has none. Benjamini-Hochberg runs over every audit of
    the batch that has a p-value, demonstrated ones too; what is demonstrated needs no finding of this kind.
    """
    batch = _scored(store, audit_ids)
    anomalous = _anomalous(store, batch)
    with store.atomic("batch.settle"):
        # somebody else may have been quicker, or an audit may have come meanwhile
        if _scored(store, audit_ids) != batch:
            return []
        audits.close_batch(store, batch)
        made: list[Finding] = []
        for audit, adjusted_p in anomalous:
            made += _attach_findings(store, audit, adjusted_p, len(batch))
    return made


def correct_when_idle(store: Store) -> None:
    """`correct` what is open, unless a job is still in some worker's hand."""
    if audits.open_batch(store) and not jobs.jobs(store, states=HELD, limit=1):
        correct(store)


def correct_when_full(store: Store) -> None:
    """`correct` what is open once it is `LARGEST` audits, however much work is left."""
    if len(audits.open_batch(store)) >= LARGEST:
        correct(store)


def _scored(store: Store, audit_ids: Sequence[str] | None) -> list[audits.Scored]:
    """Those of these audits that have a p-value, or all whose batch is still open."""
    if audit_ids is None:
        return audits.open_batch(store)
    return audits.scored(store, audit_ids)


def _anomalous(store: Store, batch: Sequence[audits.Scored]) -> list[tuple[Audit, float]]:
    """The audits that stand out in the batch, with their corrected p-values."""
    p_values = [one.p_value for one in batch]
    found = []
    for one, adjusted_p in zip(batch, benjamini_hochberg(p_values), strict=True):
        audit = audits.audit(store, one.audit_id)
        if stands_out(audit.verdict, adjusted_p, ANOMALOUS):
            found.append((audit, adjusted_p))
    return found


def _attach_findings(
    store: Store, audit: Audit, adjusted_p: float, batch_size: int
) -> list[Finding]:
    """A finding for every job that ended with this audit and has none."""
    made = []
    for job in jobs.without_finding(store, audit.id):
        finding = anomaly(audit, job.ref, anomaly_reason(audit, adjusted_p, batch_size), now())
        finding = findings.as_kept(store, finding, job.endpoint)
        jobs.attach_finding(store, job.id, finding)
        made.append(finding)
    return made
