"""A Slack webhook on loopback that keeps every payload Slack would accept, and refuses the others as Slack does."""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from dife_scanner.lab.sinks.arrivals import LOOPBACK, MAX_BODY, Arrivals
from dife_scanner.lab.sinks.block_kit import slack_problem


@dataclass(frozen=True)
class Answer:
    """What the webhook answers instead of looking at the payload: for rehearsing outages and rate limits."""

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
        self._arrivals = Arrivals(directory, ".json")
        self._lock = threading.Lock()
        self._path = f"/services/T00000000/B00000000/{secrets.token_hex(12)}"
        self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(0.02),
            name="slack-sink",
            daemon=True,
        )
        self.port = int(self._server.server_address[1])
        self.url = f"http://{LOOPBACK}:{self.port}{self._path}"

    def __enter__(self) -> SlackSink:
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
    """Return the class that hands requests to this sink."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(min(size, MAX_BODY))
            content_type = self.headers.get("Content-Type", "")
            answer = sink.answer(self.path, content_type, body)
            self.send_response(answer.status)
            headers = {"Content-Type": "text/html", **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the request line holds the webhook's secret."""

    return Handler


def _read_payload(content_type: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """Return Slack's error code and why, or nothing, and the payload."""
    if not content_type.startswith("application/json"):
        return "invalid_payload: not sent as JSON", {}
    try:
        payload = json.loads(body)
    except ValueError:
        return "invalid_payload: not JSON", {}
    if not isinstance(payload, dict):
        return "invalid_payload: not an object", {}
    return slack_problem(payload), payload
