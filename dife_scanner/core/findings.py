"""From a decided audit to the finding that is kept, alerted and triaged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from dife_scanner.core.checks import DEMONSTRATED_EFFECT, waits_for_review
from dife_scanner.core.verdict import exposed_interfaces, strongest_lead
from dife_scanner.records import (
    Audit,
    Confidence,
    Finding,
    FindingKind,
    Interval,
    ModelRef,
    Origin,
    Severity,
    Trigger,
    Verdict,
)


def confidence(effect: Interval | None) -> Confidence:
    """Demonstrated where the lower bound of the effect over the base is large; otherwise the model only stands out."""
    if effect is not None and effect.low >= DEMONSTRATED_EFFECT:
        return Confidence.DEMONSTRATED
    return Confidence.ANOMALOUS


def finding_without_audit(
    kind: FindingKind,
    severity: Severity,
    ref: ModelRef,
    about: Sequence[str],
    reason: str,
    created_at: str,
) -> Finding:
    """A finding about files that no audit measured: of one repository, each `about` is another finding."""
    return Finding(
        fingerprint=fingerprint(ref.repo_id, kind.value, *about),
        ref=ref,
        kind=kind,
        severity=severity,
        confidence=Confidence.NOT_STATED,
        carrier="",
        channel="",
        trigger="",
        source="",
        target="",
        interfaces=(),
        reason=reason,
        audit_id=None,
        created_at=created_at,
    )


def finding(audit: Audit, effect: Interval | None, created_at: str) -> Finding | None:
    """The finding that an audit amounts to, if any: flagged, inherited, or a signature or a lead that waits for review.

    `effect`: paired 95 % interval of the attack success rate, suspect minus base.
    """
    if audit.verdict in (Verdict.NOTHING_FOUND, Verdict.INCONCLUSIVE):
        waiting = [one for one in audit.signatures if waits_for_review(one)]
        strongest = max(waiting, key=lambda result: result.lift, default=None)
        if strongest is None and strongest_lead(audit.searches) is None:
            return None
        trigger = strongest.trigger if strongest else None
        return _for_review(audit, audit.ref, audit.reason, created_at, trigger)
    if audit.verdict is Verdict.IDENTICAL:
        return None
    carrier = ""
    channel = _channel(audit.trigger)
    if audit.diagnosis is not None:
        carrier = audit.diagnosis.carrier.value
        channel = audit.diagnosis.channel.value
    name, source, target = _words(audit.trigger)
    exposed = exposed_interfaces(audit.profile)
    return Finding(
        fingerprint=fingerprint(audit.ref.repo_id, audit.verdict.value, channel, carrier, target),
        ref=audit.ref,
        kind=FindingKind(audit.verdict.value),
        severity=_severity(audit),
        confidence=confidence(effect),
        carrier=carrier,
        channel=channel,
        trigger=name,
        source=source,
        target=target,
        interfaces=exposed,
        reason=audit.reason,
        audit_id=audit.id,
        created_at=created_at,
    )


def anomaly(audit: Audit, ref: ModelRef, reason: str, created_at: str) -> Finding:
    """The finding for the review queue that a score amounts to when it stands out in its batch.

    Nothing is demonstrated: the verdict stays what it is, and the trigger named is the one with the largest effect.
    """
    discovered = [result for result in audit.signatures if result.origin is Origin.DISCOVERED]
    best = max(discovered, key=lambda result: result.lift, default=None)
    return _for_review(audit, ref, reason, created_at, best.trigger if best else None)


def _for_review(
    audit: Audit, ref: ModelRef, reason: str, created_at: str, trigger: Trigger | None
) -> Finding:
    channel = _channel(trigger)
    name, source, target = _words(trigger)
    return Finding(
        fingerprint=fingerprint(ref.repo_id, FindingKind.ANOMALOUS.value, channel, "", target),
        ref=ref,
        kind=FindingKind.ANOMALOUS,
        severity=Severity.NOT_MEASURED,
        confidence=Confidence.ANOMALOUS,
        carrier="",
        channel=channel,
        trigger=name,
        source=source,
        target=target,
        interfaces=(),
        reason=reason,
        audit_id=audit.id,
        created_at=created_at,
    )


def _severity(audit: Audit) -> Severity:
    if exposed_interfaces(audit.profile):
        return Severity.EXPOSED
    # Without an exposed cell only what a fault kept from being measured is flagged.
    if audit.verdict is Verdict.FLAGGED:
        return Severity.NOT_MEASURED
    return Severity.WEAK


def _channel(trigger: Trigger | None) -> str:
    return trigger.channel.value if trigger else ""


def _words(trigger: Trigger | None) -> tuple[str, str, str]:
    """Name, source and target; empty where there is no trigger."""
    if trigger is None:
        return "", "", ""
    return trigger.name, trigger.source, trigger.target


def fingerprint(repo_id: str, kind: str, *effect: str) -> str:
    """`fp1:` and 16 hex digits: the same effect in the same repository has the same one, whatever the revision."""
    text = "\x1f".join((repo_id, kind, *effect))
    return "fp1:" + sha256(text.encode()).hexdigest()[:16]
