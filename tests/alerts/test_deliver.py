"""From the outbox to the channels: at least once, whatever dies in between; nothing is ever lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alert_kit import (
    after,
    decide,
    email_to,
    free_port,
    hostile_finding,
    make_finding,
    put,
    renamed,
    slack_to,
    soon,
)
from waiting import BUSY_SECONDS

from dife_scanner.alerts import Delivered, deliver
from dife_scanner.alerts.deliver import ATTEMPTS, LONGEST_PAUSE, pause
from dife_scanner.alerts.messages import Message, Picture
from dife_scanner.errors import AlertFailed
from dife_scanner.lab.sinks import Answer, SlackSink, SmtpSink
from dife_scanner.records import Alert, Notice, TriageState
from dife_scanner.settings import Alerts
from dife_scanner.store import Store, open_store, outbox

STORM = Alerts().storm


def states(store: Store) -> list[str]:
    return [alert.state for alert in reversed(outbox.alerts(store))]


def by_channel(store: Store, channel: str) -> Alert:
    (alert,) = (alert for alert in outbox.alerts(store) if alert.channel == channel)
    return alert


class Recorder:
    """A channel in memory that fails while `error` is set."""

    def __init__(self, name: str = "email") -> None:
        self.name = name
        self.takes_pictures = name == "email"
        self.error: Exception | None = None
        self.tries = 0
        self.messages: list[Message] = []

    def send(self, message: Message) -> None:
        self.tries += 1
        if self.error:
            raise self.error
        self.messages.append(message)


# --- the usual way --------------------------------------------------------------------------------------------


def test_a_finding_reaches_both_channels_once(
    store: Store, smtp: SmtpSink, slack: SlackSink
) -> None:
    put(store, make_finding())
    channels = (email_to(smtp.port), slack_to(slack.url))
    assert deliver(store, channels, soon()) == Delivered(sent=2)
    assert deliver(store, channels, soon()) == Delivered()
    assert (len(smtp.mails), len(slack.payloads)) == (1, 1)
    assert states(store) == ["sent", "sent"]


def test_a_hostile_model_is_delivered_harmlessly(
    store: Store, smtp: SmtpSink, slack: SlackSink
) -> None:
    put(store, hostile_finding())
    assert deliver(store, (email_to(smtp.port), slack_to(slack.url)), soon()).sent == 2
    assert smtp.recipients == [("soc@example.org",)]
    assert smtp.mails[0]["Bcc"] is None
    assert slack.problems == []


def test_a_finding_that_comes_back_after_its_fix_is_told_again(store: Store) -> None:
    channel = Recorder()
    first = put(store, make_finding(), "email")
    put(store, renamed(first, "a" * 40), "email")
    deliver(store, [channel], soon())
    decide(store, first.fingerprint, TriageState.FIXED_UPSTREAM)
    put(store, renamed(first, "b" * 40), "email")
    deliver(store, [channel], soon())
    assert [message.subject[:18] for message in channel.messages] == [
        "[DIFE] Backdoor tr",
        "[DIFE] Resolved: B",
        "[DIFE] Back again:",
    ]


def test_who_was_told_of_a_finding_is_told_that_it_is_resolved(store: Store) -> None:
    mail, chat = Recorder("email"), Recorder("slack")
    chat.error = AlertFailed("down")
    found = put(store, make_finding())
    deliver(store, [mail, chat], soon())
    decide(store, found.fingerprint, TriageState.CONFIRMED, actor="me")
    decide(store, found.fingerprint, TriageState.ACCEPTED_RISK, actor="me")
    decide(store, found.fingerprint, TriageState.FALSE_POSITIVE, actor="me")
    chat.error = None
    deliver(store, [mail, chat], after(soon(), days=1))
    first, second = mail.messages
    assert second.subject == "[DIFE] Resolved: Backdoor trigger demonstrated in acme/clip-1"
    assert second.follows == first.key
    assert "decided false-positive" in second.summary  # the latest, in place of what still waited
    assert chat.messages == [] and by_channel(store, "slack").state == "silenced"
    assert by_channel(store, "slack").last_error == "accepted-risk before it was sent"


def test_alerts_of_a_channel_that_is_switched_off_stay(store: Store) -> None:
    put(store, make_finding())
    assert deliver(store, [Recorder("email")], soon()) == Delivered(sent=1, unrouted=1)
    assert deliver(store, [Recorder("slack")], soon()) == Delivered(sent=1)


def test_a_picture_goes_with_one_finding_to_those_who_can_see_it(store: Store) -> None:
    drawn: list[str] = []

    def draw(about: Notice) -> Picture:
        drawn.append(about.fingerprint)
        return Picture(b"png", "a matrix")

    put(store, make_finding())
    mail, chat = Recorder("email"), Recorder("slack")
    assert deliver(store, [mail, chat], soon(), draw=draw).sent == 2
    assert drawn == [make_finding().fingerprint]
    assert (mail.messages[0].picture, chat.messages[0].picture) == (
        Picture(b"png", "a matrix"),
        None,
    )


# --- dead channels --------------------------------------------------------------------------------------------


def test_a_dead_mail_server_delays_mail_only_and_loses_none(store: Store, slack: SlackSink) -> None:
    port, now = free_port(), soon()
    channels = (email_to(port), slack_to(slack.url))
    for number in range(3):
        put(store, make_finding(number))
    done = deliver(store, channels, now)
    assert (done.sent, done.failed, len(slack.payloads)) == (3, 1, 3)
    for _ in range(3):
        deliver(store, channels, now)
    assert all(
        a.attempts == 1 and "refused" in a.last_error
        for a in outbox.alerts(store)
        if a.channel == "email"
    )
    assert deliver(store, channels, after(now, seconds=50)) == Delivered()
    with SmtpSink(port=port) as server:
        assert deliver(store, channels, after(now, seconds=80)) == Delivered(sent=3)
        assert {mail["Subject"][-1] for mail in server.mails} == {"0", "1", "2"}
    assert set(states(store)) == {"sent"}


def test_a_silent_channel_does_not_hold_up_the_other(store: Store) -> None:
    taken: list[Message] = []
    everything = threading.Event()

    class Quick(Recorder):
        def send(self, message: Message) -> None:
            taken.append(message)
            if len(taken) == 3:
                everything.set()

    class Slow(Recorder):
        def send(self, message: Message) -> None:
            assert everything.wait(BUSY_SECONDS), "the other channel waited for this one"
            raise AlertFailed("no answer in time")

    for number in range(3):
        put(store, make_finding(number))
    assert deliver(store, [Slow("email"), Quick("slack")], soon()) == Delivered(sent=3, failed=1)


def test_a_rate_limit_is_honoured_for_the_whole_channel(store: Store, slack: SlackSink) -> None:
    channel, now = slack_to(slack.url), soon()
    for number in range(3):
        put(store, make_finding(number), "slack")
    slack.answers.append(Answer(429, "ratelimited", {"Retry-After": "900"}))
    assert deliver(store, [channel], now) == Delivered(failed=1)
    assert deliver(store, [channel], after(now, seconds=890)) == Delivered()
    assert len(slack.payloads) == 0
    assert [alert.attempts for alert in outbox.alerts(store)] == [0, 0, 1]
    assert deliver(store, [channel], after(now, seconds=901)) == Delivered(sent=3)


def test_a_restart_during_a_rate_limit_still_waits(store: Store, slack: SlackSink) -> None:
    now = soon()
    for number in range(2):
        put(store, make_finding(number), "slack")
    slack.answers.append(Answer(429, "ratelimited", {"Retry-After": "900"}))
    deliver(store, [slack_to(slack.url)], now)
    assert deliver(store, [slack_to(slack.url)], after(now, seconds=890)) == Delivered()
    assert deliver(store, [slack_to(slack.url)], after(now, seconds=901)) == Delivered(sent=2)


def test_after_days_an_alert_is_put_aside_and_can_be_revived(store: Store) -> None:
    channel, now, began = Recorder(), soon(), soon()
    channel.error = AlertFailed("the server is gone")
    put(store, make_finding(), "email")
    done = Delivered()
    while not done.dead:
        done = deliver(store, [channel], now)
        now = by_channel(store, "email").due_at
    alert = by_channel(store, "email")
    assert (alert.state, alert.attempts, alert.last_error) == (
        "dead",
        ATTEMPTS,
        "the server is gone",
    )
    assert after(began, days=2) < now < after(began, days=4)
    assert deliver(store, [channel], after(now, days=30)) == Delivered()

    outbox.revive(store, alert.id)
    assert deliver(store, [channel], soon()) == Delivered(failed=1)  # afresh, not dead at once
    assert by_channel(store, "email").due_at < after(soon(), minutes=2)
    channel.error = None
    outbox.revive(store, None)
    assert deliver(store, [channel], soon()) == Delivered(sent=1)


def test_pauses_double_up_to_six_hours_with_some_chance() -> None:
    low = [pause(attempts, 0.0) for attempts in range(12)]
    assert low[:4] == [60, 120, 240, 480]
    assert low[-1] == LONGEST_PAUSE
    assert pause(0, 1.0) == 72
    assert pause(ATTEMPTS, 0.0) == 60


def test_an_alert_that_cannot_be_composed_holds_nobody_up(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Recorder):
        def send(self, message: Message) -> None:
            if "clip-0" in message.subject:
                raise TypeError("a bug of ours")
            super().send(message)

    channel, now = Picky(), soon()
    for number in range(3):
        put(store, make_finding(number), "email")
    deliver(store, [channel], now)
    deliver(store, [channel], now)
    assert len(channel.messages) == 2
    (alert,) = outbox.alerts(store, state="pending")
    assert alert.last_error == "internal error: TypeError"
    assert "a bug of ours" in caplog.text


# --- storms ---------------------------------------------------------------------------------------------------


def test_a_storm_is_one_message(store: Store, smtp: SmtpSink, slack: SlackSink) -> None:
    for number in range(STORM + 1):
        put(store, make_finding(number))
    assert deliver(store, (email_to(smtp.port), slack_to(slack.url)), soon()) == Delivered(
        sent=2 * (STORM + 1)
    )
    assert (len(smtp.mails), len(slack.payloads)) == (1, 1)
    assert smtp.mails[0]["Subject"] == f"[DIFE] {STORM + 1} findings"
    assert set(states(store)) == {"sent"}


def test_as_many_as_allowed_are_messages_of_their_own(store: Store) -> None:
    channel = Recorder()
    for number in range(STORM):
        put(store, make_finding(number), "email")
    deliver(store, [channel], soon())
    assert len(channel.messages) == STORM


def test_a_backlog_goes_as_a_digest_once_the_channel_is_back(store: Store) -> None:
    channel = Recorder()
    channel.error = AlertFailed("down")
    for number in range(2 * STORM):
        put(store, make_finding(number), "email")
    assert deliver(store, [channel], soon()) == Delivered(failed=2 * STORM)
    put(store, make_finding(999), "email")
    assert deliver(store, [channel], soon()) == Delivered(failed=1)
    assert channel.tries == 2
    outbox.revive(store, outbox.alerts(store)[0].id)
    channel.error = None
    assert deliver(store, [channel], soon()) == Delivered(sent=2 * STORM + 1)
    assert [message.subject for message in channel.messages] == [
        "[DIFE] Backdoor trigger demonstrated in acme/clip-999",
        f"[DIFE] {2 * STORM} findings",
    ]


# --- crashes --------------------------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from alert_kit import email_to, soon
from dife_scanner.alerts import deliver
from dife_scanner.store import open_store
with open_store(Path(sys.argv[2])) as store:
    deliver(store, [email_to(int(sys.argv[3]))], soon())
"""


