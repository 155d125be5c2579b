"""A walk through every page and dialog of a window, and what is wrong with what can be seen on each.

Run as a program with a home, it prints that for a window of 960 by 540: a full-HD screen at 200 %.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from dife_gui.views.keys import Help
from dife_gui.views.text import Elided
from dife_gui.views.window import Window
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QSignalSpy, QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QScrollArea,
    QTabBar,
    QWidget,
)
from waiting import BUSY_SECONDS

SIZE = (960, 540)
_STEP_MILLISECONDS = 20
_SLACK = 1
"""Pixels by which fonts are rounded."""


def until(done: Callable[[], bool]) -> None:
    waited = 0
    while not done():
        QTest.qWait(_STEP_MILLISECONDS)
        waited += _STEP_MILLISECONDS
        assert waited < 1000 * BUSY_SECONDS, "the window did not get there"


def dialogs_of(window: Window) -> list[QDialog]:
    return [one for one in window.findChildren(QDialog) if one.isVisible()]


def buttons_of(top: QWidget) -> list[QAbstractButton]:
    return top.findChildren(QAbstractButton)


def walk(window: Window, job: int) -> Iterator[tuple[str, QWidget]]:
    """Each page's name and what is on top; `job` is a model that can be compared and decided about."""
    yield "list", window
    window.models.choose(job)
    until(lambda: window.detail.detail is not None and window.detail.detail.row.job.id == job)
    window.frame.open_detail()
    yield "finding", window
    window.frame.to_table()
    window.commands.run("show_queue")
    until(lambda: window.queue.page.table.rowCount() > 0)
    yield "queue", window
    window.commands.run("show_hub")
    until(lambda: window.queue.hub.cards["Disk"].isVisible())
    yield "hub", window
    window.commands.run("show_deployments")
    until(lambda: "Edit…" in [one.text() for one in buttons_of(window.describing.page)])
    yield "deployments", window
    window.commands.run("show_models")
    for page, command in (
        ("compare", "compare"),
        ("decide", "decide_about_many"),
        ("deployment", "decide_for_deployment"),
        ("describe", "describe_deployment"),
        ("export", "export"),
        ("palette", "show_palette"),
    ):
        window.table.set_marks(window.table.keys[:2], on=True)
        window.commands.run(command)
        until(lambda: bool(dialogs_of(window)))
        (dialog,) = dialogs_of(window)
        yield page, dialog
        dialog.reject()
        until(lambda: not dialogs_of(window))
    keys = Help(parent=window)
    keys.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    keys.show()
    yield "keys", keys
    keys.close()


def unnamed(top: QWidget) -> list[str]:
    """What takes focus, or shows something of its own, and has neither a name nor a text."""
    found = []
    for widget in (top, *top.findChildren(QWidget)):
        if not widget.isVisible() or not _is_asked(widget):
            continue
        text = getattr(widget, "text", str)
        if not (widget.accessibleName() or text()):
            found.append(f"{type(widget).__name__} in {type(widget.parent()).__name__}")
    return found


def _is_asked(widget: QWidget) -> bool:
    if isinstance(widget.parent(), QComboBox | QLineEdit | QTabBar):
        return False  # a part of it, which Qt names
    is_ours = type(widget).__module__.startswith("dife_gui")
    takes_focus = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    is_bare = type(widget) is QScrollArea and not takes_focus
    return (bool(takes_focus) and not is_bare) or (is_ours and not widget.children())


def cut(top: QWidget) -> list[str]:
    """Labels and buttons that have less room than their text takes, and what lies outside of its parent."""
    found = []
    for widget in top.findChildren(QWidget):
        if not widget.isVisible():
            continue
        if isinstance(widget, QLabel | QAbstractButton) and _lacks_room(widget):
            found.append(f"cut: {type(widget).__name__} “{widget.text()[:60]}”")
        elif isinstance(widget, QLabel | QAbstractButton | QLineEdit) and _is_outside(widget):
            found.append(f"outside: {type(widget).__name__} “{widget.text()[:60]}”")
    return found


def _lacks_room(widget: QLabel | QAbstractButton) -> bool:
    if isinstance(widget, Elided):
        return False  # says in its tooltip what it cuts
    if isinstance(widget, QLabel) and widget.wordWrap():
        return widget.heightForWidth(widget.width()) > widget.height() + _SLACK
    needed = widget.minimumSizeHint()
    return needed.width() > widget.width() + _SLACK or needed.height() > widget.height() + _SLACK


def _is_outside(widget: QWidget) -> bool:
    """Whether a part of it lies outside of what it is on; what scrolls is measured against all of its page."""
    parent = widget.parentWidget()
    while parent is not None:
        place = widget.mapTo(parent, QPoint(0, 0))
        right = place.x() + widget.width()
        bottom = place.y() + widget.height()
        if isinstance(parent.parentWidget(), QAbstractScrollArea):
            return False
        if right > parent.width() + _SLACK or bottom > parent.height() + _SLACK:
            return True
        if parent.isWindow():
            return False
        parent = parent.parentWidget()
    return False


def main(home: Path, job: int) -> None:
    app = QApplication([])
    assert app is not None
    window = Window(home)
    window.resize(*SIZE)
    settled = QSignalSpy(window.settled)
    window.show()
    window.start()
    settled.wait(round(1000 * BUSY_SECONDS))
    for page, top in walk(window, job):
        QTest.qWait(100)
        for what in cut(top):
            print(f"{page}: {what}")
    print("walked through")
    window.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
