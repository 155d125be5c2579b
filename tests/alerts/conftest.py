"""A real outbox, a real SMTP server and a webhook that checks payloads; nothing leaves loopback."""

from __future__ import annotations

import shutil
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


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home. Each test gets a copy, which costs a tenth of making one."""
    home = tmp_path_factory.mktemp("new") / "home"
    open_store(home).close()
    return home


@pytest.fixture
def store(tmp_path: Path, new_home: Path) -> Iterator[Store]:
    shutil.copytree(new_home, tmp_path / "home")
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