def run_child(home: Path, port: int, crash_at: str) -> int:
    arguments = [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(home), str(port)]
    return subprocess.run(
        arguments, env={**os.environ, "DIFE_CRASH_AT": crash_at}, timeout=60
    ).returncode


@pytest.mark.parametrize(("point", "count"), [("outbox.delivered", 2), ("outbox.sent", 1)])
def test_a_kill_around_sending_costs_at_most_a_second_copy(
    store: Store, smtp: SmtpSink, point: str, count: int
) -> None:
    put(store, make_finding(), "email")
    assert run_child(store.home, smtp.port, point) == -signal.SIGKILL
    assert len(smtp.mails) == 1
    with open_store(store.home) as again:
        deliver(again, [email_to(smtp.port)], soon())
        assert states(again) == ["sent"]
    assert len(smtp.mails) == count
    assert len({mail["Message-ID"] for mail in smtp.mails}) == 1


def test_a_kill_while_a_digest_is_marked_repeats_the_same_digest(
    store: Store, smtp: SmtpSink
) -> None:
    for number in range(STORM + 5):
        put(store, make_finding(number), "email")
    assert run_child(store.home, smtp.port, "outbox.delivered:7") == -signal.SIGKILL
    deliver(store, [email_to(smtp.port)], soon())
    assert set(states(store)) == {"sent"}
    assert len(smtp.mails) == 2
    assert smtp.mails[0]["Message-ID"] == smtp.mails[1]["Message-ID"]


def test_a_kill_after_a_failure_keeps_the_alert(store: Store) -> None:
    put(store, make_finding(), "email")
    assert run_child(store.home, free_port(), "outbox.failed") == -signal.SIGKILL
    (alert,) = outbox.alerts(store)
    assert (alert.state, alert.attempts) == ("pending", 1)
