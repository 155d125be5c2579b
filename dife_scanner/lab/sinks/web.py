"""What both Slacks on loopback are, and the simulated hub: a web server in a thread, whose answers its owner gives."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol, Self

from dife_scanner.lab.sinks.arrivals import LOOPBACK, MAX_BODY


@dataclass(frozen=True)
class Answer:
    """What a sink answers; given beforehand, it rehearses an outage or a rate limit."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


class Respond(Protocol):
    """What a sink says to one request."""

    def __call__(self, path: str, headers: Message, body: bytes) -> Answer:
        """`headers` know their names in any case."""


class WebServer:
    """Serves requests of one `method` on loopback as long as it is used with `with`; others are answered 501."""

    def __init__(
        self,
        respond: Respond,
        name: str,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        *,
        method: str = "POST",
    ) -> None:
        self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(respond, method))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(0.02), name=name, daemon=True
        )
        self.port = int(self._server.server_address[1])
        self.address = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(respond: Respond, method: str) -> type[BaseHTTPRequestHandler]:
    """Return the class that hands requests over."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(min(size, MAX_BODY))
            answer = respond(self.path, self.headers, body)
            self.send_response(answer.status)
            headers = {"Content-Type": "text/html", **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the request line holds the webhook's secret."""

    setattr(Handler, f"do_{method}", Handler.answer)
    return Handler
