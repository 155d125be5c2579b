"""Keeps the pages of queue and hub on what the store holds, and asks the watcher for what somebody wants of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dife_gui.background import Background
from dife_gui.deciding import actor
from dife_gui.escape import explained
from dife_gui.hub import read_hub
from dife_gui.queue import read_queue
from dife_gui.views.hub_page import HubPage
from dife_gui.views.queue_page import QueuePage
from dife_scanner.errors import DifeError
from dife_scanner.store import requests
from dife_scanner.store.db import Store
from dife_scanner.store.requests import RequestKind


class QueueDesk(QObject):
    """Both pages, and what they read and write."""

    said = Signal(str)
    """What came of a request, for the status line."""

    def __init__(
        self,
        home: Path,
        background: Background,
        is_watched: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        """`is_watched` tells whether a watcher runs, which does what is asked for."""
        super().__init__(parent)
        self._home = home
        self._background = background
        self._is_watched = is_watched
        self.page = QueuePage()
        self.page.asked.connect(self._request)
        self.hub = HubPage()
        self.hub.asked.connect(self._request)

    def look(self) -> None:
        """Read what the page in sight shows."""
        home = self._home
        if self.page.isVisible():
            self._background.read(
                lambda store: read_queue(store, home), self.page.show_reading, self._failed
            )
        elif self.hub.isVisible():
            self._background.read(
                lambda store: read_hub(store, home),
                self.hub.show_reading,
                lambda error: self.hub.show_problem(explained(error)),
            )

    def _request(self, kind: RequestKind, job: int | None) -> None:
        home = self._home

        def write(store: Store) -> None:
            if kind is RequestKind.POLL:
                requests.request_poll(store, actor=actor(home))
            else:
                requests.request_queue(store, kind, job, actor=actor(home))

        self._background.write(write, self._asked, self._failed)

    def _asked(self, _: None) -> None:
        self.said.emit(
            "Asked of the watcher"
            if self._is_watched()
            else "Asked, and done once a watcher runs: none does"
        )
        self.look()

    def _failed(self, error: DifeError) -> None:
        self.page.counts.show_text(explained(error))
