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

from dife_scanner import settings as settings_
from dife_scanner.alerts.messages import Message, as_email, as_slack
from dife_scanner.core.plain import plain
from dife_scanner.errors import AlertFailed, SettingsError
from dife_scanner.settings import Settings

EMAIL = "email"
SLACK = "slack"

SecretLookup = Callable[[], str | None]


class AlertChannel(Protocol):
    """Something that takes a message or says why not."""

    name: str
    quiet_until: str
    """ISO 8601; `deliver` sets it where the channel asked for a pause, and sends nothing before."""

    def send(self, message: Message) -> None:
        """Return once the other side has accepted `message`; otherwise raise `AlertFailed` (or `SettingsError`)."""


def configured(settings: Settings) -> tuple[AlertChannel, ...]:
    """The channels that are switched on. Raises `SettingsError` for an address that is none."""
    found: list[AlertChannel] = []
    if settings.alerts.email.enabled:
        found.append(Email(settings.alerts.email, _lookup("smtp-password", settings)))
    if settings.alerts.slack.enabled:
        found.append(SlackWebhook(settings.alerts.slack, _lookup("slack-webhook", settings)))
    return tuple(found)


def _lookup(name: str, settings: Settings) -> SecretLookup:
    def look() -> str | None:
        found = settings_.secret(name, settings.home)
        return found.value if found else None

    return look


# --- e-mail ---------------------------------------------------------------------------------------------------


class Email:
    """One SMTP conversation per message.

    A recipient whom the server refuses does not make the others get the message again: who has it is remembered for
    as long as this object lives.
    """

    name = EMAIL

    def __init__(self, config: settings_.Email, password: SecretLookup = lambda: None) -> None:
        for key, address in (("sender", config.sender), *(("recipients", each) for each in config.recipients)):
            _check_address(key, address)
        self.quiet_until = ""
        self._config = config
        self._password = password
        self._taken: dict[str, set[str]] = {}

    def send(self, message: Message) -> None:
        config = self._config
        password = self._password() if config.username else None
        self._check_login(password)
        mail = as_email(message, config.sender, config.recipients)
        waiting = [each for each in config.recipients if each not in self._taken.get(message.key, ())]
        try:
            refused = self._converse(mail.as_bytes(), waiting, password)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._failed(error, password) from None
        if refused:
            self._taken.setdefault(message.key, set()).update(set(waiting) - set(refused))
            raise self._refused(refused, password)
        self._taken.pop(message.key, None)

    def _converse(self, mail: bytes, recipients: list[str], password: str | None) -> dict[str, tuple[int, bytes]]:
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
        where = (self._config.host, self._config.port)
        if self._config.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(*where, timeout=self._config.timeout_seconds, context=context)
        return smtplib.SMTP(*where, timeout=self._config.timeout_seconds)

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
        said = _scrubbed(_explanation(error), self._secrets(password))
        return AlertFailed(f"{self._server} did not take the message: {said}", _mail_advice(error))

    def _refused(self, refused: dict[str, tuple[int, bytes]], password: str | None) -> AlertFailed:
        each = "; ".join(f"{who}: {code} {reply.decode('utf-8', 'replace')}" for who, (code, reply) in refused.items())
        said = _scrubbed(each, self._secrets(password))
        return AlertFailed(f"{self._server} refused {said}", "check alerts.email.recipients")

    def _secrets(self, password: str | None) -> list[str]:
        if not password:
            return []
        sent = f"\0{self._config.username}\0{password}"  # what AUTH PLAIN puts on the wire
        return [password, *(base64.b64encode(each.encode()).decode() for each in (sent, password))]


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
        return f"{error.smtp_code} {reply.decode('utf-8', 'replace') if isinstance(reply, bytes) else reply}"
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

_SILENT = logging.Logger("dife_scanner.alerts.silent", level=logging.CRITICAL + 1)
"""slack_sdk writes the webhook address, which is a secret, into its log."""


class SlackWebhook:
    """Posts to the incoming webhook kept as the secret `slack-webhook`."""

    name = SLACK

    def __init__(self, config: settings_.Slack, address: SecretLookup) -> None:
        self.quiet_until = ""
        self._config = config
        self._address = address

    def send(self, message: Message) -> None:
        from slack_sdk.errors import SlackClientError
        from slack_sdk.webhook import WebhookClient

        address = self._checked_address()
        timeout = max(1, math.ceil(self._config.timeout_seconds))
        client = WebhookClient(address, timeout=timeout, logger=_SILENT, retry_handlers=[])
        client.proxy = None  # leaves proxies to urllib, which honours NO_PROXY
        try:
            answer = client.send_dict(as_slack(message))
        except (OSError, http.client.HTTPException, SlackClientError, ValueError, LookupError) as error:
            said = _scrubbed(_explanation(error), _parts(address))
            raise AlertFailed(f"Slack was not reached: {said}", "it will be tried again") from None
        if answer.status_code != 200 or answer.body.strip() != "ok":
            raise _slack_error(answer.status_code, answer.body, _retry_after(answer.headers), _parts(address))

    def _checked_address(self) -> str:
        address = self._address()
        if not address:
            raise AlertFailed(
                "Slack alerts are on, but there is no webhook address",
                "store it as the secret slack-webhook (`dife info` shows where secrets are looked up)",
            )
        if not _is_webhook(address):
            raise AlertFailed("the secret slack-webhook is not an https:// address", "copy it again from Slack")
        return address


def _is_webhook(address: str) -> bool:
    """Encrypted, or on this machine; and nothing in it that urllib would quote back in an error."""
    if not (address.isascii() and address.isprintable() and " " not in address):
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def _slack_error(status: int, body: str, retry_after: float | None, secrets: list[str]) -> AlertFailed:
    said = _scrubbed(body, secrets)[:120]
    if status == 429:
        return AlertFailed("Slack asks to send less often", "it will be tried again", retry_after)
    if status in (401, 403, 404, 410):
        return AlertFailed(
            f"Slack does not know this webhook any more: {status} {said}",
            "make a new incoming webhook and store it as the secret slack-webhook",
            retry_after,
        )
    return AlertFailed(f"Slack did not take the message: {status} {said}", "it will be tried again", retry_after)


def _retry_after(headers: object) -> float | None:
    """Seconds of a `Retry-After` header, where it is a sensible number."""
    items = headers.items() if isinstance(headers, dict) else ()
    for name, value in items:
        if str(name).lower() == "retry-after":
            try:
                seconds = float(value)
            except (TypeError, ValueError):
                return None
            return seconds if math.isfinite(seconds) and seconds >= 0 else None
    return None


def _parts(address: str) -> list[str]:
    """The webhook address and its telling pieces."""
    parts = urlsplit(address)
    pieces = [piece for piece in parts.path.split("/") if len(piece) > 7]
    return [address, f"{parts.path}?{parts.query}", parts.path, *sorted(pieces, key=len, reverse=True)]


# --- both -----------------------------------------------------------------------------------------------------


def _scrubbed(text: str, secrets: Iterable[str]) -> str:
    """`text` made plain, without any of `secrets` in it."""
    for each in secrets:
        for form in (each, quote(each), quote(each, safe="")):
            text = text.replace(form, "***") if len(each) > 1 else text
    return plain(text, 300)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
