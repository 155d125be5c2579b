"""The whole window on a real store, written to by the store's own functions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gui_factories as factories
import pytest
from dife_gui.views import theme
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPalette
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from dife_scanner.records import JobState, TriageState, Verdict
from dife_scanner.store import leases, outbox, polls, triage_log
from dife_scanner.store.db import Store

Open = Callable[[], Window]
ROOT = Path(__file__).resolve().parents[2]


def names(window: Window) -> list[str]:
    rows = [window.table.row(at) for at in range(window.table.rowCount())]
    return [row.job.ref.repo_id if row else "" for row in rows]


def press(qtbot: QtBot, window: Window, key: Qt.Key) -> None:
    qtbot.keyClick(window.models, key)


def choose(qtbot: QtBot, window: Window, name: str) -> None:
    """Select a model by name and wait until it is shown in full."""
    job_id = window.table.key(names(window).index(name))
    window.models.choose(job_id)
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.row.job.id == job_id
    )


# --- live -----------------------------------------------------------------------------------------------------


def test_the_most_urgent_model_is_shown_first(open_window: Open, filled: Store) -> None:
    window = open_window()
    assert names(window)[:2] == ["demo/clip-badencoder", "demo/clip-badtexttower"]
    assert window.detail.detail is not None
    assert window.detail.detail.row.verdict is Verdict.FLAGGED


def test_a_watcher_at_work_is_followed_without_losing_the_place(
    qtbot: QtBot, open_window: Open, store: Store
) -> None:
    for number in range(60):
        factories.discover(store, f"org/model-{number:02d}")
    window = open_window()
    window.table.modelAboutToBeReset.connect(lambda: pytest.fail("the table was reset"))
    choose(qtbot, window, "org/model-20")
    index = window.models.currentIndex()
    before = window.models.rowViewportPosition(index.row())
    working = factories.discover(store, "org/model-59")
    leases.claim_job(store, working.id, "worker", 60)
    for number in range(60, 75):
        factories.discover(store, f"org/model-{number:02d}")
    qtbot.waitUntil(lambda: window.table.rowCount() == 75)
    index = window.models.currentIndex()
    assert names(window)[index.row()] == "org/model-20"
    assert window.models.rowViewportPosition(index.row()) == before
    window.models.choose(working.id)
    place = window.models.currentIndex().row()

    def is_downloading() -> bool:
        row = window.table.row(place)
        return row is not None and row.job.state is JobState.DOWNLOADING

    qtbot.waitUntil(is_downloading)


def test_a_finding_appears_while_its_model_is_selected(
    qtbot: QtBot, open_window: Open, store: Store
) -> None:
    job = factories.discover(store, "org/suspect")
    window = open_window()
    assert window.detail.detail is not None and window.detail.detail.audit is None
    audit = factories.make_audit("org/suspect")
    leases.claim_job(store, job.id, "worker", 60)
    finding = factories.make_finding(audit, name="org/suspect")
    leases.finish(
        store, job.id, "worker", JobState.DONE, audit.reason, audit=audit, finding=finding
    )
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.audit == audit
    )
    qtbot.waitUntil(lambda: window.table.row(0).verdict is Verdict.FLAGGED)  # type: ignore[union-attr]


def test_a_filter_narrows_and_clears(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    window = open_window()
    window.filter.set_text("state:refused")
    qtbot.waitUntil(lambda: names(window) == ["demo/clip-corrupt"])
    window.filter.set_text("")
    qtbot.waitUntil(lambda: window.table.rowCount() == 15)


# --- triage and alerts ----------------------------------------------------------------------------------------


def test_triage_is_written_without_a_watcher_and_shown(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    choose(qtbot, window, "demo/clip-badtexttower")
    fingerprint = window.detail.detail.finding.fingerprint  # type: ignore[union-attr]
    window.frame.decide_button.goes_on.setChecked(False)
    window.detail.triage.note.setText("reproduced by hand")
    window.detail.triage.decide(TriageState.CONFIRMED)
    qtbot.waitUntil(lambda: bool(window.detail.detail and window.detail.detail.triage))
    event = triage_log.events(filled, fingerprint)[-1]
    assert (event.state, event.note, bool(event.actor)) == (
        TriageState.CONFIRMED,
        "reproduced by hand",
        True,
    )
    assert window.detail.triage.note.text() == ""


def test_dead_alerts_can_be_tried_again(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    window = open_window()
    assert "could not be delivered (slack)" in window.frame.dead_letters.text
    window.frame.dead_letters.requested.emit()
    qtbot.waitUntil(lambda: not window.frame.dead_letters.isVisible())
    assert outbox.alerts(filled, state="dead") == []


def test_a_failing_poll_is_told_until_one_succeeds(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    polls.beat(filled, "poller", 4711, "failed: the hub did not answer within 20 seconds")
    window = open_window()
    assert (
        "The last poll failed: the hub did not answer within 20 seconds." in window.frame.hub.text
    )
    polls.beat(filled, "poller", 4712, "15 models seen, 0 new, 0 malformed")
    qtbot.waitUntil(lambda: not window.frame.hub.isVisible())


# --- keys -----------------------------------------------------------------------------------------------------


def test_keys_move_open_and_come_back(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    window = open_window()

    def row() -> int:
        return window.models.currentIndex().row()

    press(qtbot, window, Qt.Key.Key_J)
    press(qtbot, window, Qt.Key.Key_J)
    assert row() == 2
    press(qtbot, window, Qt.Key.Key_K)
    assert row() == 1
    qtbot.keyClick(window.models, Qt.Key.Key_G, Qt.KeyboardModifier.ShiftModifier)
    assert row() == 14
    press(qtbot, window, Qt.Key.Key_G)
    assert row() == 0
    press(qtbot, window, Qt.Key.Key_Return)
    assert not window.models.isVisible()
    assert window.frame.back.isVisible()
    qtbot.keyClick(window.detail, Qt.Key.Key_Escape)
    assert window.models.isVisible()


def test_letters_that_are_commands_can_still_be_typed(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.activateWindow()
    qtbot.keyClick(window.models, Qt.Key.Key_Slash)
    qtbot.waitUntil(window.filter.line.hasFocus)
    qtbot.keyClicks(window.filter.line, "jkny/")
    assert window.filter.line.text() == "jkny/"
    qtbot.keyClick(window.filter.line, Qt.Key.Key_Escape)
    qtbot.waitUntil(window.models.hasFocus)


def test_copying_a_hostile_name_copies_no_control_characters(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    choose(qtbot, window, factories.HOSTILE)
    window.commands.run("copy_model")
    copied = QGuiApplication.clipboard().text()
    assert copied.startswith("evil/<img")
    assert not set(copied) & set("\n\x1b\u202e")


# --- nothing to show ------------------------------------------------------------------------------------------


def test_an_empty_home_says_why_and_what_to_do(open_window: Open, store: Store) -> None:
    window = open_window()
    title, why, button = window.frame.empty.texts
    assert (title, button) == ("No models yet", "")
    assert "dife demo" in why
    assert window.frame.first_start.isVisible() and window.frame.first_start.start.isEnabled()
    assert not window.detail.isVisible()


def test_a_home_that_does_not_exist_yet_opens_all_the_same(open_window: Open, home: Path) -> None:
    assert not home.exists()
    window = open_window()
    assert window.frame.empty.isVisible()


def test_a_filter_without_matches_offers_to_clear_it(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.frame.open_detail()
    window.filter.set_text("nobody-is-called-this")
    qtbot.waitUntil(window.frame.empty.isVisible)
    assert window.frame.empty.texts == (
        "No model matches",
        "The filter hides all 15.",
        "Clear the filter",
    )
    window.frame.empty.requested.emit()
    qtbot.waitUntil(window.models.isVisible)


# --- for everybody --------------------------------------------------------------------------------------------


def test_everything_that_takes_focus_has_a_name(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    choose(qtbot, window, "demo/clip-badencoder")
    controls = (QAbstractButton, QLineEdit, QAbstractItemView)
    asked = [w for w in window.findChildren(QWidget) if isinstance(w, controls) or is_painted(w)]
    assert len(asked) > 40
    assert [
        w for w in asked if w.isVisible() and not (w.accessibleName() or getattr(w, "text", str)())
    ] == []


def is_painted(widget: QWidget) -> bool:
    """One of our own leaves: what it shows, Qt cannot know."""
    return type(widget).__module__.startswith("dife_gui") and not widget.children()


def test_dark_can_be_chosen_while_the_window_is_open(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """Every label stays readable on the ground it stands on, in both, after switching."""
    window = open_window()
    choose(qtbot, window, "demo/clip-badtexttower")
    window.filter.set_text("verdict:flagged")
    light = QPalette(QGuiApplication.palette())
    try:
        for palette in (theme.dark_palette(), light):
            QGuiApplication.setPalette(palette)
            QCoreApplication.processEvents()
            grounds = [
                palette.color(role) for role in (QPalette.ColorRole.Base, QPalette.ColorRole.Window)
            ]
            for label in window.findChildren(Label):
                ink = label.palette().color(QPalette.ColorRole.WindowText)
                assert all(theme.contrast(ink, ground) >= theme.READABLE for ground in grounds), (
                    label.text()
                )
            line = window.filter.line.palette()
            ink, ground = line.color(QPalette.ColorRole.Text), line.color(QPalette.ColorRole.Base)
            assert theme.contrast(ink, ground) >= theme.READABLE
    finally:
        QGuiApplication.setPalette(light)


def test_a_screenshot_is_taken_and_the_window_ends(filled: Store, tmp_path: Path) -> None:
    """In a process of its own, at 200 %: nothing is printed, and the picture is not one flat colour."""
    path = tmp_path / "window.png"
    code = (
        "import sys, pathlib, pydantic.fields; from dife_gui.app import main; "
        f"sys.exit(main(pathlib.Path({str(filled.home)!r}), screenshot=pathlib.Path({str(path)!r}), scheme='dark'))"
    )
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "QT_SCALE_FACTOR": "2",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "gui"), str(ROOT)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    said = [line for line in done.stderr.splitlines() if "propagateSizeHints" not in line]
    assert (done.returncode, done.stdout, said) == (0, "", [])
    image = QImage(str(path))
    assert (image.width(), image.height()) == (2560, 1600)
    assert len({image.pixel(x, y) for x in range(0, 2560, 40) for y in range(0, 1600, 40)}) > 20


def test_the_finding_page_says_how_severe_it_is_for_each_deployment(
    open_window: Open, filled: Store
) -> None:
    factories.measure_for_a_shop(filled)
    window = open_window()
    shown = [label.text() for label in window.detail.findChildren(Label) if label.isVisible()]
    assert "shop: pending" in shown
    assert any(
        text.startswith("exposed through zero-shot classification, as measured") for text in shown
    )
    assert any("zero-shot classification, TS: exposed" in text for text in shown)
