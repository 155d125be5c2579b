"""E-mail against real SMTP servers, Slack against an endpoint that checks payloads; failures that tell no secrets."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
from alert_kit import email_to, free_port, hostile_finding, make_finding, slack_to
from waiting import BUSY_SECONDS

from dife_scanner import alerts, settings
from dife_scanner.alerts.messages import Message, message
from dife_scanner.errors import AlertFailed, SettingsError
from dife_scanner.lab.sinks import Answer, SlackSink, SmtpOptions, SmtpSink

PASSWORD = "correct horse & battery/staple"


def news(number: int = 1) -> Message:
    return message(alerts.alerts_for(make_finding(number), None, ["email"]))


def failure(send: Callable[[], None]) -> AlertFailed:
    with pytest.raises(AlertFailed) as caught:
        send()
    error = caught.value
    assert error.advice
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    return error


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


# --- e-mail ---------------------------------------------------------------------------------------------------


def test_aiosmtpd_run_as_its_own_program_takes_the_mail(tmp_path: Path) -> None:
    port, box = free_port(), tmp_path / "box"
    program = [
        sys.executable,
        "-m",
        "aiosmtpd",
        "-n",
        "-l",
        f"127.0.0.1:{port}",
        "-c",
        "aiosmtpd.handlers.Mailbox",
        box,
    ]
    with subprocess.Popen([str(part) for part in program]) as server:
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    email_to(port).send(
                        message(alerts.alerts_for(hostile_finding(), None, ["email"]))
                    )
                    break
                except AlertFailed:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        finally:
            server.terminate()
    (arrived,) = (box / "new").iterdir()
    raw = arrived.read_bytes()
    assert b"Auto-Submitted: auto-generated" in raw
    assert b"X-RcptTo: soc@example.org\n" in raw


_ENCRYPTED_SERVER = """
import ssl, sys
from pathlib import Path
from dife_scanner.lab.sinks import SmtpOptions, SmtpSink

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1])
options = SmtpOptions(starttls=context, login=("dife", sys.argv[2]))
with SmtpSink(Path(sys.argv[3]), options=options) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
"""aiosmtpd that takes nothing unencrypted, and nothing without a login, until its input is closed."""


def test_a_server_of_its_own_with_starttls_and_login_keeps_the_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, pem, box = trustme.CA(), tmp_path / "server.pem", tmp_path / "box"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    program = [sys.executable, "-W", "ignore", "-c", _ENCRYPTED_SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*program, pem, PASSWORD, box], **pipes) as server:  # type: ignore[call-overload]
        port = int(server.stdout.readline())
        login = {"security": "starttls", "username": "dife"}
        assert "530" in failure(lambda: email_to(port).send(news())).what
        assert "535" in failure(lambda: email_to(port, password="no", **login).send(news())).what
        email_to(port, password=PASSWORD, **login).send(news())
        server.stdin.close()
    (arrived,) = box.iterdir()
    mail = BytesParser(policy=policy.default).parsebytes(arrived.read_bytes())
    assert mail["Auto-Submitted"] == "auto-generated"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]


def test_every_recipient_gets_one_mail(smtp: SmtpSink) -> None:
    email_to(smtp.port, recipients=("a@example.org", "b@example.org")).send(news())
    assert smtp.recipients == [("a@example.org", "b@example.org")]
    assert smtp.mails[0]["Subject"] == "[DIFE] Backdoor trigger demonstrated in acme/clip-1"


def test_a_refused_recipient_does_not_make_the_others_get_it_twice() -> None:
    with SmtpSink(options=SmtpOptions(refuse=("gone@example.org",))) as server:
        channel = email_to(server.port, recipients=("a@example.org", "gone@example.org"))
        error = failure(lambda: channel.send(news()))
        assert "gone@example.org: 550 no such mailbox" in error.what
        assert error.taken == ("a@example.org",)
        again = failure(lambda: channel.send(replace(news(), taken=error.taken)))
        assert again.taken == error.taken
        assert server.recipients == [("a@example.org",)]


def test_a_dead_port_is_a_failure_with_its_address() -> None:
    port = free_port()
    error = failure(lambda: email_to(port).send(news()))
    assert f"127.0.0.1:{port}" in error.what
    assert "refused" in error.what


