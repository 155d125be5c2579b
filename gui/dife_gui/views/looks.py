"""What the next window begins with: columns, saved views, filters used before, colours, and what is shown last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dife_gui.memory import Memory, Session, View, load, save
from dife_gui.timers import single_shot
from dife_gui.views import theme
from dife_gui.views.frame import Frame

_SAVE_MILLISECONDS = 1000
"""After the last change of the columns, until they are remembered."""


class Looks(QObject):
    """Remembers for a home how its list was looked at last."""

    said = Signal(str)
    """What came of it, for the status line."""

    def __init__(self, home: Path, frame: Frame, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._home = home
        self._frame = frame
        self._memory = load(home)
        self._session: Callable[[], Session] | None = None
        """Gives what is shown now, where the next window is to begin with it."""
        self._save_soon = single_shot(self, _SAVE_MILLISECONDS, self.remember)
        frame.models.laid_out.connect(self._save_soon.start)
        frame.filter.used.connect(lambda text: self._change(self._memory.with_filter(text)))
        frame.views.chosen.connect(self.show_view)
        frame.views.named.connect(self._save_view)
        frame.views.forgotten.connect(lambda name: self._change(self._memory.without_view(name)))
        frame.decide_button.goes_on.setChecked(self._memory.goes_on)
        frame.decide_button.goes_on.toggled.connect(self._go_on)
        frame.models.set_layout(self._memory.layout)
        frame.views.is_shown = self._is_shown
        self._show()

    @property
    def views(self) -> tuple[View, ...]:
        """The saved views."""
        return tuple(self._memory.views)

    @property
    def scheme(self) -> str:
        """The colours that were chosen: one of `SCHEMES`."""
        return self._memory.scheme

    def choose(self, scheme: str) -> None:
        """Use these colours, in later windows too."""
        theme.choose_scheme(scheme)
        self._change(replace(self._memory, scheme=scheme))

    def keep(self, session: Callable[[], Session]) -> Session:
        """From now on remember what this gives; returns what the last window left."""
        self._session = session
        return self._memory.session

    def show_view(self, view: View) -> None:
        """Show the filter of a view, in its columns."""
        self._frame.models.set_layout(view.layout)
        self._frame.filter.set_text(view.filter)
        self._save_soon.start()

    def remember(self) -> None:
        """Write it down now."""
        self._save_soon.stop()
        self._memory = replace(self._memory, layout=self._frame.models.layout_now())
        if self._session is not None:
            self._memory = replace(self._memory, session=self._session())
        save(self._home, self._memory)

    def close(self) -> None:
        """Write down what was not yet."""
        if self._save_soon.isActive() or self._session is not None:
            self.remember()

    def _is_shown(self, view: View) -> bool:
        """Whether the list is as a saved view has it."""
        frame = self._frame
        return (view.filter, view.layout) == (frame.filter.written, frame.models.layout_now())

    def _save_view(self, name: str) -> None:
        view = View(name, self._frame.filter.written, self._frame.models.layout_now())
        self._change(self._memory.with_view(view))
        self.said.emit(f"View saved: {name}")

    def _go_on(self, on: bool) -> None:
        self._change(replace(self._memory, goes_on=on))

    def _change(self, memory: Memory) -> None:
        self._memory = memory
        self._show()
        self._save_soon.start()

    def _show(self) -> None:
        self._frame.views.show_views(self._memory.views)
        self._frame.filter.line.set_before(self._memory.filters)
