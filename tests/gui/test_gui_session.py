"""A window begins as the last one ended: told by windows in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dife_gui import memory
from dife_gui.links import link_of
from dife_gui.memory import Memory, Session
from dife_gui.views.window import Window
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.store import findings
from dife_scanner.store.db import Store

ROOT = Path(__file__).parents[2]
SCREEN = {"screens": [{"name": "one", "x": 0, "y": 0, "width": 1600, "height": 1000}]}
A_WINDOW = """
import json, os, sys, time, traceback
from pathlib import Path
import pydantic.fields
from PySide6.QtCore import QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from dife_gui.app import main
from dife_gui.memory import Layout, Shown
from dife_gui.views import theme
from dife_gui.views.window import Window
from dife_scanner.store.models import Sort

home, does = Path(sys.argv[1]), sys.argv[2]
app = QApplication([])

def until(done):
    end = time.monotonic() + 60
    while not done():
        QTest.qWait(20)
        assert time.monotonic() < end, "the window did not get there"

def the_window():
    return [one for one in app.topLevelWidgets() if isinstance(one, Window)][0]

def whole(window):
    shown = window.detail.detail
    return window.lister.is_idle and shown is not None and shown.row.job.id == window.models.current_job

def change(window):
    window.setGeometry(130, 90, 1000, 700)
    columns = (Shown("repo", 321), Shown("target", 400), Shown("author", 500))
    window.models.set_layout(Layout(columns, Sort("repo", True)))
    window.filter.set_text("clip")
    window.frame.views.save_as("mine")
    until(lambda: window.table.rowCount() > 3 and whole(window))
    window.frame.splitter.setSizes([180, 400])
    rows = [window.table.row(at) for at in range(window.table.rowCount())]
    (chosen,) = [one.job.id for one in rows if one and one.job.ref.repo_id == "demo/clip-badtexttower"]
    window.models.choose(chosen)
    until(lambda: whole(window))
    QTest.qWait(100)
    window.models.verticalScrollBar().setValue(17)
    window.models.horizontalScrollBar().setValue(60)
    window.detail.verticalScrollBar().setValue(230)
    next(one for one in window.commands._commands() if one.text == "Colours: dark").run()
    QTest.qWait(100)

def told(window):
    menu = window.frame.views.menu()
    menu.aboutToShow.emit()
    place = window.geometry()
    return {
        "place": [place.x(), place.y(), place.width(), place.height()],
        "page": window.pages.shown,
        "model": window.detail.detail.row.job.ref.repo_id,
        "in full": window.frame.is_in_full,
        "filter": window.filter.written,
        "on": window.filter.on.isChecked(),
        "columns": [[one.name, one.width] for one in window.models.layout_now().columns],
        "sort": [window.table.order.field, window.table.order.descending],
        "rows": window.table.rowCount(),
        "scrolled": [bar.value() for bar in (
            window.models.verticalScrollBar(), window.models.horizontalScrollBar(), window.detail.verticalScrollBar())],
        "heights": window.frame.heights,
        "dark": theme.is_dark(app.palette()),
        "view": [one.text() for one in menu.actions() if one.isChecked()],
    }

def run():
    try:
        drive(the_window())
    except BaseException:
        traceback.print_exc()
        os._exit(1)

def drive(window):
    until(lambda: whole(window))
    QTest.qWait(300)
    if does == "change":
        change(window)
    print(json.dumps(told(window)))
    if does not in ("change", "look"):
        for command in does.split(","):
            window.commands.run(command) if command != "full" else window.frame.open_detail()
        QTest.qWait(200)
        print(json.dumps(told(window)))
    window.close()

QTimer.singleShot(0, run)
sys.exit(main(home))
"""


def window_that(does: str, home: Path, screen: Path) -> list[dict[str, Any]]:
    """What a window in a process of its own says of itself: at first, and where it did something, after that."""
    screen.write_text(json.dumps(SCREEN))
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": f"offscreen:configfile={screen}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "gui"), str(ROOT)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", A_WINDOW, str(home), does],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_window_begins_as_the_last_one_ended(filled: Store, tmp_path: Path) -> None:
    """Size and place, page, finding, filter, order, columns, scrolling, colours, heights, and which view it is."""
    screen = tmp_path / "screen.json"
    (left,) = window_that("change", filled.home, screen)
    assert left["place"] == [130, 90, 1000, 700]
    assert (left["model"], left["page"]) == ("demo/clip-badtexttower", "models")
    assert (left["dark"], left["view"]) == (True, ["mine"])
    assert all(left["scrolled"]), left["scrolled"]
    found, later = window_that("switch_filter,full,show_queue", filled.home, screen)
    assert found == left
    assert (later["on"], later["in full"], later["page"]) == (False, True, "queue")
    assert window_that("look", filled.home, screen) == [later]


def test_a_link_comes_before_what_the_last_window_showed(
    qtbot: QtBot, home: Path, filled: Store
) -> None:
    ended = Session(page="queue", filter="siglip", in_full=True)
    assert memory.save(home, Memory(session=ended))
    window = Window(home, milliseconds=20)
    qtbot.addWidget(window)
    window.go_on()
    window.show()
    window.start()
    found = findings.findings(filled, filter="footprint:textual")[0]
    window.open_link(link_of(found.fingerprint))
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.finding == found,
        timeout=round(1000 * BUSY_SECONDS),
    )
    with qtbot.waitSignal(window.settled, timeout=round(1000 * BUSY_SECONDS)):
        window.feed.refresh()
    qtbot.wait(50)
    assert (window.pages.shown, window.filter.text) == ("models", "")
    window.close()


def test_a_session_of_another_version_is_bounded(tmp_path: Path) -> None:
    """What it does not know or cannot use is as in a first window; what makes no sense at all is forgotten."""
    assert memory.save(tmp_path, Memory(session=Session(filter="clip", job=3, top=(3, -5))))
    file = tmp_path / memory.FILE
    found = json.loads(file.read_text())
    assert memory.load(tmp_path).session == Session(filter="clip", job=3, top=(3, -5))
    found["session"] |= {"page": "of tomorrow", "down": 1 << 80, "split": [1, 2, 3]}
    found["scheme"] = "of tomorrow"
    file.write_text(json.dumps(found))
    read = memory.load(tmp_path)
    assert read.scheme == "system"
    assert (read.session.page, read.session.split) == ("models", ())
    assert 0 < read.session.down < 1 << 31
    del found["session"], found["scheme"]
    file.write_text(json.dumps(found))
    assert memory.load(tmp_path) == Memory()


@pytest.mark.parametrize("session", [1, [], {"filter": 7}, {"top": 3}, {"job": "x"}])
def test_a_session_that_makes_no_sense_is_none(tmp_path: Path, session: object) -> None:
    assert memory.save(tmp_path, Memory())
    file = tmp_path / memory.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"session": session}))
    assert memory.load(tmp_path) == Memory()
