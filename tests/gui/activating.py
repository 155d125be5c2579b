"""Making a window the active one, in which alone its shortcuts work."""

from __future__ import annotations

from dife_gui.views.window import Window
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS


def activate(qtbot: QtBot, window: Window) -> None:
    """Ask for it until it is: a dialog or a list of completions that closes late takes it away again."""

    def is_active() -> bool:
        window.activateWindow()
        return window.isActiveWindow()

    qtbot.waitUntil(is_active, timeout=round(1000 * BUSY_SECONDS))
