"""Which findings are worth interrupting somebody for. Pure: no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable

from dife_scanner.records import (
    Alert,
    AlertEvent,
    Confidence,
    Finding,
    FindingKind,
    Notice,
    Severity,
    TriageState,
)
from dife_scanner.sentences.alerts import notice_of

SILENCED = frozenset(
    {TriageState.FALSE_POSITIVE, TriageState.ACCEPTED_RISK, TriageState.OUT_OF_SCOPE}
)
"""A person has decided; the same fingerprint does not ask again."""
_DISMISSED = frozenset({TriageState.FALSE_POSITIVE, TriageState.OUT_OF_SCOPE})
"""A person has decided that it is nothing; getting worse does not make it something."""


def alerts_for(
    finding: Finding, previous: Finding | None, channels: Iterable[str]
) -> tuple[Alert, ...]:
    """Make one alert per channel where `finding` is news, otherwise none.

    `previous` is what the store last held under the same fingerprint. Demonstrated flagged findings, files refused
    as hostile and clean bases that changed alert; anomalous and inherited ones wait in the review queue. The event is
    `new` the first time a fingerprint qualifies, `regressed` when it returns in another revision after it was marked
    fixed upstream, and `escalated` when it is worse than before.
    """
    if previous is not None and previous.fingerprint != finding.fingerprint:
        raise ValueError(f"{previous.fingerprint} is not the same finding as {finding.fingerprint}")
    event = _event(finding, previous)
    if event is None:
        return ()
    notice = notice_of(finding)
    alerts = []
    for channel in channels:
        alerts.append(Alert(key(notice, event, channel), channel, event, notice))
    return tuple(alerts)


def key(about: Notice, event: AlertEvent, channel: str) -> str:
    """The idempotency key: an outbox takes each of these once.

    A regression names its revision too: a finding that is fixed and comes back twice is news twice. An escalation names
    what it escalated to.
    """
    occasion = event.value
    if event is AlertEvent.REGRESSED:
        occasion = f"{event}@{about.ref.revision}"
    if event is AlertEvent.ESCALATED:
        occasion = f"{event}@{about.severity}:{'+'.join(sorted(about.interfaces))}"
    return f"{about.fingerprint}|{occasion}|{channel}"


def qualifies(finding: Finding) -> bool:
    """Tell whether a finding of this kind and confidence alerts at all."""
    if finding.kind in (FindingKind.REFUSED, FindingKind.CHANGED):
        return True
    return finding.kind == FindingKind.FLAGGED and finding.confidence == Confidence.DEMONSTRATED


def _event(finding: Finding, previous: Finding | None) -> AlertEvent | None:
    if not qualifies(finding):
        return None
    if previous is None:
        return AlertEvent.NEW
    if (
        previous.triage is TriageState.FIXED_UPSTREAM
        and previous.ref.revision != finding.ref.revision
    ):
        return AlertEvent.REGRESSED
    if qualifies(previous):
        is_told = previous.triage not in _DISMISSED and _escalated(finding, previous)
        return AlertEvent.ESCALATED if is_told else None
    if previous.triage in SILENCED:
        return None
    return AlertEvent.NEW


def _escalated(finding: Finding, previous: Finding) -> bool:
    """Whether it is worse than before: exposed at all, or through an interface that was not."""
    if _RANK[finding.severity] > _RANK[previous.severity]:
        return True
    return bool(set(finding.interfaces) - set(previous.interfaces))


_RANK = {
    Severity.NOT_MEASURED: 0,
    Severity.WEAK: 1,
    Severity.EXPOSED: 2,
    Severity.REFUSED: 2,
}
