"""Findings with their history. What people decide about them is in `store.triage`."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import (
    Audit,
    Carrier,
    Channel,
    Confidence,
    Finding,
    FindingKind,
    ModelRef,
    Severity,
    TriageState,
    Verdict,
)
from dife_scanner.store import audits, matching, query, triage_log
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.conditions import condition, to_sql
from dife_scanner.store.db import Store
from dife_scanner.store.fields import Column, Kind, choices
from dife_scanner.store.rows import begins_with, overdue_days, placeholders, sql_limit, to_ref


def _of_audit(column: str) -> str:
    """What the audit of a finding says; NULL where it has none."""
    return f"(SELECT of_it.{column} FROM audits AS of_it WHERE of_it.id = f.audit_id)"


FINDING_COLUMNS = {
    "id": Column("f.fingerprint", "its fingerprint"),
    "repo": Column("f.repo_id", "repository, or the path of a local checkpoint"),
    "revision": Column("f.revision", "commit"),
    "kind": Column("f.kind", "why it is listed", choices=choices(FindingKind)),
    "verdict": Column("f.kind", "the same as `kind`", choices=choices(FindingKind)),
    "severity": Column("f.severity", "worst entry over its interfaces", choices=choices(Severity)),
    "confidence": Column(
        "f.confidence", "how much is known of its trigger", choices=choices(Confidence)
    ),
    "footprint": Column(
        "f.carrier", "component that carries the exposure", choices=choices(Carrier)
    ),
    "channel": Column("f.channel", "where the trigger enters", choices=choices(Channel)),
    "trigger": Column("f.trigger", "name of the trigger"),
    "source": Column("f.source", "what the trigger works on"),
    "target": Column("f.target", "where the trigger leads"),
    "interface": Column("f.interfaces", "exposed interfaces", Kind.LIST),
    "triage": Column("f.triage", "what people decided", choices=choices(TriageState)),
    "comment": Column("f.comment", "the latest note of a decision"),
    "reason": Column("f.reason", "the reason in words"),
    "assignee": Column("f.assignee", "who shall look at it"),
    "expires": Column(
        "CASE f.triage WHEN 'disputed' THEN '' ELSE f.expires END",
        "when the acceptance of its risk runs out",
        Kind.TIME,
    ),
    "deadline": Column(
        "CASE f.triage WHEN 'disputed' THEN f.expires ELSE '' END",
        "until when a dispute waits for an answer",
        Kind.TIME,
    ),
    "answer": Column("f.answer", "what the supplier of a disputed one answered"),
    "overdue": Column(
        overdue_days("f.triage", "f.expires", "f.answer"),
        "days since an answer to a dispute was due, where there is none",
        Kind.NUMBER,
    ),
    "exposure": Column(
        _of_audit("exposure"), "largest measured difference over the reference", Kind.NUMBER
    ),
    "score": Column(_of_audit("score"), "the audit's score", Kind.NUMBER),
    "p_value": Column(_of_audit("p_value"), "p-value of the score", Kind.NUMBER),
    "alarm_bound": Column(
        _of_audit("alarm_bound"), "bound of the share of false alarms", Kind.NUMBER
    ),
    "audited": Column(_of_audit("stored_at"), "when the audit was stored", Kind.TIME),
    "found": Column("f.created_at", "when it was first seen", Kind.TIME),
    "seen": Column("f.last_seen_at", "when it was last seen", Kind.TIME),
    "age": Column("f.created_at", "since it was first seen", Kind.AGE),
}
"""Fields that a filter over findings knows."""


# --- keeping --------------------------------------------------------------------------------------------------


def insert_finding(store: Store, finding: Finding, job_id: int | None) -> None:
    """Inside a transaction: keep a finding and its history.

    A fingerprint seen before keeps its first date and its triage, except that one triaged `fixed-upstream` that
    returns in a revision where it was never seen becomes `regressed`.
    """
    at = now()
    before = find(store, finding.fingerprint)
    seen_in_revision = store.read(
        "SELECT 1 FROM finding_history WHERE fingerprint = ? AND revision = ? LIMIT 1",
        (finding.fingerprint, finding.ref.revision),
    )
    if before:
        _update_row(store, finding, at)
    else:
        _insert_row(store, finding, at)
    store.write(
        "INSERT INTO finding_history (fingerprint, job_id, revision, audit_id, record, at) VALUES (?, ?, ?, ?, ?, ?)",
        (finding.fingerprint, job_id, finding.ref.revision, finding.audit_id, to_json(finding), at),
    )
    if before and before.triage is TriageState.FIXED_UPSTREAM and not seen_in_revision:
        note = f"seen again in revision {finding.ref.revision[:12]}"
        triage_log.append(
            store, finding.fingerprint, TriageState.REGRESSED, actor=triage_log.AUTOMATIC, note=note
        )


def as_kept(store: Store, finding: Finding, endpoint: str) -> Finding:
    """The finding under the fingerprint that it is kept under, where somebody decided about it under another name.

    A repository that is renamed keeps its decisions: those about the same effect in the same commit, and later ones
    about whatever goes on under the new name. Where nobody decided, a second place is a second finding.
    """
    if find(store, finding.fingerprint):
        return finding
    effect = (finding.kind.value, finding.channel, finding.carrier, finding.target)
    rows = store.read(
        "SELECT f.fingerprint FROM findings AS f"
        " WHERE f.triage != ? AND f.kind = ? AND f.channel = ? AND f.carrier = ? AND f.target = ?"
        " AND (f.repo_id = ? OR EXISTS (SELECT 1 FROM finding_history AS h JOIN jobs AS j ON j.id = h.job_id"
        " WHERE h.fingerprint = f.fingerprint AND h.revision = ? AND j.endpoint = ?))"
        " ORDER BY f.last_seen_at DESC LIMIT 1",
        (TriageState.NEW.value, *effect, finding.ref.repo_id, finding.ref.revision, endpoint),
    )
    if not rows:
        return finding
    return replace(finding, fingerprint=rows[0]["fingerprint"])


def _finding_values(finding: Finding) -> dict[str, Any]:
    """What each sighting writes anew, by column."""
    return {
        "repo_id": finding.ref.repo_id,
        "revision": finding.ref.revision,
        "local": int(finding.ref.local),
        "kind": finding.kind,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "carrier": finding.carrier,
        "channel": finding.channel,
        "trigger": finding.trigger,
        "source": finding.source,
        "target": finding.target,
        "interfaces": json.dumps(finding.interfaces),
        "reason": finding.reason,
        "audit_id": finding.audit_id,
    }


def _update_row(store: Store, finding: Finding, at: str) -> None:
    values = _finding_values(finding)
    changes = ", ".join(f"{column} = ?" for column in values)
    store.write(
        f"UPDATE findings SET {changes}, last_seen_at = ? WHERE fingerprint = ?",
        (*values.values(), at, finding.fingerprint),
    )


def _insert_row(store: Store, finding: Finding, at: str) -> None:
    row = {
        "fingerprint": finding.fingerprint,
        "triage": finding.triage.value,
        "created_at": finding.created_at or at,
        "last_seen_at": at,
        **_finding_values(finding),
    }
    store.write(
        f"INSERT INTO findings ({', '.join(row)}) VALUES ({placeholders(tuple(row))})",
        tuple(row.values()),
    )


_SELECT = (
    "SELECT f.*, (SELECT e.repo_id FROM triage_events AS e WHERE e.fingerprint = f.fingerprint"
    " ORDER BY e.id DESC LIMIT 1) AS decided_for FROM findings AS f"
)


# --- reading --------------------------------------------------------------------------------------------------


def finding(store: Store, fingerprint: str) -> Finding:
    """Read a finding by its fingerprint or a unique beginning of it. Raises `NotFound` or `UsageError`."""
    rows = store.read(
        f"{_SELECT} WHERE {begins_with('fingerprint')} ORDER BY fingerprint != ?, fingerprint LIMIT 2",
        (fingerprint, fingerprint, fingerprint),
    )
    if not rows or not fingerprint:
        raise NotFound(
            f"there is no finding {query.shown(fingerprint)}", "`dife findings` lists them"
        )
    if len(rows) > 1 and rows[0]["fingerprint"] != fingerprint:
        raise UsageError(
            f"{fingerprint} fits more than one finding", "give more of the fingerprint"
        )
    return _to_finding(rows[0])


def find(store: Store, fingerprint: str) -> Finding | None:
    """Read the finding of exactly this fingerprint; `None` without one."""
    rows = store.read(f"{_SELECT} WHERE fingerprint = ?", (fingerprint,))
    if not rows:
        return None
    return _to_finding(rows[0])


def findings(store: Store, *, filter: str = "", limit: int | None = None) -> list[Finding]:
    """List findings, last seen first. `filter` is the grammar of `query`; raises `QueryError`."""
    where, parameters = condition(store, filter, FINDING_COLUMNS)
    rows = store.read(
        f"{_SELECT} WHERE {where} ORDER BY last_seen_at DESC LIMIT ?",
        (*parameters, sql_limit(limit)),
    )
    return [_to_finding(row) for row in rows]


def count(store: Store, *, filter: str = "") -> int:
    """Count what `findings` would list without a limit. Raises `QueryError`."""
    where, parameters = condition(store, filter, FINDING_COLUMNS)
    rows = store.read(f"SELECT count(*) AS n FROM findings AS f WHERE {where}", parameters)
    return int(rows[0]["n"])


def check_filter(filter: str) -> None:
    """Raise `QueryError` for a filter that findings do not have."""
    to_sql(query.parse(filter), FINDING_COLUMNS)


def fitting(store: Store, fingerprints: Sequence[str], filter: str) -> frozenset[str]:
    """Those of `fingerprints` whose findings fit a filter. Raises `QueryError`."""
    where, parameters = condition(store, filter, FINDING_COLUMNS)
    rows = store.read(
        f"SELECT f.fingerprint FROM findings AS f WHERE ({where})"
        " AND f.fingerprint IN (SELECT value FROM json_each(?))",
        (*parameters, json.dumps(list(fingerprints))),
    )
    return frozenset(row["fingerprint"] for row in rows)


def why_matched(store: Store, fingerprint: str, filter: str) -> tuple[str, ...]:
    """The terms of a filter by which it lets this finding through; none where it does not, or there is no such finding.

    Raises `QueryError`.
    """
    rows = store.read(
        f"SELECT {matching.selected(FINDING_COLUMNS)} FROM findings AS f WHERE f.fingerprint = ?",
        (fingerprint,),
    )
    if not rows:
        return ()
    reasons = matching.why(query.parse(filter), rows[0], FINDING_COLUMNS)
    return tuple(query.show_part(reason) for reason in reasons)


def of_audit(store: Store, audit_id: str) -> Finding | None:
    """Read the finding that this audit amounted to when it was made."""
    rows = store.read(
        "SELECT record FROM finding_history WHERE audit_id = ? ORDER BY id LIMIT 1", (audit_id,)
    )
    if not rows:
        return None
    return from_json(Finding, rows[0]["record"])


def about_audit(store: Store, audit_id: str, ref: ModelRef) -> Finding | None:
    """The finding that rests on this audit now: that of `ref`, or of another with the same weights; or none."""
    rows = store.read(
        f"{_SELECT} WHERE f.audit_id = ?"
        " ORDER BY f.repo_id = ? AND f.revision = ? DESC, f.last_seen_at DESC LIMIT 1",
        (audit_id, ref.repo_id, ref.revision),
    )
    return _to_finding(rows[0]) if rows else None


def history(store: Store, fingerprint: str) -> list[Finding]:
    """Read the finding as it was each time it was seen, oldest first."""
    rows = store.read(
        "SELECT record FROM finding_history WHERE fingerprint = ? ORDER BY id", (fingerprint,)
    )
    return [from_json(Finding, row["record"]) for row in rows]


def demonstrated_in(store: Store, image_tower: str, text_tower: str) -> list[Audit]:
    """Read audits that demonstrated a trigger in a checkpoint of these very towers or found it inherited, newest first.

    A flag that only stands out (a signature with corrected evidence and a small effect) is none of them: what it does
    is too little to be distinguished from what clean checkpoints do.
    """
    found = []
    for audit in audits.flagged_or_inherited(store, image_tower, text_tower):
        if audit.verdict is Verdict.INHERITED or _is_demonstrated(store, audit.id):
            found.append(audit)
    return found


def _is_demonstrated(store: Store, audit_id: str) -> bool:
    found = of_audit(store, audit_id)
    return found is not None and found.confidence == Confidence.DEMONSTRATED


def _to_finding(row: dict[str, Any]) -> Finding:
    return Finding(
        fingerprint=row["fingerprint"],
        ref=to_ref(row),
        kind=FindingKind(row["kind"]),
        severity=Severity(row["severity"]),
        confidence=Confidence(row["confidence"]),
        carrier=row["carrier"],
        channel=row["channel"],
        trigger=row["trigger"],
        source=row["source"],
        target=row["target"],
        interfaces=tuple(json.loads(row["interfaces"])),
        reason=row["reason"],
        audit_id=row["audit_id"],
        created_at=row["created_at"],
        triage=TriageState(row["triage"]),
        decided_for=row["decided_for"] or "",
        answer=row["answer"],
    )
