"""Making a window the active one, in which alone its shortcuts work; and finding what is on it."""

from __future__ import annotations

from typing import TypeVar

from dife_gui.views.window import Window
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

W = TypeVar("W", bound=QWidget)


def named(top: QWidget, kind: type[W], name: str) -> W:
    """The one widget of this kind with this accessible name."""
    (found,) = (one for one in top.findChildren(kind) if one.accessibleName() == name)
    return found


def activate(qtbot: QtBot, window: Window) -> None:
    """Ask for it until it is: a dialog or a list of completions that closes late takes it away again."""

    def is_active() -> bool:
        window.activateWindow()
        return window.isActiveWindow()

    qtbot.waitUntil(is_active, timeout=round(1000 * BUSY_SECONDS))
