"""The queue page: order and reasons, and requests that a watcher serves."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

import gui_factories as factories
import pytest
from dife_gui.models.queue_table import COLUMNS, QueueTable
from dife_gui.views.queue_page import pass_text
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner import settings
from dife_scanner.durable import hub_windows
from dife_scanner.hub.budget import Budget, RateLimit
from dife_scanner.records import JobState
from dife_scanner.store import jobs, leases, polls, requests
from dife_scanner.store.db import Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)


def lines(window: Window) -> list[list[str]]:
    table = window.queue.page.table
    return [
        [str(table.index(row, column).data()) for column in range(len(COLUMNS))]
        for row in range(table.rowCount())
    ]


@pytest.fixture
def window(qtbot: QtBot, open_window: Open, store: Store, qtmodeltester: ModelTester) -> Window:
    """On its queue page, with one job in work, two that wait and one that is stuck."""
    polls.beat(store, "watcher", os.getpid(), "watching")
    working = factories.discover(store, "org/working")
    leases.claim_job(store, working.id, "w", 60)
    for name in ("org/first", "org/second"):
        factories.discover(store, name)
    stuck = factories.discover(store, "org/stuck")
    leases.claim_job(store, stuck.id, "w", 60)
    leases.finish(store, stuck.id, "w", JobState.QUARANTINED, "its audit died twice")
    made = open_window()
    made.pages.show_queue()
    qtbot.waitUntil(lambda: made.queue.page.table.rowCount() == 4, timeout=SOON)
    qtmodeltester.check(made.queue.page.table)
    return made


def select(window: Window, name: str) -> None:
    row = next(at for at, line in enumerate(lines(window)) if line[2] == name)
    window.queue.page.view.selectRow(row)


def test_it_says_what_runs_what_waits_and_what_is_stuck(window: Window) -> None:
    shown = {line[2]: (line[0], line[5]) for line in lines(window)}
    assert shown["org/working"][0] == "in work"
    assert [shown[name][0] for name in ("org/first", "org/second")] == ["1", "2"]
    assert shown["org/stuck"] == ("stuck", "its audit died twice")
    assert "as a listing shows it" in shown["org/first"][1]
    assert window.queue.page.counts.text() == "1 in work, 2 waiting, 1 stuck"
    assert "Disk: fetched weights take" in window.queue.page.about.text()


def waiting(window: Window) -> list[str]:
    """Models that wait, as the page has them in order."""
    return [line[2] for line in lines(window) if line[0].isdigit()]


def test_what_is_asked_for_is_done_by_whoever_watches(
    qtbot: QtBot, window: Window, store: Store
) -> None:
    select(window, "org/second")
    assert window.queue.page.first.isEnabled() and not window.queue.page.again.isEnabled()
    window.queue.page.first.click()
    select(window, "org/stuck")
    window.commands.run("retry")
    window.commands.run("pause")
    qtbot.waitUntil(lambda: "asked for and not done" in window.queue.page.note.text().lower())
    qtbot.waitUntil(lambda: len(requests.waiting(store, requests.OF_QUEUE)) == 3, timeout=SOON)
    assert requests.serve_queue(store) == []
    qtbot.waitUntil(lambda: window.queue.page.pause.text() == "Go on", timeout=SOON)
    wanted = ["org/second", "org/stuck", "org/first"]
    qtbot.waitUntil(lambda: waiting(window) == wanted, timeout=SOON)
    assert window.queue.page.selected is not None
    assert window.queue.page.selected.job.ref.repo_id == "org/stuck", "it stays selected"
    assert "Paused by" in window.queue.page.note.text()
    assert jobs.counts(store)["queued"] == 3
    window.queue.page.pause.click()
    qtbot.waitUntil(lambda: len(requests.waiting(store, requests.OF_QUEUE)) == 1, timeout=SOON)
    assert requests.serve_queue(store) == [] and requests.paused_by(store) is None
    qtbot.waitUntil(lambda: window.queue.page.pause.text() == "Pause", timeout=SOON)


def test_a_job_that_waits_can_be_cancelled(qtbot: QtBot, window: Window, store: Store) -> None:
    select(window, "org/stuck")
    assert not window.queue.page.cancel.isEnabled(), "it has ended"
    select(window, "org/second")
    window.queue.page.cancel.click()
    qtbot.waitUntil(lambda: len(requests.waiting(store, requests.OF_QUEUE)) == 1, timeout=SOON)
    assert requests.serve_queue(store) == []
    assert jobs.counts(store)["cancelled"] == 1


def test_one_comes_back_to_the_models(qtbot: QtBot, window: Window) -> None:
    assert not window.models.isVisible()
    window.queue.page.back.click()
    assert window.models.isVisible()


def test_a_table_keeps_its_promises_while_it_changes(
    qtmodeltester: ModelTester, window: Window
) -> None:
    table: QueueTable = window.queue.page.table
    rows = [table.row(at) for at in range(table.rowCount())]
    qtmodeltester.check(table)
    for some in (rows[1:], rows[::-1], [], rows):
        table.show(row for row in some if row is not None)
    assert table.rowCount() == 4


def test_the_last_pass_says_why_it_is_not_complete(store: Store) -> None:
    assert pass_text(None, datetime.now(UTC)) == "No pass over the hub yet."
    polls.complete_pass(store, "hub", {}, 3, 1, 0, complete=False, problems="the hub was gone")
    (last,) = polls.passes(store)
    assert "3 models seen, 1 new" in pass_text(last, datetime.now(UTC))
    assert pass_text(last, datetime.now(UTC)).endswith("not complete: the hub was gone.")


def test_the_hub_page_tells_coverage_passes_backlog_budget_and_disk(
    qtbot: QtBot, window: Window, store: Store
) -> None:
    polls.complete_pass(
        store,
        factories.ENDPOINT,
        {"filter=open_clip": "2026-11-23T11:00:00.000Z"},
        1204,
        12,
        0,
        requests=37,
    )
    given = settings.load(store.home)
    said = Budget(hub_windows.file(given.home, given.endpoint))
    said.note(RateLimit("api", 812, 120, 1000, 300))
    window.commands.run("show_hub")
    hub = window.queue.hub

    def shown() -> dict[str, str]:
        return {
            title: " ".join(label.text() for label in card.findChildren(Label))
            for title, card in hub.cards.items()
        }

    qtbot.waitUntil(lambda: "1,204 models seen, 12 new" in shown()["Last passes"], timeout=SOON)
    texts = shown()
    assert "Watched: everything that looks like a CLIP, back 30 days" in texts["Coverage"]
    assert "Watcher running" in texts["Coverage"] and "Last complete poll" in texts["Coverage"]
    assert "2 queued" in texts["Backlog"] and "1 quarantined" in texts["Backlog"]
    assert "Settings: budget default, a worker for each device;" in texts["Budget"]
    assert "The last pass made 37 requests of the hub." in texts["Budget"]
    assert (
        "The hub allows 1,000 requests of its API in 5 min; its last answer left 812"
        in (texts["Budget"])
    )
    assert "fetched weights take" in texts["Disk"]
    qtbot.mouseClick(hub.poll, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: any(one.kind is requests.RequestKind.POLL for one in requests.waiting(store)),
        timeout=SOON,
    )
    qtbot.keyClick(hub, Qt.Key.Key_Escape)
    assert window.models.isVisible() or window.frame.isVisible()
