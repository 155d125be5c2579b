"""Deciding in the window: many at once, taken back, and what becomes of two who decide at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import gui_factories as factories
import pytest
from activating import activate
from dife_gui.deciding import keys_of
from dife_gui.models.models_table import MARK
from dife_gui.views.bulk import BulkDialog
from dife_gui.views.compare import CompareDialog
from dife_gui.views.keys import KEYS, bound, fixed
from dife_gui.views.palette import Palette
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox, QLineEdit, QPushButton, QTableView, QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.cli.top import keys as terminal
from dife_scanner.records import TriageState
from dife_scanner.settings import Keys
from dife_scanner.store import findings, triage, triage_log
from dife_scanner.store.db import Store

Open = Callable[[], Window]
T = TypeVar("T", bound=QWidget)
SOON = round(1000 * BUSY_SECONDS)
OK = QDialogButtonBox.StandardButton.Ok


def press(qtbot: QtBot, window: Window, key: Qt.Key) -> None:
    activate(qtbot, window)
    window.models.setFocus()
    qtbot.keyClick(window.models, key)


def name_of(window: Window, row: int) -> str:
    return str(window.table.index(row, 0).data())


def rows_with_findings(window: Window) -> list[int]:
    found = []
    for at in range(window.table.rowCount()):
        row = window.table.row(at)
        if row is not None and row.finding:
            found.append(at)
    return found


def opened(qtbot: QtBot, window: Window) -> BulkDialog:
    qtbot.waitUntil(lambda: window.desk.asking.dialog is not None, timeout=SOON)
    assert window.desk.asking.dialog is not None
    return window.desk.asking.dialog


def count(store: Store, filter: str) -> int:
    return findings.count(store, filter=filter)


def test_marked_models_are_decided_about_once_and_taken_back_at_once(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    first, second, *_ = rows_with_findings(window)
    for row in (first, second):
        window.models._go(row)
        press(qtbot, window, Qt.Key.Key_Space)
    assert name_of(window, first).startswith(MARK) and len(window.table.marks) == 2
    assert window.frame.decide_button.text() == "Decide (2 marked)"
    press(qtbot, window, Qt.Key.Key_F)
    dialog = opened(qtbot, window)
    assert dialog.chosen is TriageState.FALSE_POSITIVE
    ok = dialog.buttons.button(OK)
    assert ok.text() == "Decide about 2 findings"
    ok.click()
    assert "needs a note" in dialog._problem.text()
    dialog.note.setText("drawn by hand")
    ok.click()
    qtbot.waitUntil(
        lambda: count(filled, "triage:false-positive comment:~drawn") == 2, timeout=SOON
    )
    qtbot.waitUntil(lambda: not window.table.marks, timeout=SOON)
    window.commands.run("undo")
    qtbot.waitUntil(lambda: count(filled, "triage:new") == count(filled, ""), timeout=SOON)


def test_all_that_the_filter_shows_can_be_decided_about(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.filter.set_text("verdict:flagged")
    qtbot.waitUntil(lambda: 0 < window.table.rowCount() < 15, timeout=SOON)
    flagged = window.table.rowCount()
    press(qtbot, window, Qt.Key.Key_B)
    dialog = opened(qtbot, window)
    assert not dialog.buttons.button(OK).isEnabled()  # Enter alone decides about nothing
    dialog.state.setCurrentIndex(dialog.state.findData("accepted-risk"))
    dialog.note.setText("known")
    dialog.until.setText("90d")
    dialog.buttons.button(OK).click()
    qtbot.waitUntil(lambda: count(filled, "triage:accepted-risk") == flagged, timeout=SOON)
    assert count(filled, 'triage:accepted-risk expires:""') == 0


def test_a_range_is_marked_and_escape_removes_the_marks(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.models._go(2)
    press(qtbot, window, Qt.Key.Key_Space)
    window.models._go(5)
    press(qtbot, window, Qt.Key.Key_V)
    assert window.table.marks == set(window.table.keys[2:6])
    press(qtbot, window, Qt.Key.Key_Escape)
    assert not window.table.marks


@pytest.fixture
def chosen(qtbot: QtBot, open_window: Open, filled: Store) -> tuple[Window, str]:
    """A window that shows a finding, and its fingerprint; it hears of nothing by itself any more."""
    window = open_window()
    (found,) = findings.findings(filled, filter="repo:demo/clip-badtexttower")
    row = next(at for at in rows_with_findings(window) if "badtexttower" in name_of(window, at))
    window.models._go(row)
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.finding == found,
        timeout=SOON,
    )
    window.feed.close()
    return window, found.fingerprint


def test_a_second_window_sees_what_the_first_did_and_decides_again(
    qtbot: QtBot, chosen: tuple[Window, str], filled: Store
) -> None:
    window, fingerprint = chosen
    about = triage.seen(filled, [fingerprint])
    triage.decide(filled, TriageState.CONFIRMED, about, actor="bob", note="by hand")
    box = window.detail.triage
    box.note.setText("drawn")
    box.decide(TriageState.FALSE_POSITIVE)
    qtbot.waitUntil(lambda: "bob set confirmed (by hand)" in box._problem.text(), timeout=SOON)
    qtbot.waitUntil(lambda: len(window.detail.detail.triage) == 1, timeout=SOON)  # type: ignore[union-attr]
    assert [event.actor for event in triage_log.events(filled, fingerprint)] == ["bob"]
    assert box.note.text() == "drawn"
    box.decide(TriageState.FALSE_POSITIVE)
    qtbot.waitUntil(lambda: len(triage_log.events(filled, fingerprint)) == 2, timeout=SOON)
    assert findings.finding(filled, fingerprint).triage is TriageState.FALSE_POSITIVE


def test_a_decision_of_somebody_else_is_not_taken_back(
    qtbot: QtBot, chosen: tuple[Window, str], filled: Store
) -> None:
    window, fingerprint = chosen
    window.commands.run("undo")
    assert "Nothing was decided" in window.around.status.currentMessage()
    window.detail.triage.decide(TriageState.CONFIRMED)
    qtbot.waitUntil(lambda: len(triage_log.events(filled, fingerprint)) == 1, timeout=SOON)
    about = triage.seen(filled, [fingerprint])
    triage.decide(filled, TriageState.DISCLOSED, about, actor="bob")
    qtbot.waitUntil(lambda: "takes it back" in window.around.status.currentMessage(), timeout=SOON)
    window.commands.run("undo")
    qtbot.waitUntil(
        lambda: "bob set disclosed" in window.around.status.currentMessage(), timeout=SOON
    )
    assert findings.finding(filled, fingerprint).triage is TriageState.DISCLOSED


def in_terminal_words(sequence: str) -> str:
    """A terminal knows a shifted letter as a capital, and no Ctrl with Shift."""
    if sequence.startswith("Shift+"):
        return sequence.removeprefix("Shift+").upper()
    return sequence.lower().replace("ctrl+", "ctrl-")


def test_both_desks_have_the_same_keys() -> None:
    in_terminal = {key.action: key.names for key in terminal.KEYS}
    shared = [key for key in KEYS if key.action in in_terminal]
    assert len(shared) >= 8
    for key in shared:
        names = {in_terminal_words(one) for one in key.sequences if "Ctrl+Shift" not in one}
        assert names <= set(in_terminal[key.action]), key


def test_every_fixed_key_stands_in_the_table_and_cannot_be_rebound(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """The list obeys what the table of keys says, and nothing else; the settings refuse all of its letters."""
    window = open_window()
    assert set(fixed().values()) == set(window.models._fixed())
    used = {sequence for key in KEYS for sequence in key.sequences}
    assert not used & set(fixed())
    for sequence in fixed():
        letter = sequence.removeprefix("Shift+")
        if len(letter) == 1:
            name = letter if sequence.startswith("Shift+") else letter.lower()
            with pytest.raises(ValueError, match="stays what it is"):
                Keys(confirm=name)


def palette_of(qtbot: QtBot, window: Window, typed: str) -> Palette:
    window.commands.run("show_palette")
    (palette,) = (one for one in window.findChildren(Palette) if one.isVisible())
    palette.line.setText(typed)
    return palette


def test_a_command_is_found_by_its_words(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    window = open_window()
    palette = palette_of(qtbot, window, "runs waits")
    assert palette.list.count() == 1
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    qtbot.waitUntil(window.queue.page.isVisible, timeout=SOON)
    window.commands.run("confirm")  # nothing is decided about what is not in sight
    palette = palette_of(qtbot, window, "list of models")
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    qtbot.waitUntil(window.models.isVisible, timeout=SOON)
    palette = palette_of(qtbot, window, "filter:")
    qtbot.keyClick(palette.line, Qt.Key.Key_Down)
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.filter.text == "verdict:flagged", timeout=SOON)
    assert count(filled, "!triage:new") == 0


def test_two_marked_models_stand_side_by_side(
    qtbot: QtBot, open_window: Open, filled: Store, qtmodeltester: ModelTester
) -> None:
    window = open_window()
    names = ["badencoder", "badtexttower"]
    rows = [at for at in rows_with_findings(window) if name_of(window, at).split("-")[-1] in names]
    window.table.set_marks([window.table.key(row) for row in rows], on=True)
    window.commands.run("compare")
    qtbot.waitUntil(lambda: bool(window.findChildren(CompareDialog)), timeout=SOON)
    (dialog,) = window.findChildren(CompareDialog)
    qtmodeltester.check(dialog.table)
    lines = [
        [dialog.table.index(row, column).data() for column in range(5)]
        for row in range(dialog.table.rowCount())
    ]
    assert ["≠", "footprint", "visual", "textual", ""] in lines
    assert lines[0][:2] == ["", "verdict"]
    dialog.reject()


def test_a_selected_model_stands_beside_its_base_and_the_revision_before(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """Three columns, and their intervals drawn on one axis."""
    name = "demo/clip-badtexttower"
    later = factories.revise(filled, name)
    window = open_window()
    window.models.choose(later.id)
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.row.job.id == later.id,
        timeout=SOON,
    )
    window.commands.run("compare")
    qtbot.waitUntil(lambda: bool(window.findChildren(CompareDialog)), timeout=SOON)
    (dialog,) = window.findChildren(CompareDialog)
    titles = [dialog.table.headerData(at, Qt.Orientation.Horizontal) for at in range(2, 5)]
    assert titles[0].startswith(f"● {name}@") and titles[1] == "■ base: vit-base"
    assert titles[2].startswith(f"▲ before: {name}@")
    drawn = [at for at in range(dialog.table.rowCount()) if any(dialog.table.line(at).drawn)]
    axis = dialog.findChildren(QTableView)[0]
    axis.scrollTo(dialog.table.index(drawn[-1], 0))
    area = axis.visualRect(dialog.table.index(drawn[-1], 5))
    picture = axis.viewport().grab(area).toImage()
    shades = {picture.pixel(x, y) for x in range(picture.width()) for y in range(picture.height())}
    assert len(shades) > 3  # ground, axis, cuts, and what was measured
    dialog.reject()


def test_marks_on_models_without_a_finding_say_so(
    qtbot: QtBot, open_window: Open, store: Store
) -> None:
    factories.discover(store, "org/plain")
    window = open_window()
    press(qtbot, window, Qt.Key.Key_Space)
    press(qtbot, window, Qt.Key.Key_C)
    dialog = opened(qtbot, window)
    assert "nothing to decide about" in dialog._counts.text()
    assert not dialog.buttons.button(OK).isEnabled()
    dialog.reject()
    qtbot.waitUntil(lambda: window.desk.asking.dialog is None, timeout=SOON)


def selected_name(window: Window) -> str:
    return name_of(window, window.models.currentIndex().row())


def test_after_a_decision_the_next_finding_comes_and_undo_shows_the_one_before(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.filter.set_text("triage:new")
    qtbot.waitUntil(lambda: 0 < window.table.rowCount() < 15, timeout=SOON)
    first, second, *_ = (name_of(window, at) for at in range(window.table.rowCount()))
    qtbot.waitUntil(lambda: window.detail.detail is not None, timeout=SOON)
    window.detail.triage.decide(TriageState.CONFIRMED)
    qtbot.waitUntil(lambda: selected_name(window) == second, timeout=SOON)
    qtbot.waitUntil(lambda: count(filled, "triage:confirmed") == 1, timeout=SOON)
    window.commands.run("undo")
    qtbot.waitUntil(lambda: selected_name(window) == first, timeout=SOON)
    assert count(filled, "triage:confirmed") == 0
    window.commands.run("redo")
    qtbot.waitUntil(lambda: count(filled, "triage:confirmed") == 1, timeout=SOON)


def test_going_on_can_be_turned_off_and_stays_so(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.frame.decide_button.goes_on.trigger()
    before = selected_name(window)
    window.detail.triage.decide(TriageState.CONFIRMED)
    qtbot.waitUntil(
        lambda: bool(window.detail.detail and window.detail.detail.triage), timeout=SOON
    )
    assert selected_name(window) == before
    window.close()
    assert not open_window().frame.decide_button.goes_on.isChecked()


def named(parent: QWidget, kind: type[T], name: str) -> T:
    """The widget that a screen reader calls so."""
    (found,) = (one for one in parent.findChildren(kind) if one.accessibleName() == name)
    return found


def test_one_finding_is_assigned_on_its_page_and_many_in_the_dialog(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    box = window.detail.triage
    named(box, QLineEdit, "Assigned to").setText("bob")
    named(box, QPushButton, "Triage: Assign").click()
    qtbot.waitUntil(lambda: count(filled, "assignee:bob triage:new") == 1, timeout=SOON)
    qtbot.waitUntil(
        lambda: "assigned to bob" in " ".join(one.text() for one in box.findChildren(Label)),
        timeout=SOON,
    )
    window.table.set_marks(window.table.keys, on=True)
    window.commands.run("decide_about_many")
    dialog = opened(qtbot, window)
    dialog.state.setCurrentIndex(dialog.state.findText("As it is: only assign"))
    named(dialog, QLineEdit, "Assigned to").setText("eve")
    dialog.buttons.button(OK).click()
    qtbot.waitUntil(lambda: count(filled, "assignee:eve") == count(filled, ""), timeout=SOON)
    assert count(filled, "triage:new") == count(filled, "")
    window.filter.set_text("assignee:eve")
    qtbot.waitUntil(lambda: 0 < window.table.rowCount() < 15, timeout=SOON)


def test_the_answer_of_a_supplier_is_written_where_a_dispute_is_shown(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    window.frame.decide_button.goes_on.trigger()
    box = window.detail.triage
    answer = named(box, QLineEdit, "Supplier's answer")
    assert answer.isHidden()
    box.note.setText("they say it is a test")
    box.decide(TriageState.DISPUTED)
    qtbot.waitUntil(lambda: not answer.isHidden(), timeout=SOON)
    answer.setText("our test set leaked")
    qtbot.keyClick(answer, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: count(filled, "answer:~leaked triage:disputed") == 1, timeout=SOON)


def test_a_key_that_somebody_chose_is_obeyed_and_shown(
    qtbot: QtBot, open_window: Open, filled: Store, home: Path
) -> None:
    (home / "config.toml").write_text('[keys]\nconfirm = "O"\n')
    window = open_window()
    press(qtbot, window, Qt.Key.Key_C)
    qtbot.keyClick(window.models, Qt.Key.Key_O, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: count(filled, "triage:confirmed") == 1, timeout=SOON)
    assert [key.shown for key in bound(keys_of(home)) if key.action == "confirm"] == ["O"]
    top = terminal.actions(terminal.bound(keys_of(home)))
    assert top["O"] == "confirm" and "c" not in top


def test_the_keys_at_first_are_those_of_the_tables() -> None:
    assert bound(Keys()) == KEYS
    assert terminal.bound(Keys()) == terminal.KEYS
