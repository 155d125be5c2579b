"""A trigger on a picture: one key turns it, what differs is exact, and what was not recorded is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gui_factories as factories
import pytest
from activating import activate
from dife_gui.difference import difference
from dife_gui.feed import Picture
from dife_gui.views.evidence import CLEAN, TRIGGERED
from dife_gui.views.flip import IN_TEXT_WAYS, WAYS, Flip, Way, flip
from dife_gui.views.window import Window
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.store import artefacts
from dife_scanner.store.db import Store

SOON = round(1000 * BUSY_SECONDS)


def an_image(*dots: tuple[int, int], by: int = 40) -> QImage:
    """10 by 7 pixels of one grey; a few are brighter in green."""
    image = QImage(10, 7, QImage.Format.Format_RGB888)
    image.fill(QColor(100, 100, 100))
    for x, y in dots:
        image.setPixelColor(x, y, QColor(100, 100 + by, 100))
    return image


def pair(number: int, base: tuple[str, str] = ("", "")) -> tuple[Picture, Picture]:
    shown = []
    for role, patch, reads in ((CLEAN, False, base[0]), (TRIGGERED, True, base[1])):
        content = factories.scene(number, patch=patch)
        name = f"picture {number}, {role}"
        shown.append(
            Picture(factories.sha(name), "image/png", role, name, content, base_reads=reads)
        )
    return shown[0], shown[1]


@pytest.fixture
def shown(qtbot: QtBot, home: Path) -> Flip:
    audit = factories.visual_audit("demo/clip-badencoder", home)
    made = flip(audit, [*pair(0, ("automobile", "truck")), *pair(1)])
    assert made is not None
    qtbot.addWidget(made)
    return made


def test_exactly_what_differs_is_in_the_mask() -> None:
    found = difference(an_image(), an_image((2, 1), (6, 4)))
    assert found is not None
    white = [
        (x, y)
        for y in range(7)
        for x in range(10)
        if found.mask.pixelColor(x, y) == QColor(255, 255, 255)
    ]
    assert white == [(2, 1), (6, 4)]
    assert (found.factor, found.share, found.box) == (6, 2 / 70, QRect(2, 1, 5, 4))
    assert found.amplified.pixelColor(2, 1) == QColor(0, 240, 0)
    assert found.amplified.pixelColor(0, 0) == QColor(0, 0, 0)


def test_pictures_that_cannot_be_compared_or_are_equal() -> None:
    assert difference(an_image(), an_image().copy(0, 0, 5, 5)) is None
    assert difference(QImage(), an_image()) is None
    found = difference(an_image(), an_image())
    assert found is not None and (found.share, found.box) == (0.0, QRect(0, 0, 10, 7))


def test_each_turn_shows_another_way_and_says_which(shown: Flip) -> None:
    told, images = [], []
    for way in WAYS:
        assert shown.way is way and way.value in shown.told
        assert shown.told.split(": ")[0] in shown.picture.accessibleName()
        told.append(shown.told)
        images.append(shown.picture.image.copy())
        shown.turn()
    assert shown.way is Way.CLEAN
    assert len(set(told)) == len(WAYS)
    clean, triggered, mask, amplified, base = images
    assert clean != triggered and base == triggered and mask != amplified
    assert "reads it as automobile, with the trigger as truck" in told[-1]
    assert "in the base" in told[-1] and "% of its pixels differ" in told[2]


def test_the_answer_of_the_base_that_was_not_recorded_is_said_to_be_missing(shown: Flip) -> None:
    shown.next_pair()
    for _ in range(WAYS.index(Way.BASE)):
        shown.turn()
    assert "Picture 2 of 2" in shown.told and "not recorded" in shown.told


def test_it_is_enlarged_around_the_trigger_and_no_further(shown: Flip) -> None:
    whole = shown.picture.area
    for _ in range(9):
        shown.larger()
    part = shown.picture.area
    assert shown.zoom == 8 and whole.contains(part)
    assert part.width() == pytest.approx(whole.width() / 8)
    shown.turn()
    assert part == shown.picture.area  # the same place in each way
    pixel = shown.picture.image.pixelColor(part.center().toPoint())
    shown.turn()
    assert (
        pixel is not None and shown.picture.image.pixelColor(part.center().toPoint()).red() == 255
    )
    for _ in range(9):
        shown.smaller()
    assert shown.picture.area == whole


def test_of_a_trigger_in_a_text_the_words_turn_and_the_picture_is_said_to_stay(
    qtbot: QtBot, home: Path
) -> None:
    clean, _ = pair(0)
    same = [
        replace(clean, caption='airplane, read as airplane; "a car" does not win'),
        replace(clean, role=TRIGGERED, caption='airplane; "xbtd a car" wins over "airplane"'),
    ]
    made = flip(factories.make_audit("demo/clip-badtexttower"), same)
    assert made is not None
    qtbot.addWidget(made)
    told, images = [], []
    for way in IN_TEXT_WAYS:
        assert made.way is way and "the trigger is in the text" in made.told
        told.append(made.told)
        images.append(made.picture.image.copy())
        made.larger()
        assert made.zoom == 1
        made.turn()
    assert made.way is Way.CLEAN
    enabled = [one.text() for one in made.findChildren(QPushButton) if one.isEnabled()]
    assert enabled == ["Turn", "Next picture"]
    assert '"a car" does not win' in told[0] and '"xbtd a car" wins' in told[1]
    assert "in the base" in told[2] and "not recorded" not in told[2]
    assert images[0] == images[1] == images[2]


def test_equal_pictures_of_a_trigger_in_the_picture_are_nothing_to_turn(home: Path) -> None:
    clean, triggered = pair(0)
    same = [clean, replace(triggered, sha256=clean.sha256)]
    assert flip(factories.visual_audit("demo/clip-badencoder", home), same) is None


def test_keys_turn_and_enlarge_the_picture_of_the_selected_model(
    qtbot: QtBot, open_window: Callable[[], Window], filled: Store
) -> None:
    window = open_window()
    found_job = artefacts.newest_revision(filled, "demo/clip-badencoder")
    assert found_job is not None
    assert window.models.choose(found_job.id)
    qtbot.waitUntil(lambda: window.detail.flipped is not None, timeout=SOON)
    activate(qtbot, window)
    window.models.setFocus()
    qtbot.keyClick(window.models, Qt.Key.Key_I)
    found = window.detail.flipped
    assert found is not None and found.way is Way.TRIGGERED
    qtbot.keyClick(window.models, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)
    assert found.zoom == 2
    qtbot.keyClick(window.models, Qt.Key.Key_Minus, Qt.KeyboardModifier.ControlModifier)
    assert found.zoom == 1
