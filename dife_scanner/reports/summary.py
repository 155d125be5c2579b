"""A period as sentences and tables, for somebody who decides and audits nothing."""

from __future__ import annotations

from collections.abc import Iterable

from dife_scanner.records import Finding, FindingKind, JobState, Scope
from dife_scanner.reports.as_json import ExpiringDecision, ReportDocument, UsedModel
from dife_scanner.reports.export import name_of
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.sentences.calibration import tally_text
from dife_scanner.sentences.numbers import count, signed
from dife_scanner.sentences.watching import scope_text

_FAILED = (JobState.FAILED, JobState.QUARANTINED, JobState.LIMIT_EXCEEDED)
_CLOSED = (JobState.GATED, JobState.PRIVATE, JobState.DISABLED, JobState.DELETED)
_WAITING = (JobState.QUEUED, JobState.DOWNLOADING, JobState.AUDITING, JobState.RETRY_WAIT)
_TOLD = ("confirmed", "disclosed")


def title(document: ReportDocument) -> str:
    """Names the period by its days."""
    return f"Models from hubs: {document.begin[:10]} to {document.end[:10]}"


def lines(document: ReportDocument) -> tuple[str, ...]:
    """What matters most, first."""
    triage = document.triage
    confirmed = sum(triage.get(state, 0) for state in _TOLD)
    dismissed = triage.get("false-positive", 0)
    waiting = triage.get("new", 0) + triage.get("regressed", 0) + triage.get("expired", 0)
    return (
        f"New in this period: {count(document.new_in_all, 'finding')}. Of all findings, {confirmed:,} confirmed, "
        f"{triage.get('disputed', 0):,} disputed, {dismissed:,} false positive, {waiting:,} waiting for a decision.",
        _use_line(document),
        f"This period: {tally_text(document.tally)}.",
        _expiry_line(document),
        _watch_line(document),
        "No verdict says that a model is clean: each says what was looked for, and what was found.",
    )


def sheets(document: ReportDocument) -> tuple[Sheet, ...]:
    """The tables, those without rows left out."""
    found = (
        _findings(document),
        _in_use(document.in_use),
        _expiring(document.expiring, document.days),
        _states(document),
        _blind(document),
        _trend(document),
    )
    return tuple(sheet for sheet in found if sheet.rows)


def _use_line(document: ReportDocument) -> str:
    used = document.in_use
    if not used:
        return "No list of models in use is watched, so this says nothing about them."
    audited = sum(bool(one.verdict) for one in used)
    flagged = sum(one.verdict == FindingKind.FLAGGED for one in used)
    return f"Of {count(len(used), 'model')} in use {audited:,} are audited, {flagged:,} flagged."


def _expiry_line(document: ReportDocument) -> str:
    amount = len(document.expiring)
    what = f"{count(amount, 'approval')} will" if amount else "No approval will"
    return f"{what} expire within {document.days:g} days."


def _watch_line(document: ReportDocument) -> str:
    what = f"Watched: {scope_text(Scope(document.scope), document.reads_back)}, on {document.hub}."
    if not document.last_pass_at:
        return f"{what} The hub was never read completely."
    return f"{what} Last read completely {document.last_pass_at[:16].replace('T', ' ')} UTC."


def _findings(document: ReportDocument) -> Sheet:
    rows = [_row(name_of(one.ref), *_finding(one)) for one in document.new]
    columns = ("model", "finding", "how sure", "leads to", "interfaces exposed", "decision")
    more = document.new_in_all - len(rows)
    notes = (f"And {more:,} more: `dife findings`.",) if more else ()
    return Sheet("New findings", columns, tuple(rows), notes)


def _finding(finding: Finding) -> tuple[str, ...]:
    exposed = str(len(finding.interfaces)) if finding.interfaces else ""
    return (
        finding.kind.value,
        finding.confidence.value or "a fact about files",
        finding.target,
        exposed,
        finding.triage.value,
    )


def _in_use(used: Iterable[UsedModel]) -> Sheet:
    rows = []
    for one in used:
        largest = "" if one.exposure is None else signed(one.exposure)
        state = one.state or "not looked up yet"
        rows.append(_row(one.model, one.place, state, one.verdict, largest, one.triage))
    columns = ("model", "used in", "state", "verdict", "largest difference", "decision")
    return Sheet("Models in use", columns, tuple(rows))


def _expiring(decisions: Iterable[ExpiringDecision], days: float) -> Sheet:
    rows = []
    for one in decisions:
        rows.append(_row(one.model, one.deployment, one.state, one.expires[:10], one.owner))
    columns = ("model", "deployment", "decision", "expires", "owner")
    return Sheet(f"Approvals that expire within {days:g} days", columns, tuple(rows))


def _states(document: ReportDocument) -> Sheet:
    groups = (
        ("audited", (JobState.DONE,), "has a verdict"),
        ("unsupported", (JobState.UNSUPPORTED,), "not read: another kind of model or format"),
        ("failed", _FAILED, "could not be audited; each says why"),
        ("not ours to read", _CLOSED, "gated, private, disabled or deleted"),
        ("refused", (JobState.REFUSED,), "a file tried something"),
        ("waiting", _WAITING, "not looked at yet"),
    )
    rows = []
    for name, states, meaning in groups:
        amount = sum(document.states.get(state.value, 0) for state in states)
        rows.append(_row(name, f"{amount:,}", meaning))
    older = "audits by an earlier version of the measurement"
    rows.append(_row("stale", f"{document.older_audits:,}", older))
    return Sheet("All revisions discovered", ("state", "count", "what it means"), tuple(rows))


def _blind(document: ReportDocument) -> Sheet:
    rows = [
        _row(kind, "no search is made for it, or none was measured")
        for kind in document.not_covered
    ]
    if document.not_searched:
        audits = count(document.not_searched, "audit")
        rows.append(_row(audits, "a search could not run, so there is no verdict `nothing found`"))
    for state in (JobState.UNSUPPORTED, *_CLOSED, *_FAILED):
        amount = document.states.get(state.value, 0)
        if amount:
            rows.append(_row(count(amount, "revision"), f"{state.value}: nothing is known of them"))
    return Sheet("What we cannot see", ("what", "why"), tuple(rows))


def _trend(document: ReportDocument) -> Sheet:
    rows = []
    for step in document.trend:
        counts = (f"{step.audited:,}", f"{step.found:,}", f"{step.failed:,}")
        rows.append(_row(f"{step.begin[:10]} to {step.end[:10]}", *counts))
    columns = ("period", "audited", "new findings", "failed")
    return Sheet("Trend", columns, tuple(rows))


def _row(name: str, *texts: str) -> tuple[Mark, ...]:
    return (Mark(name, Tone.NAME), *(Mark(text) for text in texts))
