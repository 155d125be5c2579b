"""Slack by a bot token, against a loopback of its API: threads, edits, pictures, and every way it says no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from alert_kit import after, decide, make_finding, put, renamed, soon

from dife_scanner import settings
from dife_scanner.alerts import deliver
from dife_scanner.alerts.channels import configured
from dife_scanner.alerts.messages import Message, Picture
from dife_scanner.alerts.slack_bot import SlackBot
from dife_scanner.errors import SettingsError
from dife_scanner.lab.sinks import Answer, SlackApiSink
from dife_scanner.records import TriageState
from dife_scanner.settings import Alerts, Route, Slack
from dife_scanner.store import Store, open_store, outbox

ROOM, OTHER = "C0ALERTS", "C0OTHER"


@pytest.fixture
def api() -> Iterator[SlackApiSink]:
    with SlackApiSink(channels=(ROOM, OTHER)) as sink:
        yield sink


def bot(api: SlackApiSink, token: str | None = None, place: str = ROOM) -> SlackBot:
    config = Slack(enabled=True, channel=place, api=api.url, timeout_seconds=2)
    return SlackBot(config, lambda: api.token if token is None else token, place)


def test_a_model_has_one_thread_and_its_first_message_is_edited_on_triage(
    store: Store, api: SlackApiSink
) -> None:
    channel = bot(api)
    found = put(store, make_finding(), "slack")
    assert deliver(store, [channel], soon()).sent == 1
    second = put(
        store, make_finding(2, ref=replace(found.ref, revision="b" * 40), channel="image"), "slack"
    )
    deliver(store, [channel], soon())
    first, reply = api.messages
    assert (reply.thread, first.thread) == (first.ts, "")
    assert second.fingerprint in json.dumps(reply.payload)

    decide(store, found.fingerprint, TriageState.CONFIRMED, actor="ada")
    deliver(store, [channel], soon())
    assert first.edits == 1 and "decided confirmed" in json.dumps(first.payload)
    decide(store, found.fingerprint, TriageState.FIXED_UPSTREAM, actor="ada")
    deliver(store, [channel], soon())
    assert first.edits == 2 and first.payload["text"].startswith("[DIFE] Resolved: ")
    decide(store, second.fingerprint, TriageState.TRIAGING, actor="ada")
    deliver(store, [channel], soon())
    assert (
        first.edits == 2 and len(api.messages) == 2
    )  # of another finding than the first message's

    put(store, renamed(found, "c" * 40), "slack")
    deliver(store, [channel], soon())
    assert api.messages[-1].thread == first.ts and len(api.messages) == 3
    assert api.messages[-1].payload["text"].startswith("[DIFE] Back again: ")
    assert api.problems == []
    assert {alert.state.value for alert in outbox.alerts(store)} == {"sent"}


def test_a_decision_while_slack_is_away_is_told_with_the_finding(
    store: Store, api: SlackApiSink
) -> None:
    found = put(store, make_finding(), "slack")
    api.answers.append(Answer(503, "away"))
    now = soon()
    assert deliver(store, [bot(api)], now).failed == 1
    decide(store, found.fingerprint, TriageState.TRIAGING, actor="ada")
    decide(store, found.fingerprint, TriageState.CONFIRMED, actor="ada")
    assert deliver(store, [bot(api)], after(now, minutes=2)).sent == 1
    assert deliver(store, [bot(api)], after(now, days=1)).sent == 0
    (first,) = api.messages
    assert "decided confirmed" in json.dumps(first.payload)
    assert first.payload["text"].startswith("[DIFE] Backdoor trigger demonstrated")


@pytest.mark.parametrize("state", [TriageState.CONFIRMED, TriageState.FALSE_POSITIVE])
def test_a_decision_while_a_message_is_on_its_way_is_told_after_it(
    store: Store, api: SlackApiSink, state: TriageState
) -> None:
    found = put(store, make_finding(), "slack")
    channel = bot(api)
    posting = channel._said

    def decided_meanwhile(message: Message) -> dict[str, Any]:
        if not api.messages:
            with open_store(store.home) as window:  # the sender's thread has no handle
                decide(window, found.fingerprint, state, actor="ada")
        return posting(message)

    channel._said = decided_meanwhile  # type: ignore[method-assign]
    assert deliver(store, [channel], soon()).sent >= 1
    deliver(store, [channel], after(soon(), minutes=1))
    (first,) = api.messages
    assert first.edits == 1 and f"decided {state}" in json.dumps(first.payload)


def test_the_picture_is_uploaded_into_the_thread(store: Store, api: SlackApiSink) -> None:
    put(store, make_finding(), "slack")
    deliver(store, [bot(api)], soon(), draw=lambda about: Picture(b"\x89PNG drawn", "a matrix"))
    assert api.messages[0].files == [("exposure.png", b"\x89PNG drawn")]


def test_a_picture_that_is_refused_does_not_send_the_message_again(
    store: Store, api: SlackApiSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, make_finding(), "slack")
    monkeypatch.setattr(api, "_offer_upload", None)
    monkeypatch.setattr(SlackApiSink, "_complete_upload", lambda *given: Answer(500, "{}"))
    assert deliver(store, [bot(api)], soon(), draw=lambda about: Picture(b"png", "")).sent == 1
    assert len(api.messages) == 1


def test_a_thread_that_somebody_removed_begins_anew(store: Store, api: SlackApiSink) -> None:
    found = put(store, make_finding(), "slack")
    deliver(store, [bot(api)], soon())
    api.messages.clear()
    decide(store, found.fingerprint, TriageState.CONFIRMED, actor="ada")
    deliver(store, [bot(api)], soon())
    (again,) = api.messages
    assert again.thread == "" and "decided confirmed" in json.dumps(again.payload)
    thread = outbox.thread_of(store, "slack", found.ref.repo_id)
    assert thread is not None and thread.reference == again.ts


def test_an_edit_waits_for_no_quiet_hours_and_no_others(store: Store, api: SlackApiSink) -> None:
    rules = Alerts(group_seconds=30, quiet_hours="22:00-07:00")
    found = put(store, make_finding(), "slack")
    deliver(store, [bot(api)], "2031-01-07T12:00:00+00:00", rules=rules)
    deliver(store, [bot(api)], "2031-01-07T12:00:31+00:00", rules=rules)
    decide(store, found.fingerprint, TriageState.FALSE_POSITIVE, actor="ada")
    assert deliver(store, [bot(api)], "2031-01-07T23:00:00+00:00", rules=rules).sent == 1
    assert api.messages[0].edits == 1


@pytest.mark.parametrize(
    ("answer", "said", "advice"),
    [
        (Answer(200, '{"ok": false, "error": "token_revoked"}'), "token_revoked", "slack-token"),
        (Answer(200, '{"ok": false, "error": "not_in_channel"}'), "not_in_channel", "invite"),
        (
            Answer(200, '{"ok": false, "error": "msg_blocks_too_long"}'),
            "msg_blocks_too_long",
            "tried again",
        ),
        (Answer(500, "oops"), "", "tried again"),
    ],
)
def test_what_slack_refuses_is_said_and_tried_again(
    store: Store,
    api: SlackApiSink,
    answer: Answer,
    said: str,
    advice: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(store, make_finding(), "slack")
    now = soon()
    headers = {"Content-Type": "application/json"}
    api.answers.append(Answer(answer.status, answer.body, headers))
    assert deliver(store, [bot(api)], now).failed == 1
    (alert,) = outbox.alerts(store)
    assert "Slack" in alert.last_error and said in alert.last_error
    assert api.token not in caplog.text + alert.last_error
    assert deliver(store, [bot(api)], after(now, minutes=2)).sent == 1


@pytest.mark.parametrize("token", ["xoxb-wrong-token-of-somebody", ""])
def test_a_wrong_or_missing_token_is_named_and_not_shown(
    store: Store, api: SlackApiSink, token: str
) -> None:
    put(store, make_finding(), "slack")
    assert deliver(store, [bot(api, token)], soon()).failed == 1
    (alert,) = outbox.alerts(store)
    assert "token" in alert.last_error and "wrong-token" not in alert.last_error
    assert api.messages == []


def test_a_rate_limit_of_the_api_is_kept_to(store: Store, api: SlackApiSink) -> None:
    put(store, make_finding(), "slack")
    now = soon()
    body = '{"ok": false, "error": "ratelimited"}'
    api.answers.append(
        Answer(429, body, {"Retry-After": "900", "Content-Type": "application/json"})
    )
    assert deliver(store, [bot(api)], now).failed == 1
    assert deliver(store, [bot(api)], after(now, seconds=890)).sent == 0
    assert deliver(store, [bot(api)], after(now, seconds=901)).sent == 1


def test_routes_lead_to_further_channels_of_the_bot(store: Store, api: SlackApiSink) -> None:
    rules = Alerts(
        slack=Slack(enabled=True, channel=ROOM, api=api.url),
        routes=(Route(to=("slack",)), Route(filter="target:dog", to=(f"slack:{OTHER}",))),
    )
    read = settings.load(store.home).model_copy(update={"alerts": rules})
    assert [channel.name for channel in configured(read)] == ["slack", f"slack:{OTHER}"]
    webhook = rules.model_copy(update={"slack": Slack(enabled=True)})
    with pytest.raises(SettingsError, match="slack:C0OTHER is off"):
        configured(read.model_copy(update={"alerts": webhook}))


def test_the_token_is_sent_only_encrypted_or_within_this_machine() -> None:
    with pytest.raises(ValueError, match="https"):
        Slack(api="http://slack.example.org/api/")
    assert Slack(api="https://slack-gov.com/api").api == "https://slack-gov.com/api/"
