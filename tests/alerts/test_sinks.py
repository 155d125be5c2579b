"""The demo's own mail server and webhook are as strict as the real ones."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from alert_kit import email_to, slack_to
from waiting import BUSY_SECONDS

from dife_scanner import alerts
from dife_scanner.lab.sinks import SlackSink, SmtpSink, slack_problem

GOOD = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}


def words(length: int, kind: str = "plain_text") -> dict[str, str]:
    return {"type": kind, "text": "x" * length}


def section(**changes: Any) -> dict[str, Any]:
    return {"text": "t", "blocks": [{"type": "section", **changes}]}


@pytest.mark.parametrize(
    "payload",
    [
        {"blocks": [GOOD]},
        {"text": "  ", "blocks": [GOOD]},
        {"text": "t", "blocks": [GOOD] * 51},
        {"text": "t", "blocks": "no list"},
        {"text": "t", "blocks": ["no block"]},
        {"text": "t", "blocks": [{"type": "marquee"}]},
        {"text": "t", "blocks": [{"type": "header", "text": words(151)}]},
        {"text": "t", "blocks": [{"type": "header", "text": words(5, "mrkdwn")}]},
        {"text": "t", "blocks": [{"type": "context", "elements": [words(1)] * 11}]},
        {"text": "t", "blocks": [{"type": "context", "elements": []}]},
        {"text": "t", "blocks": [section(text=words(3000))["blocks"][0]] * 5},
        section(),
        section(text=words(0)),
        section(text=words(3001)),
        section(text={"type": "mrkdwn", "text": "x", "emoji": True}),
        section(fields=[words(1)] * 11),
        section(fields=[words(2001)]),
    ],
)
def test_a_payload_that_slack_would_refuse_is_refused(payload: dict[str, Any]) -> None:
    assert slack_problem(payload)


def test_a_payload_at_the_limits_is_accepted() -> None:
    blocks = [
        {"type": "header", "text": words(150)},
        {"type": "section", "fields": [words(900)] * 10},
        {"type": "divider"},
    ]
    assert slack_problem({"text": "t", "blocks": blocks}) == ""
    assert slack_problem({"text": "t", "blocks": [GOOD] * 50}) == ""


def post(url: str, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_webhook_answers_as_slack_does(slack: SlackSink) -> None:
    good = json.dumps({"text": "t", "blocks": [GOOD]}).encode()
    assert post(slack.url, good) == (200, "ok")
    assert post(slack.url, b'{"text": "t", "blocks": [{}]}') == (400, "invalid_blocks")
    assert post(slack.url, b"{}") == (400, "no_text")
    assert post(slack.url, b"{") == (400, "invalid_payload")
    assert post(slack.url, b"[]") == (400, "invalid_payload")
    assert post(slack.url, good, "text/plain") == (400, "invalid_payload")
    assert post(slack.url + "x", good) == (404, "no_service")
    assert len(slack.payloads) == 1
    assert len(slack.problems) == 5


def test_both_run_as_one_program_and_keep_what_arrives(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "dife_scanner.lab.sinks", str(tmp_path)]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout and running.stdin
        where = json.loads(running.stdout.readline())
        alerts.test_message(email_to(where["smtp_port"]))
        alerts.test_message(slack_to(where["slack_url"]))
        running.stdin.close()
        assert running.wait(timeout=10) == 0
    assert b"Subject: [DIFE] Test message" in (tmp_path / "mail" / "0001.eml").read_bytes()
    assert (
        json.loads((tmp_path / "slack" / "0001.json").read_bytes())["text"] == "[DIFE] Test message"
    )


def test_the_mail_server_stops_although_a_client_hangs() -> None:
    started = time.monotonic()
    with SmtpSink() as smtp, socket.create_connection((smtp.host, smtp.port)) as client:
        assert client.recv(100).startswith(b"220")
    assert time.monotonic() - started < BUSY_SECONDS
