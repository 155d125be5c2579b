"""Where alerts go: e-mail through SMTP, Slack through an incoming webhook.

Passwords and webhook addresses are looked up at each send, never kept, never logged, and cut out of every error.
"""

from __future__ import annotations

import base64
import http.client
import logging
import math
import smtplib
import ssl
from collections.abc import Callable, Iterable
from email.headerregistry import Address
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import quote, urlsplit

from dife_scanner import secrets
from dife_scanner import settings as settings_
from dife_scanner.alerts.messages import Message, as_email, as_slack
from dife_scanner.alerts.planning import check
from dife_scanner.core.plain import plain
from dife_scanner.durable.clock import retry_after
from dife_scanner.errors import AlertFailed, SettingsError
from dife_scanner.records import Thread
from dife_scanner.settings import Settings

EMAIL = "email"
SLACK = "slack"

SecretLookup = Callable[[], str | None]


class AlertChannel(Protocol):
    """Something that takes a message or says why not."""

    name: str
    takes_pictures: bool
    """Whether a message's picture reaches its readers."""

    def send(self, message: Message) -> Thread | None:
        """Return once the other side has accepted `message`; otherwise raise `AlertFailed` (or `SettingsError`).

        A thread that begins with it is given back.
        """


def configured(settings: Settings) -> tuple[AlertChannel, ...]:
    """Make the channels that are switched on or named by a route. Raises `SettingsError` for what cannot be meant."""
    check(settings.alerts)
    found: list[AlertChannel] = []
    password = lookup("smtp-password", settings)
    if settings.alerts.email.enabled:
        found.append(Email(settings.alerts.email, password))
    for name in _named(settings.alerts.routes, EMAIL):
        address = name.removeprefix(f"{EMAIL}:")
        config = settings.alerts.email.model_copy(update={"recipients": (address,)})
        found.append(Email(config, password, name=name))
    if settings.alerts.slack.enabled:
        found += _slack(settings)
    return tuple(found)


def _slack(settings: Settings) -> list[AlertChannel]:
    """With a channel a bot writes there, and to those that routes name; without one it is a webhook."""
    from dife_scanner.alerts.slack_bot import SlackBot

    config = settings.alerts.slack
    if not config.channel:
        return [SlackWebhook(config, lookup("slack-webhook", settings))]
    token = lookup("slack-token", settings)
    found: list[AlertChannel] = [SlackBot(config, token, config.channel)]
    for name in _named(settings.alerts.routes, SLACK):
        found.append(SlackBot(config, token, name.removeprefix(f"{SLACK}:"), name=name))
    return found


def _named(routes: Iterable[settings_.Route], kind: str) -> list[str]:
    """Channels of a kind that only routes name, each once."""
    names = dict.fromkeys(name for route in routes for name in route.to)
    return [name for name in names if name.startswith(f"{kind}:")]


def lookup(name: str, settings: Settings) -> SecretLookup:
    def look() -> str | None:
        found = secrets.secret(name, settings.home)
        if found is None:
            return None
        return found.value

    return look


# --- e-mail ---------------------------------------------------------------------------------------------------


class Email:
    """One SMTP conversation per message."""

    takes_pictures = True

    def __init__(
        self, config: settings_.Email, password: SecretLookup = lambda: None, *, name: str = EMAIL
    ) -> None:
        _check_address("sender", config.sender)
        for address in config.recipients:
            _check_address("recipients", address)
        self.name = name
        self._config = config
        self._password = password

    def send(self, message: Message) -> None:
        """Send to all recipients that do not have the message yet; the error names those that took it."""
        config = self._config
        password = self._password() if config.username else None
        self._check_login(password)
        mail = as_email(message, config.sender, config.recipients)
        waiting = [one for one in config.recipients if one not in message.taken]
        try:
            refused = self._converse(mail.as_bytes(), waiting, password)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._failed(error, password) from None
        if refused:
            taken = set(config.recipients) - set(refused)
            raise self._refused(refused, password, tuple(sorted(taken)))

    def _converse(
        self, mail: bytes, recipients: list[str], password: str | None
    ) -> dict[str, tuple[int, bytes]]:
        """Recipients that the server refused, with its reply."""
        server = self._connect()
        try:
            if self._config.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if password is not None:
                server.login(self._config.username, password)
            return server.sendmail(self._config.sender, recipients, mail)
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients
        finally:
            _hang_up(server)

    def _connect(self) -> smtplib.SMTP:
        config = self._config
        if config.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(
                config.host, config.port, timeout=config.timeout_seconds, context=context
            )
        return smtplib.SMTP(config.host, config.port, timeout=config.timeout_seconds)

    def _check_login(self, password: str | None) -> None:
        config = self._config
        if not config.username:
            return
        if not password:
            raise AlertFailed(
                f"no password for {config.username} on {self._server}",
                "store it as the secret smtp-password (`dife info` shows where secrets are looked up)",
            )
        if config.security == "none" and not _is_loopback(config.host):
            raise AlertFailed(
                f"the password for {self._server} would travel unencrypted; nothing was sent",
                'set alerts.email.security to "starttls" or "tls"',
            )

    @property
    def _server(self) -> str:
        return f"mail server {self._config.host}:{self._config.port}"

    def _failed(self, error: Exception, password: str | None) -> AlertFailed:
        reason = without_secrets(_explanation(error), self._secrets(password))
        return AlertFailed(
            f"{self._server} did not take the message: {reason}", _mail_advice(error)
        )

    def _refused(
        self, refused: dict[str, tuple[int, bytes]], password: str | None, taken: tuple[str, ...]
    ) -> AlertFailed:
        replies = []
        for recipient, (code, reply) in refused.items():
            replies.append(f"{recipient}: {code} {reply.decode('utf-8', 'replace')}")
        reason = without_secrets("; ".join(replies), self._secrets(password))
        return AlertFailed(
            f"{self._server} refused {reason}", "check alerts.email.recipients", taken=taken
        )

    def _secrets(self, password: str | None) -> list[str]:
        if not password:
            return []
        # what AUTH PLAIN and AUTH LOGIN put on the wire
        plain_login = f"\0{self._config.username}\0{password}"
        return [password, _base64(plain_login), _base64(password)]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _hang_up(server: smtplib.SMTP) -> None:
    """Say goodbye; after the message was taken or refused, how the server answers changes nothing."""
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()


