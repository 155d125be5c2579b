"""The watcher that the window starts: which `dife` it is, and what is said where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dife_gui.views.window import Window
from dife_gui.watching import scanner, start_watcher
from pytestqt.qtbot import QtBot

from dife_scanner.store.db import Store

SOON = 20_000
"""Milliseconds until a program that ends at once has ended on a busy machine."""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that holds the running program and no `dife`, as a bundle of the window does; also the path."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "dife-window"))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path) -> Path:
    path.write_text('#!/bin/sh\necho "$1 on $DIFE_HOME with $LD_LIBRARY_PATH"\n')
    path.chmod(0o755)
    return path


def test_a_dife_beside_the_window_comes_before_one_on_the_path(alone: Path) -> None:
    assert scanner() is None
    on_path = program(alone / "bin" / "dife")
    assert scanner() == on_path
    beside = program(alone / "dife")
    assert scanner() == beside


def test_the_watcher_runs_without_the_libraries_of_a_bundle(
    alone: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/bundle/_internal")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/lib")
    (alone / "logs").mkdir()
    log = alone / "logs" / "watch.log"
    assert start_watcher(alone, program(alone / "bin" / "dife"))
    qtbot.waitUntil(lambda: log.is_file() and log.read_text().endswith("\n"), timeout=SOON)
    assert log.read_text() == f"watch on {alone} with /opt/lib\n"


def test_without_a_scanner_the_window_says_how_to_get_one(
    open_window: Callable[[], Window], filled: Store, alone: Path
) -> None:
    window = open_window()
    window.around.start_watcher()
    said = window.frame.trouble.text
    assert "pipx install dife-scanner" in said and f"DIFE_HOME={filled.home} dife watch" in said
