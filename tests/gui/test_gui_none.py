"""A long day in the window does not use up the references to `None`."""

from __future__ import annotations

import sys

import pytest
from dife_gui import none
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
