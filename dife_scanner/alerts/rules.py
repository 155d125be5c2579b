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
    TriageState,
)
from dife_scanner.sentences.alerts import notice_of

SILENCED = frozenset(
    {TriageState.FALSE_POSITIVE, TriageState.ACCEPTED_RISK, TriageState.OUT_OF_SCOPE}
)
"""A person has decided; the same fingerprint does not ask again."""


def alerts_for(
    finding: Finding, previous: Finding | None, channels: Iterable[str]
) -> tuple[Alert, ...]:
    """Make one alert per channel where `finding` is news, otherwise none.

    `previous` is what the store last held under the same fingerprint. Demonstrated flagged findings, files refused
    as hostile and clean bases that changed alert; anomalous and inherited ones wait in the review queue. The event is
    `new` the first time a fingerprint qualifies, and `regressed` when it returns in another revision after it was
    marked fixed upstream.
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

    A regression names its revision too: a finding that is fixed and comes back twice is news twice.
    """
    occasion = event.value
    if event is AlertEvent.REGRESSED:
        occasion = f"{event}@{about.ref.revision}"
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
    if previous.triage in SILENCED or qualifies(previous):
        return None
    return AlertEvent.NEW
