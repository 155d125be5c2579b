"""One checkpoint under two configurations: which audit decides, and what of the other is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import study_factories as factories

from dife_scanner.audit.both_settings import audit_both
from dife_scanner.audit.report import Outcome
from dife_scanner.core.findings import fingerprint
from dife_scanner.errors import AuditError, LimitExceeded, TriggerFileError
from dife_scanner.records import (
    Confidence,
    Finding,
    FindingKind,
    SettingsOf,
    Severity,
    Verdict,
)

SUSPECT, BASE = SettingsOf.SUSPECT, SettingsOf.BASE
FLAGGED, INHERITED = Verdict.FLAGGED, Verdict.INHERITED
INCONCLUSIVE, NOTHING = Verdict.INCONCLUSIVE, Verdict.NOTHING_FOUND


def outcome(
    verdict: Verdict, accuracy: float = 0.7, kind: FindingKind | None = None, name: str = "a"
) -> Outcome:
    record = replace(
        factories.audit(verdict=verdict), id=name, clean_accuracy=accuracy, seconds=2.0
    )
    finding = None
    if kind is not None:
        finding = Finding(
            fingerprint(record.ref.repo_id, kind.value),
            record.ref,
            kind,
            Severity.NOT_MEASURED,
            Confidence.ANOMALOUS,
            *("", "text", "t", "", "ship"),
            interfaces=(),
            reason="r",
            audit_id=name,
            created_at="2026-12-01",
        )
    return Outcome(record, finding, ())


def decided(base: Any, own: Any) -> Outcome:
    """What two audits come to; an error in place of one is raised."""
    asked = []

    def under(settings: SettingsOf) -> Outcome:
        asked.append(settings)
        came = {BASE: base, SUSPECT: own}[settings]
        if isinstance(came, Exception):
            raise came
        return replace(came, audit=replace(came.audit, settings=settings))

    made = audit_both(under)
    assert asked[0] is BASE
    return made


@pytest.mark.parametrize(
    ("base", "own", "decides", "verdict"),
    [
        (outcome(NOTHING), outcome(FLAGGED), SUSPECT, FLAGGED),
        (outcome(FLAGGED), outcome(NOTHING), BASE, FLAGGED),
        (outcome(FLAGGED), outcome(FLAGGED), SUSPECT, FLAGGED),
        (outcome(NOTHING), outcome(NOTHING), SUSPECT, NOTHING),
        (outcome(NOTHING), outcome(INCONCLUSIVE), SUSPECT, INCONCLUSIVE),
        (outcome(INCONCLUSIVE), outcome(NOTHING), BASE, INCONCLUSIVE),
        (outcome(NOTHING), outcome(INCONCLUSIVE, 0.1), BASE, NOTHING),
        (outcome(INCONCLUSIVE, 0.1), outcome(NOTHING), SUSPECT, NOTHING),
        (outcome(INHERITED), outcome(NOTHING), BASE, INHERITED),
        (outcome(NOTHING), outcome(INHERITED), BASE, NOTHING),
        (outcome(NOTHING), AuditError("embeds all alike", ""), BASE, NOTHING),
        (AuditError("embeds all alike", ""), outcome(NOTHING), SUSPECT, NOTHING),
        (LimitExceeded("too long", ""), outcome(FLAGGED), SUSPECT, FLAGGED),
    ],
)
def test_flagged_under_either_is_flagged_and_what_is_unusable_decides_nothing_else(
    base: Any, own: Any, decides: SettingsOf, verdict: Verdict
) -> None:
    made = decided(base, own).audit
    assert (made.settings, made.verdict) == (decides, verdict)


def test_the_deciding_audit_tells_what_the_other_came_to() -> None:
    made = decided(outcome(NOTHING), outcome(INCONCLUSIVE)).audit
    assert made.under_other is not None and made.under_other.verdict is NOTHING
    assert made.reason.endswith(
        "under the base's settings the verdict is nothing-found, clean accuracy 0.700"
    )
    assert made.seconds == 4.0
    failed = decided(outcome(NOTHING), AuditError("embeds all alike", "")).audit
    assert "under its own settings nothing could be measured: embeds all alike" in failed.reason


def test_what_fails_under_the_suspects_own_settings_takes_nothing_from_a_flag() -> None:
    made = decided(outcome(FLAGGED), ZeroDivisionError("no kernel")).audit
    assert made.verdict is FLAGGED and made.settings is BASE
    assert "no kernel" in made.reason


@pytest.mark.parametrize("kind", [FindingKind.ANOMALOUS])
def test_what_waits_for_review_under_either_waits(kind: FindingKind) -> None:
    for base, own in (
        (outcome(NOTHING, kind=kind, name="base"), outcome(NOTHING, name="own")),
        (outcome(NOTHING, name="base"), outcome(NOTHING, kind=kind, name="own")),
    ):
        made = decided(base, own)
        assert made.finding is not None and made.finding.kind is kind
        assert made.finding.audit_id == made.audit.id and made.finding.reason == made.audit.reason


@pytest.mark.parametrize(
    ("base", "own"),
    [
        (outcome(NOTHING), LimitExceeded("too long", "")),
        (LimitExceeded("too long", ""), outcome(INCONCLUSIVE)),
        (LimitExceeded("too long", ""), LimitExceeded("too long", "")),
    ],
)
def test_a_limit_leaves_only_a_flag_standing(base: Any, own: Any) -> None:
    with pytest.raises(LimitExceeded):
        decided(base, own)


def test_a_trigger_file_of_somebodys_own_is_an_error_of_theirs() -> None:
    with pytest.raises(TriggerFileError):
        decided(TriggerFileError("no such class", ""), outcome(FLAGGED))
