"""Python's garbage collector on the window's thread alone.

It runs on whichever thread allocates at the moment, and the threads that read do that a lot. A widget that nobody holds
any more would be deleted there, and Qt ends the process where a widget is deleted on another thread than its own.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_MILLISECONDS = 500


class Collector(QObject):
    """Collects twice a second what is due, for as long as it lives."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        gc.freeze()  # what is there now stays to the end: it need not be looked at again
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.collect)
        self._timer.start(_MILLISECONDS)

    def collect(self) -> None:
        """Collect the oldest generation that is due, and the younger ones with it."""
        counts, most = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if counts[generation] > most[generation]:
                gc.collect(generation)
                return

    def close(self) -> None:
        """Let Python collect by itself again."""
        self._timer.stop()
        gc.unfreeze()
        gc.enable()
