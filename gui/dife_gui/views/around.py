"""What stands around the list: the status line, the notices about the hub, clean bases and alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dife_gui.background import Background
from dife_gui.feed import Overview, overview, poll_failure
from dife_gui.timers import single_shot
from dife_gui.views.frame import Frame
from dife_gui.views.status import Status, changed_bases_text, dead_letters_text, unaudited_text
from dife_gui.watching import scanner, start_demo, start_watcher
from dife_scanner.errors import DifeError
from dife_scanner.store import outbox
from dife_scanner.store.polls import is_alive

_AROUND_MILLISECONDS = 1000
"""Between two readings: one counts over all audits."""
_MESSAGE_MILLISECONDS = 5000
"""How long a message stays in the status line."""


class Around(QObject):
    """Reads what stands around the list, one reading at a time, and shows it."""

    shown = Signal()
    failed = Signal(object)

    def __init__(
        self, home: Path, frame: Frame, background: Background, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._frame = frame
        self._background = background
        self._reading = False
        self.overview: Overview | None = None
        """What was read last."""
        self.status = Status(home)
        self.status.start_requested.connect(lambda: self.start_watcher())
        frame.dead_letters.requested.connect(self._revive)
        self._soon = single_shot(self, _AROUND_MILLISECONDS, self.look)
        self.also: Callable[[], None] | None = None
        """What else is looked at whenever this is."""

    def look(self) -> None:
        """Read now; where a reading runs, once more after it."""
        if self._reading:
            self._soon.start()
            return
        self._reading = True
        self._background.read(overview, self._show, self._failed)
        if self.also is not None:
            self.also()

    def look_soon(self) -> None:
        """Read, and not more often than that is cheap."""
        if not self._soon.isActive():
            self._soon.start()

    def show_time(self) -> None:
        """A watcher that falls silent changes nothing in the store; only the clock shows it."""
        if self.overview is not None:
            self.status.show_overview(self.overview)

    def say(self, text: str) -> None:
        """Show a message in the status line for a while."""
        self.status.showMessage(text, _MESSAGE_MILLISECONDS)

    @property
    def is_watched(self) -> bool:
        """Whether a watcher runs."""
        return self.overview is not None and is_alive(self.overview.watcher)

    def start_watcher(self, options: Sequence[str] = ()) -> None:
        """Start `dife watch` on the same home; it lives on after this window."""
        program = scanner()
        if program is None:
            self._frame.trouble.show_text(
                "No scanner is installed here, and the window cannot audit by itself. Install one with:"
                f" pipx install dife-scanner. Then run: DIFE_HOME={self._home} dife watch"
            )
        elif start_watcher(self._home, program, options):
            self.say("Watcher started; it writes to logs/watch.log")
        else:
            self._frame.trouble.show_text(
                f"A watcher could not be started from here. Run: DIFE_HOME={self._home} dife watch"
            )

    def start_demo(self) -> None:
        """Start the demo, which has a home and a window of its own."""
        program = scanner()
        if program is not None and start_demo(self._home, program):
            self.say("The demo runs in a window of its own, which opens soon")
        else:
            self._frame.trouble.show_text(
                "The demo could not be started from here. Run: dife demo --gui"
            )

    def _show(self, found: Overview) -> None:
        self._reading = False
        self.overview = found
        self.status.show_overview(found)
        self._frame.hub.show_text(_poll_notice(found))
        self._frame.changed_bases.show_text(changed_bases_text(found.changed))
        self._frame.unaudited.show_text(unaudited_text(found))
        self._frame.dead_letters.show_text(dead_letters_text(found.dead))
        self.shown.emit()

    def _failed(self, error: DifeError) -> None:
        self._reading = False
        self.failed.emit(error)

    def _revive(self) -> None:
        """Have the alerts sent again that no channel took."""
        self._background.write(
            lambda store: outbox.revive(store), lambda _: self.look(), self.failed.emit
        )


def _poll_notice(found: Overview) -> str:
    """The notice about the last pass over the hub; empty where it went well."""
    failure = poll_failure(found)
    if not failure:
        return ""
    return f"The last poll failed: {failure}. It is tried again by itself."
