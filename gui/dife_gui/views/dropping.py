"""What is dropped on the window, or pasted, is asked of the watcher to be scanned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, Signal
from PySide6.QtGui import QGuiApplication

from dife_gui.background import Background
from dife_gui.deciding import actor
from dife_gui.dropping import targets
from dife_gui.escape import explained
from dife_scanner.errors import DifeError
from dife_scanner.sentences.numbers import count
from dife_scanner.store import requests
from dife_scanner.store.db import Store


class Dropping(QObject):
    """Asks for scans; what they find comes into the list by itself."""

    said = Signal(str)
    """What came of it, for the status line."""

    def __init__(
        self,
        home: Path,
        background: Background,
        is_watched: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._background = background
        self._is_watched = is_watched

    def is_meant(self, dropped: QMimeData) -> bool:
        """Whether it could name something to scan."""
        return dropped.hasUrls() or dropped.hasText()

    def paste(self) -> None:
        """Scan what the clipboard names."""
        self.scan(QGuiApplication.clipboard().mimeData())

    def scan(self, dropped: QMimeData) -> None:
        """Ask the watcher to scan what this names, all of it or nothing."""
        try:
            wanted = targets(dropped, self._home)
        except DifeError as error:
            self.said.emit(explained(error))
            return
        home = self._home

        def ask(store: Store) -> int:
            with store.atomic("requests.add"):
                for target in wanted:
                    requests.request_scan(store, target, actor=actor(home))
            return len(wanted)

        self._background.write(ask, self._asked, lambda error: self.said.emit(explained(error)))

    def _asked(self, number: int) -> None:
        waits = (
            "the watcher takes it up" if self._is_watched() else "once a watcher runs: none does"
        )
        self.said.emit(f"{count(number, 'scan')} asked for; {waits}")
