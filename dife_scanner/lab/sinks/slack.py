"""A Slack webhook on loopback that keeps every payload Slack would accept, and refuses the others as Slack does."""

from __future__ import annotations

import json
import secrets
import ssl
import threading
from collections import deque
from email.message import Message
from pathlib import Path
from typing import Any

from dife_scanner.lab.sinks.arrivals import Arrivals
from dife_scanner.lab.sinks.block_kit import slack_problem
from dife_scanner.lab.sinks.web import Answer, WebServer


class SlackSink(WebServer):
    """An incoming webhook that keeps every payload Slack would accept; use with `with`."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.problems: list[str] = []
        """Why payloads were refused."""
        self.answers: deque[Answer] = deque()
        """Given first, one per request."""
        self._arrivals = Arrivals(directory, ".json")
        self._lock = threading.Lock()
        self._path = f"/services/T00000000/B00000000/{secrets.token_hex(12)}"
        super().__init__(self.answer, "slack-sink", port, tls)
        self.url = f"{self.address}{self._path}"

    def answer(self, path: str, headers: Message, body: bytes) -> Answer:
        """What Slack would say to this request; accepted payloads are kept."""
        with self._lock:
            if self.answers:
                return self.answers.popleft()
            if path != self._path:
                return Answer(404, "no_service")
            problem, payload = _read_payload(headers.get("Content-Type", ""), body)
            if problem:
                self.problems.append(problem)
                return Answer(400, problem.split(":")[0])
            self._arrivals.keep(body)
            self.payloads.append(payload)
            return Answer(200, "ok")


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
