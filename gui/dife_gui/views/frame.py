"""The page of models, as widgets: filter and notices above, then the list, then one model in full."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from dife_gui.feed import Overview
from dife_gui.listing import Listing
from dife_gui.models.models_table import ModelsTable
from dife_gui.views import theme
from dife_gui.views.bulk import DecideButton
from dife_gui.views.detail import DetailPane
from dife_gui.views.filter_box import FilterBox
from dife_gui.views.first_start import FirstStart
from dife_gui.views.saved_views import ViewsButton, columns_button
from dife_gui.views.status import Banner, Empty
from dife_gui.views.table import ModelsView
from dife_scanner.store.polls import is_alive

_TABLE_LINES = 16
_DETAIL_LINES = 30
"""Heights in lines of text that table and details begin with; the details take what is left."""
_LEAST_LINES = 5


class Frame(QWidget):
    """Where everything on the page of models stands, and which of it is in sight."""

    def __init__(self, home: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._home = home
        self._heights: list[int] = []
        self.filter = FilterBox()
        self.table = ModelsTable(self)
        self.models = ModelsView(self.table)
        self.views = ViewsButton()
        self.queue_button = tool_button("Queue", "What runs, what waits and why, what is stuck (2)")
        self.export_button = tool_button("Export", "What the list shows as a file (Ctrl+E)")
        self.hub_button = tool_button("Hub", "Last pass, backlog, budget, disk, coverage (4)")
        self.deployments_button = tool_button(
            "Deployments", "What models are used for, and how they stand for it (5)"
        )
        self.keys_button = tool_button(
            "Keys", "What each key does (?); any command by its words: Ctrl+K"
        )
        self.decide_button = DecideButton()
        self.first_start = FirstStart(home)
        self.first_start.hide()
        self.empty = Empty(self.first_start)
        self.empty.show_reason("Reading…", "")
        self.detail = DetailPane()
        self.back = tool_button("‹ All models", "Back to the table (Esc)", "Back to all models")
        self.back.hide()
        self.trouble = Banner()
        self.hub = Banner()
        self.changed_bases = Banner()
        self.unaudited = Banner()
        self.dead_letters = Banner("Try again")
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.models)
        self._fill_tools()
        self._lay_out()

    def _fill_tools(self) -> None:
        columns = columns_button(self.models.columns_menu)
        tools = (
            self.views,
            columns,
            self.export_button,
            self.queue_button,
            self.hub_button,
            self.deployments_button,
            self.keys_button,
            self.decide_button,
        )
        for tool in tools:
            self.filter.tools.addWidget(tool)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        side = theme.gap(0.7)
        layout.setContentsMargins(side, theme.gap(0.6), side, 0)
        layout.setSpacing(theme.gap(0.5))
        banners = (self.trouble, self.hub, self.changed_bases, self.unaudited, self.dead_letters)
        for part in (self.filter, *banners):
            layout.addWidget(part)
        layout.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
        self.splitter = self._split(self._stack, self.detail)
        layout.addWidget(self.splitter, 1)

    def _split(self, above: QWidget, below: QWidget) -> QSplitter:
        line = theme.em(self)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(above)
        splitter.addWidget(below)
        splitter.setChildrenCollapsible(False)
        splitter.setStretchFactor(0, 0)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([round(_TABLE_LINES * line), round(_DETAIL_LINES * line)])
        above.setMinimumHeight(round(_LEAST_LINES * line))
        below.setMinimumHeight(round(_LEAST_LINES * line))
        return splitter

    def open_detail(self) -> None:
        """The selected model over the whole page; Escape brings the table back."""
        if self.detail.detail is not None:
            self._heights = self.heights
            self._stack.hide()
            self.back.show()
            self.detail.setFocus()

    @property
    def is_in_full(self) -> bool:
        """Whether the selected model is over the whole page."""
        return self._stack.isHidden()

    @property
    def heights(self) -> list[int]:
        """Of list and details in pixels, where both are in sight, or were last."""
        return self._heights if self.is_in_full else self.splitter.sizes()

    def to_table(self) -> None:
        """The table above the selected model, and the keyboard in it."""
        self.back.hide()
        self._stack.show()
        self.focus_list()

    def focus_list(self) -> None:
        """The keyboard in the list. While that has no lines it stays where it is.

        A hidden list would take it later, in the middle of what somebody types, and letters decide about models there.
        """
        if self._stack.currentWidget() is self.models:
            self.models.setFocus()

    def to_filter(self) -> None:
        """The keyboard in the filter box."""
        self.filter.line.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.line.selectAll()

    def to_note(self) -> None:
        """The keyboard in the note of a decision, where there is a finding."""
        note = self.detail.triage.note
        if note.isVisible():
            self.detail.ensureWidgetVisible(note)
            note.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def show_empty(self, found: Listing, around: Overview | None) -> None:
        """In place of a list without lines: why it has none. Only a whole reading says that there is none."""
        self._stack.setCurrentWidget(self.models if found.found else self.empty)
        self.detail.setVisible(bool(found.found))
        is_watched = around is not None and is_alive(around.watcher)
        is_first = around is not None and not around.last_poll and not is_watched
        self.first_start.setVisible(is_first and not found.total)
        if found.found:
            return
        self.back.hide()
        self._stack.show()
        if found.total:
            hidden = "The filter hides the only one."
            if found.total > 1:
                hidden = f"The filter hides all {found.total:,}."
            self.empty.show_reason("No model matches", hidden, "Clear the filter")
        elif is_watched:
            self.empty.show_reason(
                "No models yet", "A watcher is running; what its first poll finds appears here."
            )
        else:
            why = f"No watcher has filled {self._home}. Start one here, or see a whole run first (“dife demo”)."
            self.empty.show_reason("No models yet", why, "" if is_first else "Start watcher")


def tool_button(text: str, tip: str, name: str = "") -> QToolButton:
    """A flat button that says what it does when the pointer rests on it."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(name or text)
    button.setAutoRaise(True)
    return button
