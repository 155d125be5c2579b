"""A long day in the window: its process lives on, whatever Qt and Python do with each other."""

from __future__ import annotations

import gc
import sys
import threading

import leftovers
import pytest
from dife_gui.collecting import Collector
from dife_gui.views.text import Label
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from qt_messages import ALLOWED_MESSAGES, MOST_ALLOWED


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal")
def test_calls_that_return_nothing_do_not_use_up_none(qtbot: QtBot) -> None:
    """The last reference given away would end the process; PySide6 6.12 gives one away with each call."""
    label = Label()
    qtbot.addWidget(label)
    before = sys.getrefcount(None)
    for number in range(1000):
        label.setText(str(number))
    assert sys.getrefcount(None) > before - 500


class _Noted:
    """Part of a circle: notes on which thread it is deleted."""

    deleted_on: str = ""

    def __init__(self) -> None:
        self.circle = self

    def __del__(self) -> None:
        type(self).deleted_on = threading.current_thread().name


def test_what_nobody_holds_is_deleted_on_the_thread_of_the_window(qtbot: QtBot) -> None:
    """However much another thread allocates."""
    collector = Collector()
    kept: list[list[int]] = []
    try:
        _Noted()
        busy = threading.Thread(target=lambda: kept.extend([] for _ in range(50_000)))
        busy.start()
        busy.join()
        assert _Noted.deleted_on == ""
        qtbot.waitUntil(lambda: bool(_Noted.deleted_on), timeout=20_000)
        assert _Noted.deleted_on == threading.main_thread().name
    finally:
        collector.close()
    assert gc.isenabled()


def test_what_is_left_behind_is_named(qtbot: QtBot) -> None:
    """So that the check which runs after every test of the window is not empty."""
    before = leftovers.alive()
    window = QWidget()
    window.setAccessibleName("Forgotten")
    timer = QTimer()
    timer.start(60_000)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="forgotten", daemon=True)
    thread.start()
    try:
        found = leftovers.left(before, seconds=0.1)
    finally:
        ended.set()
        thread.join()
        timer.stop()
        window.deleteLater()
    assert "thread forgotten" in found and "QWidget “Forgotten”" in found
    assert "timer of NoneType, every 60000 ms" in found
    assert leftovers.left(before) == []


def test_few_messages_of_qt_are_allowed_and_each_has_its_reason() -> None:
    assert len(ALLOWED_MESSAGES) <= MOST_ALLOWED
    assert all(ALLOWED_MESSAGES.values())