def test_a_silent_server_is_given_up(silent_port: int) -> None:
    started = time.monotonic()
    assert (
        "timed out" in failure(lambda: email_to(silent_port, timeout_seconds=0.3).send(news())).what
    )
    assert time.monotonic() - started < BUSY_SECONDS


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
class TestEncryption:
    """A certificate authority of our own, trusted only where a test says so."""

    @pytest.fixture(scope="class")
    @staticmethod
    def authority() -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def context(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    @pytest.fixture
    def trusted(
        self, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    @pytest.fixture(params=["tls", "starttls"])
    def security(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def server(self, security: str, context: ssl.SSLContext) -> Iterator[SmtpSink]:
        login = ("dife", PASSWORD)
        with SmtpSink(options=SmtpOptions(login=login, **{security: context})) as sink:  # type: ignore[arg-type]
            yield sink

    @pytest.mark.usefixtures("trusted")
    def test_mail_is_sent_encrypted_after_login(self, server: SmtpSink, security: str) -> None:
        email_to(server.port, security=security, username="dife", password=PASSWORD).send(news())
        assert len(server.mails) == 1

    @pytest.mark.usefixtures("trusted")
    def test_a_wrong_password_is_named_but_not_shown(self, server: SmtpSink, security: str) -> None:
        wrong = "hunter2-hunter2"
        channel = email_to(server.port, security=security, username="dife", password=wrong)
        error = failure(lambda: channel.send(news()))
        assert "535" in error.what
        assert "smtp-password" in error.advice
        assert wrong not in error.what
        assert not server.mails

    def test_an_unknown_certificate_is_not_trusted(self, server: SmtpSink, security: str) -> None:
        error = failure(
            lambda: email_to(
                server.port, security=security, username="dife", password=PASSWORD
            ).send(news())
        )
        assert "certificate" in error.what
        assert not server.mails


def test_a_password_is_not_sent_in_clear_text_to_another_machine() -> None:
    channel = email_to(25, host="mail.example.org", username="dife", password=PASSWORD)
    assert "unencrypted" in failure(lambda: channel.send(news())).what


def test_a_missing_password_is_named(smtp: SmtpSink) -> None:
    assert "no password" in failure(lambda: email_to(smtp.port, username="dife").send(news())).what
    assert not smtp.mails


def test_an_error_that_repeats_the_password_is_scrubbed() -> None:
    said = base64.b64encode(f"\0dife\0{PASSWORD}".encode())
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = email_to(server.getsockname()[1], username="dife", password=PASSWORD)

        def parrot() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"220 hello\r\n")
                peer.recv(1000)
                peer.sendall(b"250-hello\r\n250 AUTH PLAIN\r\n")
                peer.recv(1000)
                peer.sendall(b"535 not " + said + b" nor \x1b[31m" + PASSWORD.encode() + b"\r\n")
                peer.recv(1000)

        with ThreadPoolExecutor(1) as pool:
            talk = pool.submit(parrot)
            error = failure(lambda: channel.send(news()))
            talk.result(timeout=5)
    assert "535 not *** nor ***" in error.what
    assert PASSWORD not in error.what and said.decode() not in error.what


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "a@b\r\nBcc: c@d", "Some One <a@b.test>", "a@", "ä@b.test", "a b@c.test"],
)
def test_an_address_that_is_none_is_refused_with_its_key(address: str) -> None:
    with pytest.raises(SettingsError, match=r"alerts\.email\.recipients"):
        email_to(25, recipients=(address,))
    with pytest.raises(SettingsError, match=r"alerts\.email\.sender"):
        email_to(25, sender=address)


# --- Slack ----------------------------------------------------------------------------------------------------


def test_slack_takes_a_message(slack: SlackSink) -> None:
    slack_to(slack.url).send(news())
    (payload,) = slack.payloads
    assert payload["text"] == "[DIFE] Backdoor trigger demonstrated in acme/clip-1"
    assert payload["blocks"][0]["type"] == "header"


def test_slack_takes_a_hostile_message(slack: SlackSink) -> None:
    slack_to(slack.url).send(message(alerts.alerts_for(hostile_finding(), None, ["slack"])))
    assert len(slack.payloads) == 1
    assert not slack.problems


