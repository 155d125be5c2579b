"""An export as CSV: one row per checkpoint, numbers at full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from dife_scanner.reports.as_csv import Value, field
from dife_scanner.reports.export import AuditOf, Export, FindingOf, Subject

COLUMNS: Mapping[str, str] = {
    "model": "hub repository, or the name of a local folder",
    "revision": "commit sha, or content hash of a local checkpoint",
    "hub": "address of its hub; empty for a local folder",
    "state": "of its job (docs/states.md)",
    "verdict": "of its audit; empty without one",
    "said": "what was found, or why nothing was, in words",
    "finding": "fingerprint; empty without one",
    "kind": "why it is a finding",
    "severity": "worst entry over its interfaces",
    "confidence": "how much is known of its trigger",
    "triage": "what people decided",
    "decided_by": "who did",
    "decided_at": "when",
    "expires": "from when an acceptance counts no longer",
    "footprint": "component that carries the exposure",
    "channel": "where the trigger enters",
    "target": "where it leads",
    "exposed": "interfaces, separated by semicolons",
    "standards": "MITRE ATLAS and OWASP ids, separated by semicolons",
    "largest_difference": "over the reference, of all interfaces; empty where none was measured",
    "score": "of its searches",
    "p_value": "of the score against benign models",
    "alarm_bound": "upper bound of the share of such benign models that are flagged",
    "reference": "the clean checkpoint it was compared with",
    "budget": "quick, default or deep",
    "audit": "id of the audit",
    "audit_version": "version of the measuring code",
    "in_use": "where somebody uses it",
    "updated_at": "when its state last changed",
    "trigger": "only with --with-triggers",
    "source": "only with --with-triggers",
    "reason": "only with --with-triggers",
    "note": "only with --with-triggers",
    "answer": "of the supplier to a dispute, only with --with-triggers",
}
"""Every column and what it holds; a number that was not measured is an empty field, never a zero."""


def render(export: Export) -> str:
    """Header and rows, RFC 4180, line ends `\\n`; a text that a spreadsheet takes for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for subject in export.subjects:
        values = _of_subject(subject)
        writer.writerow({column: field(value) for column, value in values.items()})
    return out.getvalue()


def _of_subject(subject: Subject) -> dict[str, Value]:
    values: dict[str, Value] = {
        "model": subject.model,
        "revision": subject.revision,
        "hub": subject.endpoint,
        "state": subject.state,
        "said": subject.said,
        "in_use": subject.in_use,
        "updated_at": subject.updated_at,
    }
    if subject.finding is not None:
        values |= _of_finding(subject.finding)
    if subject.audit is not None:
        values |= _of_audit(subject.audit)
    told = subject.told
    if told is not None:
        values |= {"trigger": told.trigger, "source": told.source}
        values |= {"reason": told.reason, "note": told.note, "answer": told.answer}
    return values


def _of_finding(finding: FindingOf) -> dict[str, Value]:
    return {
        "finding": finding.fingerprint,
        "kind": finding.kind.value,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "triage": finding.triage.value,
        "decided_by": finding.decided_by,
        "decided_at": finding.decided_at,
        "expires": finding.expires,
        "footprint": finding.footprint,
        "channel": finding.channel,
        "target": finding.target,
        "exposed": "; ".join(finding.interfaces),
        "standards": "; ".join(finding.standards),
    }


def _of_audit(audit: AuditOf) -> dict[str, Value]:
    return {
        "verdict": audit.verdict.value,
        "largest_difference": audit.largest_difference,
        "score": audit.score,
        "p_value": audit.p_value,
        "alarm_bound": audit.alarm_bound,
        "reference": audit.reference,
        "budget": audit.budget,
        "audit": audit.id,
        "audit_version": audit.version,
    }
