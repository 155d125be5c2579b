"""Where the demo's and the tests' alerts arrive: an SMTP server and a Slack webhook, on loopback only.

Both listen on a port of their own choosing and keep what they accept, in memory and (with a directory) as files. The
SMTP server is aiosmtpd; the webhook answers as Slack does, refusing payloads that break Block Kit's limits.

`python -m dife_scanner.lab.sinks DIRECTORY` runs both, prints their addresses as one line of JSON, and stops when its
standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as SMTP_POLICY
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

LOOPBACK = "127.0.0.1"
MAX_BODY = 1 << 20
"""Bytes of one mail or payload."""


class _Arrivals:
    """Numbered files, complete as soon as they have their name."""

    def __init__(self, directory: Path | None, suffix: str) -> None:
        self._directory = directory
        self._suffix = suffix
        self._count = 0
        if directory:
            directory.mkdir(parents=True, exist_ok=True)

    def keep(self, content: bytes) -> None:
        self._count += 1
        if self._directory:
            part = self._directory / f"{self._count:04}.part"
            part.write_bytes(content)
            part.rename(self._directory / f"{self._count:04}{self._suffix}")


# --- SMTP -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SmtpOptions:
    """What the server asks of a client; by default nothing."""

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

    def __init__(self, directory: Path | None = None, *, port: int = 0, options: SmtpOptions | None = None) -> None:
        self.host = LOOPBACK
        self.mails: list[EmailMessage] = []
        self.recipients: list[tuple[str, ...]] = []
        """Envelope recipients of each mail."""
        self._arrivals = _Arrivals(directory, ".eml")
        self._options = options or SmtpOptions()
        self._socket = socket.create_server((LOOPBACK, port))
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp-sink", daemon=True)

    def __enter__(self) -> SmtpSink:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._protocol, sock=self._socket, ssl=self._options.tls)

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

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._options.login, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
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


# --- Slack ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the webhook says instead of looking at the payload: for rehearsing outages and rate limits."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


class SlackSink:
    """An incoming webhook that keeps every payload Slack would accept; use with `with`."""

    def __init__(self, directory: Path | None = None, *, port: int = 0) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.problems: list[str] = []
        """Why payloads were refused."""
        self.answers: deque[Answer] = deque()
        """Given first, one per request."""
        self._arrivals = _Arrivals(directory, ".json")
        self._lock = threading.Lock()
        self._path = f"/services/T00000000/B00000000/{secrets.token_hex(12)}"
        self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.02), name="slack-sink", daemon=True)
        self.port = int(self._server.server_address[1])
        self.url = f"http://{LOOPBACK}:{self.port}{self._path}"

    def __enter__(self) -> SlackSink:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, content_type: str, body: bytes) -> Answer:
        """What Slack would say to this request; accepted payloads are kept."""
        with self._lock:
            if self.answers:
                return self.answers.popleft()
            if path != self._path:
                return Answer(404, "no_service")
            problem, payload = _read_payload(content_type, body)
            if problem:
                self.problems.append(problem)
                return Answer(400, problem.split(":")[0])
            self._arrivals.keep(body)
            self.payloads.append(payload)
            return Answer(200, "ok")


def _handler(sink: SlackSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(min(size, MAX_BODY))
            answer = sink.answer(self.path, self.headers.get("Content-Type", ""), body)
            self.send_response(answer.status)
            for name, value in {"Content-Type": "text/html", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the request line holds the webhook's secret."""

    return Handler


def _read_payload(content_type: str, body: bytes) -> tuple[str, dict[str, Any]]:
    if not content_type.startswith("application/json"):
        return "invalid_payload: not sent as JSON", {}
    try:
        payload = json.loads(body)
    except ValueError:
        return "invalid_payload: not JSON", {}
    if not isinstance(payload, dict):
        return "invalid_payload: not an object", {}
    return slack_problem(payload), payload


def slack_problem(payload: dict[str, Any]) -> str:
    """Slack's error code and why, or nothing where it would accept the payload. Limits as documented for Block Kit."""
    text, blocks = payload.get("text"), payload.get("blocks", [])
    if not isinstance(text, str) or not text.strip():
        return "no_text: no top-level text for notifications"
    if len(text) > 40_000:
        return "msg_too_long: text"
    if not isinstance(blocks, list) or len(blocks) > 50:
        return "invalid_blocks: more than 50"
    for number, block in enumerate(blocks):
        check = _BLOCKS.get(block.get("type")) if isinstance(block, dict) else None
        problem = check(block) if check else "of a kind this webhook does not know"
        if problem:
            return f"invalid_blocks: block {number} {problem}"
    if len(json.dumps(blocks, ensure_ascii=False)) > 13_000:
        return "msg_blocks_too_long: all blocks together"
    return ""


def _text(value: Any, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> str:
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return f"needs a text object of {' or '.join(kinds)}"
    allowed = {"type", "text", "emoji" if value["type"] == "plain_text" else "verbatim"}
    if set(value) - allowed:
        return f"has unknown keys {sorted(set(value) - allowed)}"
    text = value.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= limit:
        return f"needs a text of 1 to {limit} characters"
    return ""


def _header(block: dict[str, Any]) -> str:
    return _text(block.get("text"), 150, ("plain_text",))


def _section(block: dict[str, Any]) -> str:
    fields = block.get("fields")
    if "text" not in block and not fields:
        return "needs text or fields"
    if fields is not None and (not isinstance(fields, list) or not 1 <= len(fields) <= 10):
        return "needs 1 to 10 fields"
    problems = [_text(block["text"], 3000)] if "text" in block else []
    problems += [_text(each, 2000) for each in fields or ()]
    return next(filter(None, problems), "")


def _context(block: dict[str, Any]) -> str:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        return "needs 1 to 10 elements"
    return next(filter(None, (_text(each, 2000) for each in elements)), "")


_BLOCKS: dict[Any, Callable[[dict[str, Any]], str]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "divider": lambda block: "",
}


# --- as a program ---------------------------------------------------------------------------------------------


def main(directory: Path) -> None:
    with SmtpSink(directory / "mail") as smtp, SlackSink(directory / "slack") as slack:
        print(json.dumps({"smtp_host": smtp.host, "smtp_port": smtp.port, "slack_url": slack.url}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