def _check_address(key: str, address: str) -> None:
    try:
        parsed = Address(addr_spec=address)
        address.encode("ascii")
    except (ValueError, IndexError) as error:
        raise _bad_address(key, address) from error
    if not (parsed.username and parsed.domain):
        raise _bad_address(key, address)


def _bad_address(key: str, address: str) -> SettingsError:
    return SettingsError(
        f"setting `alerts.email.{key}` is not valid: {plain(address, 80)!r} is no e-mail address",
        "write it as name@example.org",
    )


def _explanation(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        if isinstance(reply, bytes):
            reply = reply.decode("utf-8", "replace")
        return f"{error.smtp_code} {reply}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _mail_advice(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "check alerts.email.username and the secret smtp-password"
    if isinstance(error, ssl.SSLError):
        return "check alerts.email.security and the server's certificate"
    return "it will be tried again; check alerts.email.host, port and security if this stays"


# --- Slack ----------------------------------------------------------------------------------------------------

SILENT = logging.Logger("dife_scanner.alerts.silent", level=logging.CRITICAL + 1)
"""slack_sdk writes the webhook address, which is a secret, into its log."""


class SlackWebhook:
    """Posts to the incoming webhook kept as the secret `slack-webhook`."""

    name = SLACK
    takes_pictures = False

    def __init__(self, config: settings_.Slack, address: SecretLookup) -> None:
        self._config = config
        self._address = address

    def send(self, message: Message) -> None:
        """Post the message."""
        from slack_sdk.errors import SlackClientError
        from slack_sdk.webhook import WebhookClient

        address = self._checked_address()
        timeout = max(1, math.ceil(self._config.timeout_seconds))
        client = WebhookClient(address, timeout=timeout, logger=SILENT, retry_handlers=[])
        client.proxy = None  # leaves proxies to urllib, which honours NO_PROXY
        try:
            answer = client.send_dict(as_slack(message))
        except (
            OSError,
            http.client.HTTPException,
            SlackClientError,
            ValueError,
            LookupError,
        ) as error:
            reason = without_secrets(_explanation(error), _parts(address))
            raise AlertFailed(
                f"Slack was not reached: {reason}", "it will be tried again"
            ) from None
        if answer.status_code != 200 or answer.body.strip() != "ok":
            raise _slack_error(
                answer.status_code, answer.body, retry_after_of(answer.headers), _parts(address)
            )

    def _checked_address(self) -> str:
        address = self._address()
        if not address:
            raise AlertFailed(
                "Slack alerts are on, but there is no webhook address",
                "store it as the secret slack-webhook (`dife info` shows where secrets are looked up)",
            )
        if not is_private_address(address):
            raise AlertFailed(
                "the secret slack-webhook is not an https:// address", "copy it again from Slack"
            )
        return address


def is_private_address(address: str) -> bool:
    """Whether it is encrypted or on this machine, with nothing in it that urllib would quote back in an error."""
    if not (address.isascii() and address.isprintable() and " " not in address):
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _slack_error(status: int, body: str, wait: float | None, secrets: list[str]) -> AlertFailed:
    reason = without_secrets(body, secrets)[:120]
    if status == 429:
        return AlertFailed(
            "Slack limits how often messages are sent", "it will be tried again", wait
        )
    if status in (401, 403, 404, 410):
        return AlertFailed(
            f"Slack does not know this webhook any more: {status} {reason}",
            "make a new incoming webhook and store it as the secret slack-webhook",
            wait,
        )
    return AlertFailed(
        f"Slack did not take the message: {status} {reason}", "it will be tried again", wait
    )


def retry_after_of(headers: object) -> float | None:
    """Seconds to wait, as a `Retry-After` header says in seconds or as a date."""
    if not isinstance(headers, dict):
        return None
    found = {str(name).lower(): str(value) for name, value in headers.items()}
    return retry_after(found.get("retry-after", ""), found.get("date", ""))


def without_address(text: str, address: str) -> str:
    """`text` made plain, without a secret address or a telling piece of it."""
    return without_secrets(text, _parts(address))


def _parts(address: str) -> list[str]:
    """The webhook address and its telling pieces."""
    parts = urlsplit(address)
    pieces = [piece for piece in parts.path.split("/") if len(piece) > 7]
    longest_first = sorted(pieces, key=len, reverse=True)
    return [address, f"{parts.path}?{parts.query}", parts.path, *longest_first]


# --- both -----------------------------------------------------------------------------------------------------


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """`text` made plain, without any of `secrets` in it."""
    for secret in secrets:
        if len(secret) < 2:  # one character would be cut out of every word
            continue
        for form in (secret, quote(secret), quote(secret, safe="")):
            text = text.replace(form, "***")
    return plain(text, 300)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
