"""The list in the window: what somebody chose about it stays, and reading it never gets in the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import gui_factories as factories
import pytest
from activating import activate
from dife_gui import memory
from dife_gui.feed import Detail, detail
from dife_gui.listing import FIRST, IN_SIGHT, Asked, Lister, Listing, listing
from dife_gui.memory import Layout, Memory, Shown, View
from dife_gui.models.columns import PLACE
from dife_gui.models.models_table import ModelsTable
from dife_gui.views.saved_views import ViewsButton
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from dife_scanner.records import TriageState
from dife_scanner.store import models, triage
from dife_scanner.store.db import Store
from dife_scanner.store.models import Sort

Open = Callable[[], Window]
SOON = 20_000
"""Milliseconds that something may take which is a matter of moments on a machine that does nothing else."""


def names(window: Window) -> list[str]:
    rows = [window.table.row(at) for at in range(window.table.rowCount())]
    return [row.job.ref.repo_id if row else "" for row in rows]


def titles(window: Window) -> list[str]:
    return [one.name for one in window.models.layout_now().columns]


# --- what is remembered ---------------------------------------------------------------------------------------

A_VIEW = View("mine", "verdict:flagged", Layout((Shown("repo", 300),), Sort("repo", True)))


def test_what_is_remembered_comes_back(tmp_path: Path) -> None:
    kept = (
        Memory().with_view(A_VIEW).with_filter("first").with_filter("second").with_filter("first")
    )
    assert memory.save(tmp_path, kept)
    assert memory.load(tmp_path) == kept
    assert kept.filters == ("first", "second")
    assert kept.without_view("mine").views == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, '{"layout": 1, "views": [], "filters": []}', "\\ud800", "null"],
)
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / memory.FILE).write_text(text)
    assert memory.load(tmp_path) == Memory()


def test_columns_of_another_version_are_left_out(tmp_path: Path) -> None:
    memory.save(tmp_path, Memory().with_view(A_VIEW))
    found = json.loads((tmp_path / memory.FILE).read_text())
    found["layout"]["columns"] = [
        {"name": "of tomorrow", "width": 9},
        {"name": "repo", "width": -4},
    ]
    found["layout"]["sort"] = {"field": "of tomorrow", "descending": True}
    (tmp_path / memory.FILE).write_text(json.dumps(found))
    assert memory.load(tmp_path).layout == Layout((Shown("repo", 0),), Sort())


def test_a_home_that_cannot_be_written_remembers_nothing_and_says_nothing(tmp_path: Path) -> None:
    assert not memory.save(tmp_path / "gone", Memory())


# --- columns and views ----------------------------------------------------------------------------------------


def test_columns_and_order_are_those_of_the_last_time(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    header = window.models.horizontalHeader()
    header.moveSection(header.visualIndex(PLACE["target"]), 1)
    header.resizeSection(PLACE["repo"], 333)
    window.models._toggle(PLACE["tag"], False)
    window.models._toggle(PLACE["channel"], True)
    window.models.sortByColumn(PLACE["repo"], Qt.SortOrder.DescendingOrder)
    qtbot.waitUntil(lambda: names(window)[0].startswith("evil"), timeout=SOON)
    window.close()
    again = open_window()
    assert titles(again)[:2] == ["repo", "target"]
    assert "tag" not in titles(again) and "channel" in titles(again)
    assert again.models.columnWidth(PLACE["repo"]) == 333
    assert again.table.order == Sort("repo", descending=True)
    assert names(again)[0].startswith("evil")


def test_a_saved_view_keeps_its_columns_and_its_order(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.models.set_layout(Layout((Shown("repo", 250), Shown("target", 0)), Sort("repo")))
    window.filter.set_text("verdict:flagged")
    window.frame.views.save_as("two <b>flagged</b>\n")
    qtbot.waitUntil(lambda: len(names(window)) == 2, timeout=SOON)
    window.models.set_layout(Layout())
    window.filter.set_text("")
    qtbot.waitUntil(lambda: len(names(window)) == 15, timeout=SOON)
    (view,) = memory_of(window).views
    window.frame.views.chosen.emit(view)
    qtbot.waitUntil(lambda: len(names(window)) == 2, timeout=SOON)
    assert (view.name, titles(window)) == ("two <b>flagged</b>", ["repo", "target"])
    assert (window.table.order, window.filter.text) == (Sort("repo"), "verdict:flagged")
    window.frame.views.forgotten.emit(view.name)
    assert memory_of(window).views == ()


def memory_of(window: Window) -> Memory:
    window.looks.remember()
    return memory.load(window.looks._home)


def test_views_are_a_menu_and_an_ampersand_is_no_key(qtbot: QtBot) -> None:
    button = ViewsButton()
    qtbot.addWidget(button)
    button.show_views([View("this & that", "", Layout())])
    assert button.menu().actions()[0].text() == "this && that"
    with qtbot.assertNotEmitted(button.named):
        button.save_as(" \n ")


def test_a_menu_shows_and_hides_columns(open_window: Open, filled: Store) -> None:
    window = open_window()
    menu = window.models.columns_menu(window)
    by_title = {action.text(): action for action in menu.actions()}
    by_title["Comment"].toggle()
    by_title["Revision"].toggle()
    assert "comment" not in titles(window) and "revision" in titles(window)
    assert not by_title["Model"].isEnabled()
    by_title["As at first"].trigger()
    assert titles(window) == [one.name for one in Layout().columns]


# --- reading --------------------------------------------------------------------------------------------------


def test_the_selected_model_stays_selected_through_filter_and_order(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    chosen = window.table.key(names(window).index("demo/clip-corrupt"))
    window.models.choose(chosen)
    window.filter.set_text("repo:~demo")
    qtbot.waitUntil(
        lambda: len(names(window)) == 14 and window.filter.state == "valid", timeout=SOON
    )
    window.models.sortByColumn(PLACE["repo"], Qt.SortOrder.AscendingOrder)
    qtbot.waitUntil(
        lambda: names(window)[0] == "demo/clip-badencoder" and window.lister.is_idle, timeout=SOON
    )
    assert window.models.current_job == chosen
    window.filter.set_text("verdict:flagged")
    qtbot.waitUntil(lambda: len(names(window)) == 2 and window.lister.is_idle, timeout=SOON)
    assert window.models.current_job == window.table.key(0)


def test_why_the_selected_model_is_in_the_list_is_told(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.filter.set_text("footprint:visual | state:failed")
    qtbot.waitUntil(lambda: "footprint:visual" in window.filter._why.text(), timeout=SOON)
    assert "failed" not in window.filter._why.text()
    window.commands.run("switch_filter")
    qtbot.waitUntil(lambda: window.filter._why.text() == "", timeout=SOON)
    assert window.table.rowCount() == 15


def test_a_selected_model_is_read_once_more_however_often_it_was_asked_for_meanwhile(
    qtbot: QtBot, open_window: Open, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    qtbot.waitUntil(lambda: not (window._reading_detail or window._detail_due), timeout=SOON)
    read: list[int] = []

    def counted(store: Store, job_id: int, filter: str) -> Detail:
        read.append(job_id)
        return detail(store, job_id, filter)

    monkeypatch.setattr("dife_gui.views.window.detail", counted)
    for row in (3, 1, 2, 0, 2):
        window.models.choose(window.table.key(row))
    chosen = window.table.key(2)
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.row.job.id == chosen,
        timeout=SOON,
    )
    assert len(read) == 2 and read[-1] == chosen


def test_a_decision_elsewhere_changes_the_line_alone(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    fingerprint = window.table.row(0).finding  # type: ignore[union-attr]
    window.table.layoutChanged.connect(lambda: pytest.fail("laid out anew"))
    triage.decide(
        filled,
        TriageState.CONFIRMED,
        triage.seen(filled, [fingerprint or ""]),
        actor="ada",
        note="by hand",
    )
    place = window.table.index(0, PLACE["comment"])
    qtbot.waitUntil(lambda: place.data() == "by hand", timeout=SOON)
    assert window.table.index(0, PLACE["triage"]).data() == "confirmed"


def test_findings_are_decided_from_the_list(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    """One key decides; one that needs a reason asks for it first, and a model without finding stays as it is."""
    window = open_window()
    activate(qtbot, window)
    place = window.table.index(0, PLACE["triage"])
    qtbot.keyClick(window.models, Qt.Key.Key_F)
    qtbot.waitUntil(window.detail.triage.note.hasFocus, timeout=SOON)
    assert place.data() == "new"
    window.models.setFocus()
    qtbot.keyClick(window.models, Qt.Key.Key_C)
    qtbot.waitUntil(lambda: place.data() == "confirmed", timeout=SOON)
    window.models.choose(window.table.key(names(window).index("demo/clip-gated")))
    qtbot.waitUntil(lambda: window.detail.detail.finding is None, timeout=SOON)  # type: ignore[union-attr]
    window.commands.run("confirm")
    assert "no finding" in window.around.status.currentMessage()


def test_an_answer_begins_with_the_first_lines(store: Store) -> None:
    for number in range(FIRST + 5):
        factories.discover(store, f"org/{number}")
    shown = models.order(store, filter="nobody").keys
    first = listing(store, Asked(), shown, (), FIRST)
    assert (first.found, len(first.rows), first.whole, first.total) == (
        FIRST,
        IN_SIGHT,
        False,
        FIRST + 5,
    )
    whole = listing(store, Asked(), first.steps.new, first.steps.new[:3])
    assert (len(whole.rows), whole.whole, whole.steps.come) == (3, True, ((FIRST, FIRST + 4),))


def test_the_first_model_is_shown_before_the_list_is_whole(
    qtbot: QtBot, home: Path, store: Store
) -> None:
    for number in range(FIRST + 5):
        factories.discover(store, f"org/{number}")
    window = Window(home)
    qtbot.addWidget(window)
    chosen: list[tuple[bool, int | None]] = []
    window.lister.found.connect(
        lambda found: chosen.append((found.whole, window.models.current_job))
    )
    with qtbot.waitSignal(window.settled, timeout=SOON):
        window.start()
    assert chosen[0] == (False, window.table.key(0))
    window.close()


def test_what_is_read_for_an_earlier_wish_is_broken_off(
    qtbot: QtBot, filled: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that takes for ever does not keep the next one waiting; its answer is never shown."""
    real, started = models.order, threading.Event()

    def slow(store: Store, *, filter: str, **others: object) -> models.Order:
        if filter == "slow":
            started.set()
            store.read(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
            )
        return real(store, filter=filter, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(models, "order", slow)
    table = ModelsTable()
    lister = Lister(home, table, lambda: (), threading.Lock)  # type: ignore[arg-type]
    seen: list[Listing] = []
    busy: list[bool] = []
    lister.found.connect(seen.append)
    lister.busy.connect(busy.append)
    lister.ask(Asked("slow"))
    assert started.wait(10)
    lister.ask(Asked("verdict:flagged"))
    qtbot.waitUntil(lambda: bool(seen), timeout=SOON)
    assert [one.asked.filter for one in seen] == ["verdict:flagged"]
    assert (table.rowCount(), busy[-1]) == (2, False)
    lister.ask(Asked("slow"))
    lister.close()  # ends at once, too


def test_what_is_typed_into_the_filter_stays_there_when_models_come_back(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """Left for a list that was empty, and come back to: no letter of a filter ever decides about a model."""
    window = open_window()
    activate(qtbot, window)
    line = window.filter.line
    before = filled.data_version()
    for leaves, clicks in ((Qt.Key.Key_Return, True), (Qt.Key.Key_Escape, False)):
        line.setFocus()
        window.filter.set_text("zzz")
        qtbot.waitUntil(lambda: window.table.rowCount() == 0, timeout=SOON)
        qtbot.keyClick(line, leaves)
        if clicks:
            qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
        line.clear()
        for letter in "clip":
            pressed = QApplication.focusWidget()
            assert pressed is not None
            qtbot.keyClick(pressed, letter)
            qtbot.waitUntil(
                lambda: window.table.rowCount() > 0 and window.lister.is_idle, timeout=SOON
            )
        assert window.filter.line.text() == "clip"
        assert window.isActiveWindow() and line.hasFocus()
    assert filled.data_version() == before