def test_slack_asking_for_a_pause_is_heard(slack: SlackSink) -> None:
    slack.answers.append(Answer(429, "ratelimited", {"Retry-After": "37"}))
    assert failure(lambda: slack_to(slack.url).send(news())).retry_after == 37


def test_slack_naming_a_time_is_heard_by_its_own_clock(slack: SlackSink) -> None:
    its_clock = datetime.now(UTC) + timedelta(days=3)
    until = format_datetime(its_clock + timedelta(seconds=90), usegmt=True)
    headers = {"Retry-After": until, "Date": format_datetime(its_clock, usegmt=True)}
    slack.answers.append(Answer(429, "ratelimited", headers))
    assert failure(lambda: slack_to(slack.url).send(news())).retry_after == 90


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_pause_that_makes_no_sense_is_not_heard(slack: SlackSink, value: str) -> None:
    slack.answers.append(Answer(429, "ratelimited", {"retry-after": value}))
    assert failure(lambda: slack_to(slack.url).send(news())).retry_after is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(400, "invalid_blocks"), "400 invalid_blocks"),
        (Answer(404, "no_service"), "does not know this webhook"),
        (Answer(410, "channel_is_archived"), "does not know this webhook"),
        (Answer(500, "\x1b[31moops"), "500 oops"),
        (Answer(200, "<html>please log in</html>"), "did not take"),
        (Answer(307, "", {"Location": "http://127.0.0.1:9/x"}), "307"),
    ],
)
def test_any_answer_but_ok_is_a_failure(slack: SlackSink, answer: Answer, said: str) -> None:
    slack.answers.append(answer)
    assert said in failure(lambda: slack_to(slack.url).send(news())).what
    assert not slack.payloads


def test_a_silent_webhook_is_given_up(silent_port: int) -> None:
    started = time.monotonic()
    failure(lambda: slack_to(f"http://127.0.0.1:{silent_port}/services/x").send(news()))
    assert time.monotonic() - started < BUSY_SECONDS


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.org/x",
        "hooks.slack.com/services/x",
        "file:///etc/passwd",
        "https://",
        "http://[",
        "",
    ],
)
def test_an_address_that_is_no_webhook_is_not_tried(address: str) -> None:
    assert "webhook" in failure(lambda: slack_to(address).send(news())).what


def test_the_webhook_address_is_in_no_error_and_no_log(
    slack: SlackSink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("slack_sdk").setLevel(logging.DEBUG)
    secret = slack.url.rsplit("/", 1)[1]
    slack.answers += [
        Answer(500, f"no such thing as {slack.url}"),
        Answer(404, secret),
        Answer(200, "ok"),
    ]
    told = [str(failure(lambda: slack_to(slack.url).send(news())).args) for _ in range(2)]
    slack_to(slack.url).send(news())
    told.append(
        str(failure(lambda: slack_to(slack.url.replace(str(slack.port), "9")).send(news())).args)
    )
    told.append(str(failure(lambda: slack_to(slack.url + "\n x").send(news())).args))
    assert not [each for each in [*told, caplog.text] if secret in each]


# --- from settings --------------------------------------------------------------------------------------------


def test_only_what_is_switched_on_is_configured(
    tmp_path: Path, slack: SlackSink, smtp: SmtpSink
) -> None:
    assert alerts.configured(settings.load(tmp_path)) == ()
    (tmp_path / "config.toml").write_text(
        f'[alerts.email]\nhost = "127.0.0.1"\nport = {smtp.port}\nrecipients = ["soc@example.org"]\n'
        "[alerts.slack]\nenabled = true\n"
    )
    channels = alerts.configured(settings.load(tmp_path))
    assert [channel.name for channel in channels] == ["email", "slack"]
    alerts.test_message(channels[0])
    assert smtp.mails[0]["Subject"] == "[DIFE] Test message"
    assert "no webhook address" in failure(lambda: alerts.test_message(channels[1])).what
    (tmp_path / "secrets").mkdir()
    secret = tmp_path / "secrets" / "slack-webhook"
    secret.touch(mode=0o600)
    secret.write_text(slack.url)  # stored while the program runs: used from the next message on
    alerts.test_message(channels[1])
    assert slack.payloads[0]["text"] == "[DIFE] Test message"
    assert slack.url not in repr(vars(channels[1]))
