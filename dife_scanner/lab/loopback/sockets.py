"""Sockets: reads requests, sends responses the way their `Delivery` describes. Knows nothing of hubs."""

from __future__ import annotations

import socket
import sys
import threading
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs

from dife_scanner.lab.loopback.messages import CHUNK, Request, Response, error

HOST = "127.0.0.1"
BODY_LIMIT = 1 << 20
"""Bytes of a request: paths, at most."""
IDLE_SECONDS = 120.0
"""After which a connection without requests is closed."""
BEFORE_THE_STATUS_LINE = -1
"""Of `Delivery.cut`."""


class Site(Protocol):
    """What stands behind a port."""

    def respond(self, request: Request) -> Response:
        """The answer to one request."""

    def wait(self, seconds: float) -> bool:
        """Sleep, unless the site closes; true where it did."""


class Port(ThreadingHTTPServer):
    """One port of 127.0.0.1, a thread for each connection; `OSError` where the port is taken."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        site: Site,
        name: str,
        port: int,
    ) -> None:
        super().__init__((HOST, port), _Handler)
        self.site = site
        self.name = name
        self.origin = f"http://{HOST}:{self.server_address[1]}"
        self.sent = 0
        """Bytes of bodies that left so far, whatever was announced."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def count(self, size: int) -> None:
        """Note that so many bytes of a body left."""
        with self._lock:
            self.sent += size

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what tests are about; anything else is a bug worth its traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop listening and break what is open."""
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._open:
                _shut(connection)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was first


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: Port

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: `LoopbackHub.requests` is the log."""

    def version_string(self) -> str:
        return "loopback-hub"

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True
            self._send(error(413, "Request body too large"))
            return
        body = self.rfile.read(int(length))
        self._send(self.server.site.respond(self._request(body)))

    def _request(self, body: bytes) -> Request:
        path, _, query = self.path.partition("?")
        values = parse_qs(query, keep_blank_values=True)
        return Request(
            method=self.command,
            path=path,
            query={name: tuple(given) for name, given in values.items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            port=self.server.name,
            target=self.path,
            origin=self.server.origin,
        )

    def _send(self, response: Response) -> None:
        delivery = response.delivery
        closed = delivery.wait > 0 and self.server.site.wait(delivery.wait)
        if closed or delivery.cut == BEFORE_THE_STATUS_LINE:
            self.close_connection = True
        elif self.command == "HEAD":
            self.wfile.write(self._head(response))
        else:
            self._send_body(response)

    def _head(self, response: Response) -> bytes:
        """Status line and headers as bytes, with the empty line behind them."""
        fields = {
            "Date": formatdate(usegmt=True),
            "Content-Length": str(response.body.length),
            **response.headers,
        }
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        for name, value in fields.items():
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _send_body(self, response: Response) -> None:
        """Send the head and as much of the body as the delivery lets through."""
        delivery = response.delivery
        whole = response.body.length
        to_send = whole
        if delivery.cut is not None:
            to_send = min(whole, delivery.cut)
        left = to_send
        # Head and first piece go out in one write: two cost 40 ms (Nagle and delayed ACK).
        unsent_head = self._head(response)
        for piece in response.body.pieces(min(delivery.piece, CHUNK)):
            self.wfile.write(unsent_head + piece[:left])
            self.server.count(min(left, len(piece)))
            unsent_head = b""
            left -= min(left, len(piece))
            if not left:
                break
            if delivery.pause and self.server.site.wait(delivery.pause):
                break
        self.wfile.write(unsent_head)  # of an answer without a body
        if left > 0 or to_send < whole:
            self.close_connection = True
