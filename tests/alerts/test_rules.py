"""Which findings interrupt somebody, and how often."""

from __future__ import annotations

from dataclasses import replace

import pytest
from alert_kit import make_finding, renamed

from dife_scanner.alerts import alerts_for
from dife_scanner.records import Finding, Severity, TriageState

BOTH = ("email", "slack")


def events(finding: Finding, previous: Finding | None = None) -> list[str]:
    return [alert.event for alert in alerts_for(finding, previous, BOTH)]


def test_a_demonstrated_finding_alerts_once_per_channel() -> None:
    alerts = alerts_for(make_finding(), None, BOTH)
    assert [(alert.channel, alert.event) for alert in alerts] == [
        ("email", "new"),
        ("slack", "new"),
    ]
    assert len({alert.key for alert in alerts}) == 2


def test_a_file_refused_as_hostile_alerts() -> None:
    assert events(make_finding(kind="refused", severity="refused", confidence="")) == ["new", "new"]


def test_a_clean_base_that_changed_alerts_once_and_never_again_for_the_same_change() -> None:
    changed = make_finding(kind="changed", severity="", confidence="")
    assert events(changed) == ["new", "new"]
    assert events(changed, changed) == []
    assert events(changed, replace(changed, triage=TriageState.ACCEPTED_RISK)) == []


@pytest.mark.parametrize("changes", [{"confidence": "anomalous"}, {"kind": "inherited"}])
def test_what_is_only_anomalous_or_inherited_waits_in_the_queue(changes: dict[str, str]) -> None:
    assert events(make_finding(**changes)) == []


@pytest.mark.parametrize(
    "triage", [state for state in TriageState if state is not TriageState.FIXED_UPSTREAM]
)
def test_the_same_fingerprint_does_not_alert_again(triage: TriageState) -> None:
    before = make_finding(triage=triage)
    assert events(renamed(before, "f" * 40), before) == []


def test_a_finding_that_was_fixed_and_returns_is_news_each_time() -> None:
    before = make_finding(triage=TriageState.FIXED_UPSTREAM)
    back, again = renamed(before, "a" * 40), renamed(before, "b" * 40)
    assert events(back, before) == ["regressed", "regressed"]
    keys = {alert.key for each in (back, again) for alert in alerts_for(each, before, BOTH)}
    assert len(keys) == 4
    assert events(before, before) == []  # the fixed revision itself, audited once more


def test_a_finding_that_becomes_demonstrated_is_news() -> None:
    before = make_finding(confidence="anomalous")
    assert events(make_finding(), before) == ["new", "new"]
    assert events(make_finding(), replace(before, triage=TriageState.FALSE_POSITIVE)) == []


def test_a_finding_that_is_worse_than_before_is_news_once() -> None:
    before = make_finding(interfaces=("zero-shot",))
    worse = renamed(make_finding(interfaces=("zero-shot", "text reranking")), "a" * 40)
    for triage, told in (
        (TriageState.NEW, ["escalated"] * 2),
        (TriageState.ACCEPTED_RISK, ["escalated"] * 2),
        (TriageState.FALSE_POSITIVE, []),
        (TriageState.OUT_OF_SCOPE, []),
    ):
        assert events(worse, replace(before, triage=triage)) == told
    assert events(before, worse) == []
    weak = make_finding(severity="weak", interfaces=())
    assert events(replace(weak, severity=Severity.EXPOSED), weak) == ["escalated"] * 2
    keys = {alerts_for(one, before, ["email"])[0].key for one in (worse, renamed(worse, "b" * 40))}
    assert len(keys) == 1


def test_no_channel_no_alert() -> None:
    assert alerts_for(make_finding(), None, ()) == ()


def test_another_finding_is_no_previous_one() -> None:
    with pytest.raises(ValueError, match="not the same finding"):
        alerts_for(make_finding(1), make_finding(2), BOTH)
