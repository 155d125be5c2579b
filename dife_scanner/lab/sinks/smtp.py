"""An SMTP server on loopback that keeps every mail: aiosmtpd, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from types import TracebackType
from typing import Any

from dife_scanner.lab.sinks.arrivals import LOOPBACK, MAX_BODY, Arrivals


@dataclass(frozen=True)
class SmtpOptions:
    """What the server requires of a client; by default nothing."""

    tls: ssl.SSLContext | None = None
    """Encrypted from the first byte."""
    starttls: ssl.SSLContext | None = None
    """Encryption required after STARTTLS."""
    login: tuple[str, str] | None = None
    """User and password that have to be given."""
    refuse: tuple[str, ...] = ()
    """Recipients answered with 550."""


class SmtpSink:
    """A real SMTP server that keeps every mail; use with `with`."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        options: SmtpOptions | None = None,
    ) -> None:
        self.host = LOOPBACK
        self.mails: list[EmailMessage] = []
        self.recipients: list[tuple[str, ...]] = []
        """Envelope recipients of each mail."""
        self._arrivals = Arrivals(directory, ".eml")
        self._options = options or SmtpOptions()
        self._socket = socket.create_server((LOOPBACK, port))
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="smtp-sink", daemon=True
        )

    def __enter__(self) -> SmtpSink:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(
            self._protocol, sock=self._socket, ssl=self._options.tls
        )

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        from aiosmtpd.smtp import SMTP

        options = self._options
        protocol: asyncio.Protocol = SMTP(
            self,
            data_size_limit=MAX_BODY,
            hostname="localhost",
            tls_context=options.starttls,
            require_starttls=options.starttls is not None,
            auth_required=options.login is not None,
            auth_require_tls=False,
            authenticator=self._authenticate,
            loop=self._loop,
        )
        return protocol

    def _authenticate(
        self,
        server: Any,
        session: Any,
        envelope: Any,
        mechanism: str,
        data: Any,
    ) -> Any:
        from aiosmtpd.smtp import AuthResult

        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._options.login, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: Any,
        session: Any,
        envelope: Any,
        address: str,
        options: list[str],
    ) -> str:
        if address in self._options.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        parsed = BytesParser(policy=SMTP_POLICY).parsebytes(envelope.content)
        assert isinstance(parsed, EmailMessage)
        self._arrivals.keep(envelope.content)
        self.recipients.append(tuple(envelope.rcpt_tos))
        self.mails.append(parsed)
        return "250 kept"
