"""A first start against a hub over real HTTP on this machine: the scanner counts, and the page says what it takes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dife_gui.views import first_start
from dife_gui.views.window import Window
from pytestqt.qtbot import QtBot
from queue_kit import checkpoint
from waiting import BUSY_SECONDS

from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.store.db import Store

ROOT = Path(__file__).parents[2]
LONG = round(4_000 * BUSY_SECONDS)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """Two open_clip models, and one that cannot be audited."""
    with LoopbackHub(tmp_path / "hub") as running:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for number in range(3):
            files = checkpoint(number) if number < 2 else {"model.onnx": b"x"}
            running.add_repo(f"org/clip-{number}", files, tags=["clip"], last_modified=stamp)
        yield running


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scanner itself, as a program."""
    path = tmp_path / "dife"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m dife_scanner "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "gui")]))
    monkeypatch.setenv("DIFE_FILTERS", "filter=clip")
    monkeypatch.setattr(first_start, "scanner", lambda: path)
    return path


def counted(qtbot: QtBot, window: Window) -> str:
    """What the page says once it is counted."""
    page = window.frame.first_start
    page.since.setCurrentText("all")
    page.count.click()
    assert page.takes.text() == "Counting…" and not page.count.isEnabled()
    qtbot.waitUntil(page.count.isEnabled, timeout=LONG)
    return page.takes.text()


def test_models_bytes_and_hours_are_those_of_the_hub(
    qtbot: QtBot,
    open_window: Callable[[], Window],
    store: Store,
    hub: LoopbackHub,
    program: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIFE_ENDPOINT", hub.endpoint)
    said = counted(qtbot, open_window())
    asked = ["--json", "watch", "--plan", "--scope", "everything", "--since", "all"]
    done = subprocess.run(
        [program, *asked],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"DIFE_HOME": str(store.home)},
    )
    plan = json.loads(done.stdout)
    stored = sum(len(content) for number in range(2) for content in checkpoint(number).values())
    assert plan["models"] == 3 and plan["bytes"] == pytest.approx(stored, rel=0.05)
    found = re.fullmatch(r"3 models, (.+) to fetch, about (.+) minutes? the first time", said)
    assert found is not None, said
    assert said == first_start.takes_text(done.stdout)
    assert int(found[2]) == max(1, round(60 * plan["hours"]))
    assert hub.seen(r"GET /api/models\?")
    assert not hub.seen(r"GET .*/resolve/.*\.safetensors")  # no weights


def test_a_hub_that_cannot_be_reached_is_said(
    qtbot: QtBot,
    open_window: Callable[[], Window],
    store: Store,
    program: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("DIFE_ENDPOINT", f"http://127.0.0.1:{port}")
    said = counted(qtbot, open_window())
    assert f"127.0.0.1:{port}" in said and "Traceback" not in said, said
    assert re.search("reach|refused|connect", said), said
