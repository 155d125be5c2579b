"""A real outbox, a real SMTP server and a webhook that checks payloads; nothing leaves loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.store import Store, open_store


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def smtp() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


@pytest.fixture
def slack() -> Iterator[SlackSink]:
    with SlackSink() as sink:
        yield sink
