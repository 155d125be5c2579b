"""What goes wrong on the way out: each says what and what to do, keeps the alert, and is tried again until it works."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from alert_kit import after, decide, email_to, make_finding, put, slack_to, soon
from queue_kit import audit_record

from dife_scanner.alerts import AlertChannel, deliver
from dife_scanner.alerts.messages import Picture
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.alerts.slack_bot import SlackBot
from dife_scanner.lab.sinks import SlackApiSink, SlackSink, SmtpOptions, SmtpSink
from dife_scanner.lab.sinks.slack_api import TOKEN
from dife_scanner.queue.alert_sender import exposure_picture
from dife_scanner.records import Notice, TriageState
from dife_scanner.reports import figures
from dife_scanner.settings import Slack
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


def certified(authority: trustme.CA | None = None) -> ssl.SSLContext:
    """What a server shows; without an authority, a certificate that nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    (authority or trustme.CA()).issue_cert("127.0.0.1").configure_cert(context)
    return context


def refusing(authority: trustme.CA | None = None) -> ssl.SSLContext:
    """Takes nobody's handshake: it wants a certificate of the client, too."""
    context = certified(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # which says so within the handshake
    context.verify_mode = ssl.CERT_REQUIRED
    return context


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
    "no encryption offered": Case(
        SmtpOptions,
        lambda port: email_to(port, security="starttls"),
        email_to,
        "STARTTLS",
    ),
    "no encryption spoken": Case(
        SmtpOptions,
        lambda port: email_to(port, security="tls"),
        email_to,
        "did not take the message",
    ),
    "certificate nobody knows": Case(
        lambda: SmtpOptions(starttls=certified()),
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


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """One that channels trust."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_refused_handshake_is_said_and_the_mail_is_sent_once_it_is_taken(
    store: Store, security: str, authority: trustme.CA
) -> None:
    put(store, make_finding(), "email")
    now = soon()
    options = SmtpOptions(login=LOGIN, **{security: refusing(authority)})  # type: ignore[arg-type]
    with SmtpSink(options=options) as server:
        channel = email_to(server.port, security=security, username="dife", password=LOGIN[1])
        assert deliver(store, [channel], now).failed == 1
        assert not server.mails
    (alert,) = outbox.alerts(store)
    assert (alert.state, alert.attempts) == ("pending", 1)
    assert f"127.0.0.1:{server.port} did not take the message" in alert.last_error
    options = SmtpOptions(login=LOGIN, **{security: certified(authority)})  # type: ignore[arg-type]
    with SmtpSink(port=server.port, options=options) as server:
        assert deliver(store, [channel], after(now, seconds=90)).sent == 1
        assert len(server.mails) == 1


@pytest.mark.parametrize("how", ["webhook", "bot"])
@pytest.mark.parametrize("failing", [lambda _: certified(), refusing])
def test_slack_whose_encryption_fails_is_told_nothing_until_it_works(
    store: Store,
    authority: trustme.CA,
    how: str,
    failing: Callable[[trustme.CA], ssl.SSLContext],
) -> None:
    def channel(url: str) -> AlertChannel:
        if how == "webhook":
            return slack_to(url)
        config = Slack(enabled=True, channel="C0ALERTS", api=url, timeout_seconds=2)
        return SlackBot(config, lambda: TOKEN, "C0ALERTS")

    sink = SlackSink if how == "webhook" else SlackApiSink
    put(store, make_finding(), "slack")
    now = soon()
    with sink(tls=failing(authority)) as slack:
        assert deliver(store, [channel(slack.url)], now).failed == 1
        assert slack.problems == []
    (alert,) = outbox.alerts(store)
    assert (alert.state, alert.attempts) == ("pending", 1)
    assert "Slack was not reached" in alert.last_error
    assert TOKEN not in alert.last_error and "services" not in alert.last_error
    with sink(tls=certified(authority)) as slack:
        assert deliver(store, [channel(slack.url)], after(now, seconds=90)).sent == 1
        assert slack.problems == []


def test_a_token_that_is_revoked_is_said_and_a_new_one_takes_up_the_thread(store: Store) -> None:
    with SlackApiSink() as slack:
        config = Slack(enabled=True, channel="C0ALERTS", api=slack.url, timeout_seconds=2)
        tokens = [slack.token]
        channel = SlackBot(config, lambda: tokens[-1], "C0ALERTS")
        found = put(store, make_finding(), "slack")
        now = soon()
        assert deliver(store, [channel], now).sent == 1
        slack.token = "xoxb-1111-of-the-loopback"
        decide(store, found.fingerprint, TriageState.CONFIRMED)
        assert deliver(store, [channel], soon()).failed == 1
        told = outbox.alerts(store)[0]
        assert (told.event, told.state, told.attempts) == ("triaged", "pending", 1)
        assert "invalid_auth" in told.last_error and tokens[0] not in told.last_error
        tokens.append(slack.token)
        assert deliver(store, [channel], after(soon(), seconds=90)).sent == 1
        (thread,) = slack.messages
        assert thread.edits == 1


def test_ten_megabytes_about_a_finding_make_no_long_message(
    store: Store, smtp: SmtpSink, slack: SlackSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what a stranger wrote nor a picture without bounds reaches a channel, and the finding does."""
    long = "x" * 10_000_000
    huge = make_finding(target=long, reason=long)
    monkeypatch.setattr(figures, "matrix_png", lambda study, below=(): long.encode())
    put(store, huge, audit=audit_record(huge.ref, id="a" * 16))
    about = outbox.alerts(store)[0].about
    assert isinstance(about, Notice)
    assert exposure_picture(store, replace(about, audit_id="a" * 16)) is None

    def draw(about: Notice) -> Picture | None:
        return exposure_picture(store, replace(about, audit_id="a" * 16))

    channels = (email_to(smtp.port), slack_to(slack.url))
    assert deliver(store, channels, soon(), draw=draw).sent == 2
    (mail,), (payload,) = smtp.mails, slack.payloads
    assert len(mail.as_bytes()) < 20_000 and len(str(payload)) < 20_000
    assert slack.problems == [] and "image/png" not in mail.as_string()


def test_a_mail_that_is_too_large_for_the_server_is_kept_and_said(store: Store) -> None:
    put(store, make_finding(), "email")
    now = soon()
    with SmtpSink() as server:
        large = Picture(random.Random(0).randbytes(2_000_000), "a matrix")
        assert deliver(store, [email_to(server.port)], now, draw=lambda about: large).failed == 1
        (alert,) = outbox.alerts(store)
        assert (alert.state, alert.attempts) == ("pending", 1) and "552" in alert.last_error
        assert deliver(store, [email_to(server.port)], after(now, seconds=90)).sent == 1


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
