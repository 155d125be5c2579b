"""The filter bar: every state it can be in, and what it helps with."""

from __future__ import annotations

import pytest
from dife_gui.views.filter_box import FilterBox
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QProgressBar
from pytestqt.qtbot import QtBot


def texts(box: FilterBox) -> str:
    return "\n".join(label.text() for label in box.findChildren(QLabel))


@pytest.fixture
def box(qtbot: QtBot) -> FilterBox:
    made = FilterBox()
    qtbot.addWidget(made)
    made.resize(900, 80)
    made.show()
    made.activateWindow()
    made.line.setFocus()
    return made


# --- states ---------------------------------------------------------------------------------------------------


def test_typing_is_applied_after_a_rest(box: FilterBox, qtbot: QtBot) -> None:
    with qtbot.waitSignal(box.applied) as caught:
        qtbot.keyClicks(box.line, "verdict:flagged")
        assert box.state == "busy"
    assert caught.args == ["verdict:flagged"]
    assert box.state == "valid"


def test_an_invalid_filter_says_where_and_changes_nothing(box: FilterBox, qtbot: QtBot) -> None:
    box.set_text("verdict:flagged")
    with qtbot.assertNotEmitted(box.applied, wait=100):
        box.line.setText("verdict:flagged colour:red")
    assert box.state == "invalid"
    assert box.text == "verdict:flagged"
    assert "column 17" in texts(box)
    box.line.setText("")
    qtbot.waitUntil(lambda: box.state == "empty")
    assert not any(
        label.isVisible() and "column" in label.text() for label in box.findChildren(QLabel)
    )


def test_what_is_wrong_is_underlined_in_the_line(box: FilterBox, qtbot: QtBot) -> None:
    """The picture of the line differs right of the column, and nowhere left of it."""
    box.line.setText("clip colour:red")
    wrong = box.line.grab().toImage()
    box.line.mark(0)
    right = box.line.grab().toImage()
    differs = [
        x
        for x in range(wrong.width())
        if any(wrong.pixel(x, y) != right.pixel(x, y) for y in range(wrong.height()))
    ]
    assert differs and min(differs) > box.line.fontMetrics().horizontalAdvance("clip")


def test_under_an_invalid_filter_it_says_what_is_still_listed_and_a_later_start_begins_with_that(
    box: FilterBox,
) -> None:
    box.line.setText("triage:acepted-risk")
    assert "Did you mean accepted-risk?" in texts(box)
    assert "Still listed: all models" in texts(box) and box.kept == ""
    box.set_text("repo:~clip")
    assert "Still listed" not in texts(box) and box.kept == "repo:~clip"
    box.line.setText("repo:~clip verdct:flagged")
    assert "Still listed: what repo:~clip lets through" in texts(box)
    assert (box.kept, box.written) == ("repo:~clip", "repo:~clip verdct:flagged")
    box.switch()
    box.line.setText("repo:~vit")
    assert (box.kept, box.text) == ("repo:~vit", "")


def test_still_looking_and_none_found_never_look_alike(box: FilterBox) -> None:
    (progress,) = box.findChildren(QProgressBar)
    box.set_text("verdict:flagged")
    box.show_busy(True)
    assert box.state == "busy" and progress.isVisible()
    assert "still looking" in texts(box) and "0 of" not in texts(box)
    box.show_count(200, 1204, whole=False)
    assert "200 and more, still looking" in texts(box)
    box.show_busy(False)
    box.show_count(0, 1204)
    assert box.state == "valid" and not progress.isVisible()
    assert "0 of 1,204 models" in texts(box) and "looking" not in texts(box)


def test_counts_name_what_is_hidden(box: FilterBox) -> None:
    box.show_count(1, 1)
    assert "1 model" in texts(box)
    box.set_text("clip")
    box.show_count(12, 1204)
    assert "12 of 1,204 models" in texts(box)


def test_one_switch_takes_the_filter_away_and_brings_it_back(box: FilterBox, qtbot: QtBot) -> None:
    box.set_text("clip")
    with qtbot.waitSignal(box.applied) as caught:
        box.switch()
    assert (caught.args, box.text, box.written, box.state) == ([""], "", "clip", "off")
    box.show_count(15, 15)
    assert "15 models, filter off" in texts(box)
    with qtbot.waitSignal(box.applied) as caught:
        box.switch()
    assert (caught.args, box.text, box.state) == (["clip"], "clip", "valid")


def test_why_the_selected_model_matches_is_told(box: FilterBox) -> None:
    box.show_why(("repo:~clip", "!triage:confirmed"))
    assert "matches by repo:~clip · !triage:confirmed" in texts(box)
    box.show_why(())
    assert "matches" not in texts(box)


# --- help -----------------------------------------------------------------------------------------------------


def test_fields_and_values_are_offered_and_taken_with_tab(box: FilterBox, qtbot: QtBot) -> None:
    qtbot.waitUntil(box.line.hasFocus)
    qtbot.keyClicks(box.line, "clip !foo")
    assert box.line.candidates == ["footprint:"]
    qtbot.keyClick(box.line, Qt.Key.Key_Tab)
    assert box.line.text() == "clip !footprint:"
    assert "textual" in box.line.candidates
    qtbot.keyClicks(box.line, "tex")
    popup = QApplication.activePopupWidget()
    assert popup is not None and popup.accessibleName() == "Candidates for the filter"
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert (box.line.text(), box.line.candidates) == ("clip !footprint:textual", [])


def test_filters_used_before_come_back_with_the_arrows(box: FilterBox, qtbot: QtBot) -> None:
    box.line.set_before(("second", "first"))
    box.line.setText("half writ")
    seen = []
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down):
        qtbot.keyClick(box.line, key)
        seen.append(box.line.text())
    assert seen == ["second", "first", "first", "second", "half writ"]


def test_enter_makes_a_filter_one_that_was_used(box: FilterBox, qtbot: QtBot) -> None:
    box.line.setText("clip")
    with qtbot.waitSignals([box.used, box.left]):
        qtbot.keyClick(box.line, Qt.Key.Key_Return)
    box.line.setText("colour:red")
    with qtbot.assertNotEmitted(box.used):
        qtbot.keyClick(box.line, Qt.Key.Key_Return)
