"""A period on one page: what is in use, what was done and found, what expires, and what was not seen."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.alerts.calendar import after
from dife_scanner.app.handover import expiring
from dife_scanner.audit.plan import AUDIT_VERSION
from dife_scanner.plain import plain
from dife_scanner.records import Finding, TriageState, WatchedModel
from dife_scanner.reports.as_json import ExpiringDecision, ReportDocument, TrendStep, UsedModel
from dife_scanner.reports.export import name_of
from dife_scanner.settings import Settings
from dife_scanner.store import Store, audits, findings, jobs, models, operations, query, watchlist

STEPS = 6
"""Periods of the trend."""
MOST_FINDINGS = 50
"""New ones that are named; all are counted."""
_MOST_READ = 500
"""Audits of the period whose searches are looked at, the newest."""
_EXPIRES_WITHIN_DAYS = 30.0
_MILLISECONDS = 23


def report(store: Store, settings: Settings, seconds: float, end: str) -> ReportDocument:
    """The `seconds` before `end`."""
    begin = after(end, -seconds)
    in_period = _between("audited", begin, end)
    not_covered, not_searched = _blind_spots(store, in_period)
    found = _between("found", begin, end)
    new = findings.findings(store, filter=found, limit=MOST_FINDINGS)
    return ReportDocument(
        begin=begin,
        end=end,
        hub=settings.endpoint,
        scope=settings.watch.in_force.value,
        reads_back=settings.watch.since,
        last_pass_at=operations.last_pass(store, complete=True),
        in_use=tuple(_used(store, one) for one in watchlist.watched(store, settings.endpoint)),
        states=jobs.counts(store),
        older_audits=audits.tally(store, filter=f"!version:{AUDIT_VERSION}").audited,
        new=tuple(_without_trigger(finding) for finding in new),
        new_in_all=findings.count(store, filter=found),
        triage=_by_triage(store),
        tally=audits.tally(store, filter=in_period),
        expiring=_expiring(store),
        days=_EXPIRES_WITHIN_DAYS,
        not_covered=not_covered,
        not_searched=not_searched,
        trend=_trend(store, seconds, end),
    )


def _between(field: str, begin: str, end: str) -> str:
    """A filter; times of the grammar are in UTC, to the millisecond."""
    return f"{field}>={begin[:_MILLISECONDS]} {field}<{end[:_MILLISECONDS]}"


def _used(store: Store, one: WatchedModel) -> UsedModel:
    name = one.found_as or one.wanted.repo_id
    of_it = query.Query((query.Term((query.Value(name),), "repo"),))
    rows = models.model_rows(store, filter=query.show(of_it), limit=1)
    state = one.state.value if one.state is not None else ""
    if not rows:
        return UsedModel(plain(name), plain(one.wanted.place), state, "", "", None)
    row = rows[0]
    return UsedModel(
        model=plain(name),
        place=plain(one.wanted.place),
        state=state or row.job.state.value,
        verdict=row.verdict.value if row.verdict is not None else "",
        triage=row.triage,
        exposure=row.exposure,
    )


def _without_trigger(finding: Finding) -> Finding:
    name = plain(name_of(finding.ref))
    ref = replace(finding.ref, repo_id=name)
    return replace(finding, ref=ref, trigger="", source="", reason="", decided_for="")


def _expiring(store: Store) -> tuple[ExpiringDecision, ...]:
    found = []
    for one in expiring(store, _EXPIRES_WITHIN_DAYS):
        if one.decision is not None:
            owner, expires = plain(one.decision.owner), one.decision.expires
            model, deployment = plain(one.model), plain(one.deployment)
            found.append(ExpiringDecision(model, deployment, one.state.value, expires, owner))
    return tuple(found)


def _by_triage(store: Store) -> dict[str, int]:
    found = {}
    for state in TriageState:
        amount = findings.count(store, filter=f"triage:{state.value}")
        if amount:
            found[state.value] = amount
    return found


def _blind_spots(store: Store, in_period: str) -> tuple[tuple[str, ...], int]:
    """Kinds that no search of the period covers, and how many of its audits lack a search."""
    kinds: dict[str, None] = {}
    lacking = 0
    for row in audits.audits(store, filter=in_period, limit=_MOST_READ):
        audit = audits.audit(store, row.id)
        lacking += any(not one.left_out for one in audit.not_searched)
        if audit.power is not None:
            kinds.update(dict.fromkeys(audit.power.not_covered))
    return tuple(plain(kind) for kind in sorted(kinds)), lacking


def _trend(store: Store, seconds: float, end: str) -> tuple[TrendStep, ...]:
    steps = []
    for step in reversed(range(STEPS)):
        first, last = after(end, -seconds * (step + 1)), after(end, -seconds * step)
        day = operations.day(store, first, last)
        steps.append(TrendStep(first, last, day.audited, day.found, day.failed))
    return tuple(steps)
