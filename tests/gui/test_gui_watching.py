"""The watcher that the window starts: which `dife` it is, and what is said where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from dife_gui.views.window import Window
from dife_gui.watching import scanner, start_watcher
from pytestqt.qtbot import QtBot

from dife_scanner.reports.as_json import PlanDocument
from dife_scanner.store import polls
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


def counting(path: Path) -> Path:
    """A `dife` that notes what it is asked, and answers with a plan."""
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {path.parent}/asked\n'
        """echo '{"models": 1200, "bytes": 700000000000, "hours": 41.5, "exact": false}'\n"""
    )
    path.chmod(0o755)
    return path


def test_the_first_start_asks_for_a_scope_says_what_it_takes_and_offers_the_demo(
    open_window: Callable[[], Window], store: Store, alone: Path, qtbot: QtBot
) -> None:
    assert {"models", "bytes", "hours", "exact"} <= {one.name for one in fields(PlanDocument)}
    counting(alone / "dife")
    page = open_window().frame.first_start
    page.scope.setCurrentIndex(page.scope.findData("fine-tunes"))
    page.since.setCurrentText("365 days")
    page.count.click()
    takes = "about 1,200 models, 700.0 GB to fetch, about 41.5 hours the first time"
    qtbot.waitUntil(lambda: page.takes.text() == takes, timeout=SOON)
    page.start.click()
    page.look.click()
    told = alone / "asked"
    chosen = "--scope fine-tunes --since 365 days"
    wanted = {f"--json watch --plan {chosen}", f"watch {chosen}", "demo --gui"}
    qtbot.waitUntil(lambda: set(told.read_text().splitlines()) == wanted, timeout=SOON)
    page.since.setCurrentText("all")
    assert page.takes.text().startswith("Not counted yet")


def test_what_was_chosen_once_is_not_asked_for_again(
    open_window: Callable[[], Window], store: Store
) -> None:
    """After a complete pass an empty list offers to start the watcher, as it was."""
    polls.complete_pass(store, "https://hub.example", {}, 0, 0, 1)
    window = open_window()
    assert not window.frame.first_start.isVisible()
    assert window.frame.empty.texts[2] == "Start watcher"
