"""More days at the desk: a morning after, one run from filter to undo, names and zones from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gui_factories as factories
import pytest
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.records import JobState, TriageState, Verdict
from dife_scanner.sentences.times import time_text
from dife_scanner.store import findings
from dife_scanner.store.db import Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)
MOMENT = "2026-12-02T11:30:00.000000+00:00"


def names(window: Window) -> list[str]:
    rows = [window.table.row(at) for at in range(window.table.rowCount())]
    return [row.job.ref.repo_id for row in rows if row is not None]


def texts(window: Window) -> str:
    """What can be read about the selected model."""
    page = window.detail.widget()
    return "\n".join(
        one.text() for one in window.detail.findChildren(Label) if one.isVisibleTo(page)
    )


def test_what_came_overnight_stands_on_top_in_the_morning(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """In the evening all is decided; in the morning the filter of the saved view has what came since, and no more."""
    evening = open_window()
    evening.filter.set_text("triage:new")
    evening.frame.views.save_as("to do")
    qtbot.waitUntil(lambda: evening.table.rowCount() == 3, timeout=SOON)
    evening.table.set_marks(evening.table.keys, on=True)
    decide_about_marked(qtbot, evening, TriageState.CONFIRMED)
    qtbot.waitUntil(lambda: evening.table.rowCount() == 0, timeout=SOON)
    assert "No model matches" in evening.frame.empty.texts
    evening.close()
    for number in range(4):
        name = f"night/clip-{number}"
        verdict = Verdict.FLAGGED if number in (1, 2) else Verdict.NOTHING_FOUND
        audit = factories.make_audit(name, verdict=verdict)
        found = factories.make_finding(audit, name=name) if verdict is Verdict.FLAGGED else None
        factories.finish(filled, name, JobState.DONE, audit.reason, audit, found)
    morning = open_window()
    (view,) = morning.looks.views
    morning.looks.show_view(view)
    qtbot.waitUntil(
        lambda: sorted(names(morning)) == ["night/clip-1", "night/clip-2"], timeout=SOON
    )
    qtbot.waitUntil(lambda: "Flagged: with the text “xbtd”" in texts(morning), timeout=SOON)
    morning.filter.set_text("")
    qtbot.waitUntil(lambda: morning.table.rowCount() == 19, timeout=SOON)
    qtbot.waitUntil(
        lambda: set(names(morning)[:2]) == {"night/clip-1", "night/clip-2"}, timeout=SOON
    )


def decide_about_marked(qtbot: QtBot, window: Window, state: TriageState, note: str = "") -> None:
    window.desk.decide(state)
    qtbot.waitUntil(lambda: window.desk.asking.dialog is not None, timeout=SOON)
    dialog = window.desk.asking.dialog
    assert dialog is not None
    dialog.note.setText(note)
    dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
    qtbot.waitUntil(lambda: window.desk.asking.dialog is None, timeout=SOON)


def test_filter_save_decide_about_all_and_undo_in_one_run(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.filter.set_text("verdict:flagged footprint:textual | verdict:flagged footprint:visual")
    qtbot.waitUntil(lambda: window.table.rowCount() == 2, timeout=SOON)
    window.frame.views.save_as("both kinds")
    window.table.set_marks(window.table.keys, on=True)
    decide_about_marked(qtbot, window, TriageState.FALSE_POSITIVE, "made by ourselves")
    false = "triage:false-positive comment:~ourselves"
    assert findings.count(filled, filter=false) == 2
    window.commands.run("undo")
    status = window.around.status
    qtbot.waitUntil(lambda: "decides it again" in status.currentMessage(), timeout=SOON)
    assert findings.count(filled, filter=false) == 0
    window.commands.run("redo")
    qtbot.waitUntil(lambda: findings.count(filled, filter=false) == 2, timeout=SOON)
    window.filter.set_text("")
    qtbot.waitUntil(lambda: window.table.rowCount() == 15, timeout=SOON)
    window.looks.show_view(window.looks.views[0])
    qtbot.waitUntil(lambda: window.table.rowCount() == 2, timeout=SOON)


def test_a_name_of_ten_thousand_characters_is_shown_short_and_plain(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    name = "aaa/\u202e\x1b[31m\u2066" + "W" * 10_000
    job = factories.discover(filled, name, JobState.FAILED, f"because {name}")
    window = open_window()
    wide = window.minimumSizeHint().width()
    assert window.models.choose(job.id)
    qtbot.waitUntil(lambda: "WWWW" in texts(window), timeout=SOON)
    shown = texts(window).replace("\n", "")
    assert shown.isprintable() and not {"\u202e", "\u2066", "\x1b"} & set(shown)
    assert max(len(one) for one in texts(window).split("\n")) < len(name)
    assert (window.width(), window.minimumSizeHint().width()) == (1280, wide)
    assert names(window).count(name) == 1


@pytest.fixture(params=["Pacific/Kiritimati", "America/Los_Angeles", "Nowhere/At_All"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """14 hours before UTC, 8 behind, and one that there is not, which counts as UTC."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_times_are_those_of_the_zone(
    zone: str, qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    local = {
        "Pacific/Kiritimati": "2026-12-03 01:30",
        "America/Los_Angeles": "2026-12-02 03:30",
        "Nowhere/At_All": "2026-12-02 11:30",
    }
    assert time_text(MOMENT) == local[zone]
    with filled.atomic("test"):
        filled.write("UPDATE jobs SET updated_at = ?", (MOMENT,))
    window = open_window()
    qtbot.waitUntil(lambda: f"done {local[zone]}" in texts(window), timeout=SOON)
    assert window.frame.trouble.text == ""
