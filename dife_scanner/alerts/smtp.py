"""E-mail through SMTP: one conversation per message."""

from __future__ import annotations

import base64
import smtplib
import ssl
from email.headerregistry import Address

from dife_scanner import settings as settings_
from dife_scanner.alerts.mail import as_email
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.private import SecretLookup, is_loopback, reason_of, without_secrets
from dife_scanner.errors import AlertFailed, SettingsError
from dife_scanner.plain import plain

EMAIL = "email"


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
        if config.security == "none" and not is_loopback(config.host):
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


def _mail_advice(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "check alerts.email.username and the secret smtp-password"
    if isinstance(error, ssl.SSLError):
        return "check alerts.email.security and the server's certificate"
    return "it will be tried again; check alerts.email.host, port and security if this stays"


def _explanation(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        if isinstance(reply, bytes):
            reply = reply.decode("utf-8", "replace")
        return f"{error.smtp_code} {reply}"
    return reason_of(error)
