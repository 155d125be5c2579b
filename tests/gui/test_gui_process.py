"""A long day in the window: its process lives on, whatever Qt and Python do with each other."""

from __future__ import annotations

import gc
import sys
import threading

import pytest
from dife_gui import none
from dife_gui.collecting import Collector
from dife_gui.views.text import Label
from pytestqt.qtbot import QtBot


@pytest.mark.skipif(sys.version_info >= none.FIRST_WITH_IMMORTALS, reason="None is immortal")
def test_calls_that_return_nothing_do_not_use_up_none(qtbot: QtBot) -> None:
    label = Label()
    qtbot.addWidget(label)
    for number in range(1000):
        label.setText(str(number))
    assert sys.getrefcount(None) > sys.maxsize // 8
    before = sys.getrefcount(None)
    none.keep()  # and again: nothing more is added
    assert abs(sys.getrefcount(None) - before) < 1000


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
