"""Findings, ways to put them into the outbox, and channels to the sinks."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dife_scanner import settings
from dife_scanner.alerts import Email, SlackWebhook, alerts_for
from dife_scanner.records import (
    Audit,
    Confidence,
    Finding,
    FindingKind,
    JobState,
    ModelRef,
    Severity,
    TriageState,
)
from dife_scanner.store import Store, findings, jobs, leases, triage

HOSTILE = (
    "\x1b]0;owned\x07\x1b[31mevil\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script> <!channel> <@U123> "
    "&lt; :skull: `rm` *bold* \u202egnp.exe\u202c \u200bhttps://evil.test/model.bin\x00"
)


def make_finding(number: int = 1, **changes: Any) -> Finding:
    given = {
        "fingerprint": f"fp1:{number:016x}",
        "ref": ModelRef(f"acme/clip-{number}", f"{number:040x}"),
        "kind": FindingKind.FLAGGED,
        "severity": Severity.EXPOSED,
        "confidence": Confidence.DEMONSTRATED,
        "carrier": "textual",
        "channel": "text",
        "trigger": "prefix “cf”",
        "source": "cat",
        "target": "dog",
        "interfaces": ("zero-shot", "text reranking"),
        "reason": "The trigger turns 97 % of the held-out captions into the target.",
        "audit_id": None,
        "created_at": "2026-01-02T03:04:05.000006+00:00",
    }
    given |= changes
    given |= {"kind": FindingKind(given["kind"]), "severity": Severity(given["severity"])}
    given |= {"confidence": Confidence(given["confidence"])}
    return Finding(**given)


def hostile_finding(number: int = 66) -> Finding:
    return make_finding(
        number,
        ref=ModelRef(f"acme/{HOSTILE}", HOSTILE),
        carrier=HOSTILE,
        channel=HOSTILE,
        trigger=HOSTILE,
        source=HOSTILE,
        target=HOSTILE * 50,
        interfaces=(HOSTILE,) * 20,
        reason=HOSTILE * 50,
    )


def put(store: Store, finding: Finding, *channels: str, audit: Audit | None = None) -> Finding:
    """Take `finding` the whole way a worker takes it: job, rules, and one transaction into the store."""
    job = jobs.discover(
        store, finding.ref, endpoint="http://127.0.0.1", state=JobState.QUEUED, reason="new"
    )
    assert leases.claim_job(store, job.id, "test", 60)
    alerts = alerts_for(
        finding, findings.find(store, finding.fingerprint), channels or ("email", "slack")
    )
    leases.finish(
        store, job.id, "test", JobState.DONE, "audited", audit=audit, finding=finding, alerts=alerts
    )
    return finding


def after(now: str, **span: float) -> str:
    return (datetime.fromisoformat(now) + timedelta(**span)).isoformat(timespec="microseconds")


def soon() -> str:
    """A moment at which everything just put is due."""
    return after(datetime.now(UTC).isoformat(timespec="microseconds"), seconds=1)


def email_to(port: int, *, password: str | None = None, **changes: Any) -> Email:
    config = settings.Email(
        host="127.0.0.1",
        port=port,
        sender="dife@scanner.test",
        recipients=("soc@example.org",),
        timeout_seconds=2,
    )
    return Email(config.model_copy(update=changes), lambda: password)


def slack_to(url: str | None, **changes: Any) -> SlackWebhook:
    return SlackWebhook(
        settings.Slack(enabled=True, timeout_seconds=1).model_copy(update=changes), lambda: url
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def renamed(finding: Finding, revision: str) -> Finding:
    return replace(finding, ref=replace(finding.ref, revision=revision))


def decide(store: Store, fingerprint: str, state: TriageState, *, actor: str = "me") -> None:
    """Somebody decides about a finding, as it stands."""
    about = triage.seen(store, [fingerprint])
    triage.decide(store, state, about, actor=actor, note="why")
