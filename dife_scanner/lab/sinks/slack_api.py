"""Slack's web API on loopback, as far as a bot needs it: post, edit, answer in a thread, upload a picture."""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dife_scanner.lab.sinks.block_kit import slack_problem
from dife_scanner.lab.sinks.web import Answer, WebServer

TOKEN = "xoxb-0000-of-the-loopback"  # noqa: S105 - it opens nothing


@dataclass
class Posted:
    """A message as it stands."""

    ts: str
    channel: str
    payload: dict[str, Any]
    thread: str = ""
    """Of the message that it answers."""
    edits: int = 0
    files: list[tuple[str, bytes]] = field(default_factory=list)
    """Names and contents of what was uploaded to its thread."""


class SlackApiSink(WebServer):
    """Takes what Slack would take, with this token, into these channels; use with `with`."""

    def __init__(
        self,
        *,
        channels: tuple[str, ...] = ("C0ALERTS",),
        token: str = TOKEN,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.channels = channels
        self.token = token
        self.messages: list[Posted] = []
        self.problems: list[str] = []
        """Why requests were refused."""
        self.answers: deque[Answer] = deque()
        """Given first, one per request."""
        self._uploads: dict[str, tuple[str, bytes]] = {}
        self._lock = threading.Lock()
        super().__init__(self.answer, "slack-api-sink", port, tls)
        self.url = f"{self.address}/api/"

    def answer(self, path: str, headers: Message, body: bytes) -> Answer:
        """What Slack would say to this request."""
        path = urlsplit(path).path
        with self._lock:
            if path.startswith("/upload/"):
                return self._take_upload(path.rpartition("/")[2], body)
            if self.answers:
                return self.answers.popleft()
            if headers.get("Authorization", "") != f"Bearer {self.token}":
                return self._refused("invalid_auth")
            method = _METHODS.get(path.removeprefix("/api/"))
            if method is None:
                return self._refused("unknown_method")
            return method(self, _arguments(headers.get("Content-Type", ""), body))

    def _refused(self, code: str) -> Answer:
        self.problems.append(code)
        return _said(ok=False, error=code.split(":")[0])

    def _post(self, asked: dict[str, Any]) -> Answer:
        problem = self._problem(asked)
        if problem:
            return self._refused(problem)
        thread = str(asked.get("thread_ts", ""))
        if thread and self._find(thread) is None:
            return self._refused("thread_not_found")
        posted = Posted(f"1700000000.{len(self.messages):06}", asked["channel"], asked, thread)
        self.messages.append(posted)
        return _said(ok=True, ts=posted.ts, channel=posted.channel)

    def _update(self, asked: dict[str, Any]) -> Answer:
        problem = self._problem(asked)
        found = self._find(str(asked.get("ts")))
        if problem or found is None:
            return self._refused(problem or "message_not_found")
        found.payload = asked
        found.edits += 1
        return _said(ok=True, ts=found.ts, channel=found.channel)

    def _problem(self, asked: dict[str, Any]) -> str:
        if asked.get("channel") not in self.channels:
            return "channel_not_found"
        return slack_problem(asked)

    def _find(self, ts: str) -> Posted | None:
        return next((one for one in self.messages if one.ts == ts), None)

    def _offer_upload(self, asked: dict[str, Any]) -> Answer:
        name = f"F{len(self._uploads)}"
        self._uploads[name] = (str(asked["filename"]), b"")
        return _said(ok=True, upload_url=f"{self.address}/upload/{name}", file_id=name)

    def _take_upload(self, name: str, body: bytes) -> Answer:
        self._uploads[name] = (self._uploads[name][0], body)
        return Answer(200, "OK")

    def _complete_upload(self, asked: dict[str, Any]) -> Answer:
        parent = self._find(str(asked.get("thread_ts")))
        if parent is None:
            return self._refused("thread_not_found")
        listed = json.loads(asked["files"])
        parent.files += [self._uploads[one["id"]] for one in listed]
        return _said(ok=True, files=[{"id": one["id"]} for one in listed])


_METHODS = {
    "chat.postMessage": SlackApiSink._post,
    "chat.update": SlackApiSink._update,
    "files.getUploadURLExternal": SlackApiSink._offer_upload,
    "files.completeUploadExternal": SlackApiSink._complete_upload,
}


def _said(**values: Any) -> Answer:
    return Answer(200, json.dumps(values), {"Content-Type": "application/json"})


def _arguments(content_type: str, body: bytes) -> dict[str, Any]:
    """The arguments of a call, from JSON or a form."""
    if content_type.startswith("application/json"):
        found: dict[str, Any] = json.loads(body)
        return found
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}
