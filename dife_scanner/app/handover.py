"""What the next shift has to know: what is open, disputed, about to expire, quarantined, and silenced."""

from __future__ import annotations

from dife_scanner.alerts.rules import SILENCED
from dife_scanner.durable.clock import later, now
from dife_scanner.records import JobState, Standing, TriageState
from dife_scanner.reports.as_json import HandoverDocument
from dife_scanner.store import Store, decisions, findings, jobs

MOST_ROWS = 200
"""Of each part; how many there are in all stands beside it."""
_OPEN = (TriageState.NEW, TriageState.TRIAGING, TriageState.REGRESSED, TriageState.EXPIRED)
_DAY_SECONDS = 86_400.0


def handover(store: Store, days: float) -> HandoverDocument:
    """Everything that waits for somebody, as it is now; at most `MOST_ROWS` of each kind."""
    standings = decisions.standings(store)
    quarantined = jobs.jobs(store, states=[JobState.QUARANTINED], limit=MOST_ROWS)
    open_filter, disputed, silenced = (
        _triaged(states) for states in (_OPEN, (TriageState.DISPUTED,), tuple(sorted(SILENCED)))
    )
    at = now()
    overdue = "overdue>0"
    return HandoverDocument(
        at=at,
        days=days,
        counts={
            "open": findings.count(store, filter=open_filter),
            "disputed": findings.count(store, filter=disputed),
            "overdue": findings.count(store, filter=overdue),
            "silenced": findings.count(store, filter=silenced),
            "quarantined": jobs.counts(store).get(JobState.QUARANTINED.value, 0),
        },
        open=tuple(findings.findings(store, filter=open_filter, limit=MOST_ROWS)),
        disputed=tuple(findings.findings(store, filter=disputed, limit=MOST_ROWS)),
        overdue=tuple(findings.findings(store, filter=overdue, limit=MOST_ROWS)),
        pending=tuple(one for one in standings if _waits(one)),
        expiring=tuple(one for one in standings if _expires_within(one, days)),
        quarantined=tuple(quarantined),
        silenced=tuple(findings.findings(store, filter=silenced, limit=MOST_ROWS)),
    )


def expiring(store: Store, days: float) -> tuple[Standing, ...]:
    """Decisions that count now, and no longer after so many days."""
    return tuple(one for one in decisions.standings(store) if _expires_within(one, days))


def _triaged(states: tuple[TriageState, ...]) -> str:
    return f"triage:{','.join(state.value for state in states)}"


def _waits(standing: Standing) -> bool:
    """Whether somebody has to decide, or has to see that another desk says otherwise."""
    return standing.is_pending or bool(standing.conflicts)


def _expires_within(standing: Standing, days: float) -> bool:
    decision = standing.decision
    if standing.is_pending or decision is None or not decision.expires:
        return False
    return decision.expires <= later(days * _DAY_SECONDS)
