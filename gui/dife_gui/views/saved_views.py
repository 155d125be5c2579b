"""Buttons of the list: saved views, which keep a filter with its columns and order, and the columns themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QInputDialog, QMenu, QToolButton, QWidget

from dife_gui.memory import View
from dife_scanner.sentences import plain

MOST_CHARACTERS = 60
"""Of a view's name."""


class ViewsButton(QToolButton):
    """A menu of saved views."""

    chosen = Signal(object)
    """The `View` to show."""
    named = Signal(str)
    """What is shown now is to be saved under this name."""
    forgotten = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._actions: list[tuple[View, QAction]] = []
        self.is_shown: Callable[[View], bool] = lambda _: False
        """Whether the list is as a view has it."""
        self.setText("Views")
        self.setAutoRaise(True)
        self.setAccessibleName("Saved views")
        self.setToolTip("Saved views: a filter with its columns and order")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setMenu(QMenu(self))
        self.menu().aboutToShow.connect(self._tick)
        self.show_views(())

    def show_views(self, views: Sequence[View]) -> None:
        """Offer these."""
        self._actions = []
        menu = self.menu()
        menu.clear()
        for view in views:
            # As defaults, because a loop's variable would be the last view for all of them.
            action = menu.addAction(_shown(view.name))
            action.setToolTip(plain(view.filter))
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, one=view: self.chosen.emit(one))
            self._actions.append((view, action))
        menu.addSeparator()
        menu.addAction("Save this view…").triggered.connect(self.ask_name)
        forget = menu.addMenu("Forget")
        forget.setEnabled(bool(views))
        for view in views:
            action = forget.addAction(_shown(view.name))
            action.triggered.connect(lambda _=False, one=view: self.forgotten.emit(one.name))

    def _tick(self) -> None:
        """Tick the view that is shown."""
        for view, action in self._actions:
            action.setChecked(self.is_shown(view))

    def ask_name(self) -> None:
        """Ask under which name what is shown is to be saved."""
        name, given = QInputDialog.getText(self, "Save this view", "Name of the view:")
        self.save_as(name if given else "")

    def save_as(self, name: str) -> None:
        """Save under a name; nothing without one."""
        name = plain(name, limit=MOST_CHARACTERS)
        if name:
            self.named.emit(name)


def _shown(name: str) -> str:
    return plain(name, limit=MOST_CHARACTERS).replace("&", "&&")


def columns_button(make: Callable[[QWidget], QMenu]) -> QToolButton:
    """A button whose menu is made anew whenever it opens."""
    button = QToolButton()
    button.setText("Columns")
    button.setAutoRaise(True)
    button.setAccessibleName("Columns")
    button.setToolTip(
        "Which columns are shown; drag their titles to move them, their edges to size them"
    )

    def open_menu() -> None:
        menu = make(button)
        menu.exec(button.mapToGlobal(button.rect().bottomLeft()))
        menu.deleteLater()

    button.clicked.connect(open_menu)
    return button
