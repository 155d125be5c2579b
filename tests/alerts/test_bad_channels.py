"""What goes wrong on the way out: each says what and what to do, keeps the alert, and is tried again until it works."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import trustme
from alert_kit import after, email_to, make_finding, put, slack_to, soon

from dife_scanner.alerts import AlertChannel, deliver
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.lab.sinks import SlackSink, SmtpOptions, SmtpSink
from dife_scanner.store import Store, findings, outbox

LOGIN = ("dife", "the-right-password")
WRONG = "the-wrong-password"


@dataclass(frozen=True)
class Case:
    """A server that refuses, the channel to it as it is set wrongly and rightly, and what is said of it."""

    options: Callable[[], SmtpOptions]
    wrong: Callable[[int], AlertChannel]
    right: Callable[[int], AlertChannel]
    said: str


def encrypted() -> SmtpOptions:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return SmtpOptions(starttls=context)


MAIL = {
    "wrong password": Case(
        lambda: SmtpOptions(login=LOGIN),
        lambda port: email_to(port, username="dife", password=WRONG),
        lambda port: email_to(port, username="dife", password=LOGIN[1]),
        "535",
    ),
    "refusing mailbox": Case(
        lambda: SmtpOptions(refuse=("gone@example.org",)),
        lambda port: email_to(port, recipients=("gone@example.org",)),
        email_to,
        "gone@example.org: 550 no such mailbox",
    ),
    "certificate nobody knows": Case(
        encrypted,
        lambda port: email_to(port, security="starttls"),
        lambda port: email_to(port, security="starttls"),
        "certificate",
    ),
}


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("name", MAIL)
def test_mail_that_is_refused_is_kept_and_sent_once_it_is_set_right(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    case = MAIL[name]
    put(store, make_finding(), "email")
    now = soon()
    with SmtpSink(options=case.options()) as server:
        assert deliver(store, [case.wrong(server.port)], now).failed == 1
        (alert,) = outbox.alerts(store)
        assert (alert.state, alert.attempts) == ("pending", 1)
        assert case.said in alert.last_error
        assert after(now, seconds=59) < alert.due_at < after(now, seconds=73)
        assert WRONG not in str(store.read("SELECT * FROM outbox")) + caplog.text
        assert not server.mails
        if name == "certificate nobody knows":
            monkeypatch.setattr(ssl, "create_default_context", ssl._create_unverified_context)
        assert deliver(store, [case.right(server.port)], after(now, seconds=90)).sent == 1
        assert len(server.mails) == 1


def test_a_wrong_webhook_is_kept_and_sent_once_it_is_set_right(
    store: Store, slack: SlackSink
) -> None:
    put(store, make_finding(), "slack")
    now = soon()
    assert deliver(store, [slack_to(slack.url + "x")], now).failed == 1
    (alert,) = outbox.alerts(store)
    assert "does not know this webhook" in alert.last_error
    assert slack.url.rsplit("/", 1)[1] not in alert.last_error
    assert deliver(store, [slack_to(slack.url)], after(now, seconds=90)).sent == 1
    assert len(slack.payloads) == 1


def test_five_hundred_findings_at_once_are_one_message_a_channel(
    store: Store, smtp: SmtpSink, slack: SlackSink
) -> None:
    with store.atomic("test"):
        for number in range(500):
            found = make_finding(number)
            findings.insert_finding(store, found, None)
            outbox.insert(store, alerts_for(found, None, ("email", "slack")))
    assert deliver(store, (email_to(smtp.port), slack_to(slack.url)), soon()).sent == 1000
    (mail,), (payload,) = smtp.mails, slack.payloads
    assert mail["Subject"] == payload["text"] == "[DIFE] 500 findings"
    assert (
        "And 450 more; `dife findings` lists them all." in mail.get_body(("plain",)).get_content()
    )  # type: ignore[union-attr]
    assert slack.problems == []
