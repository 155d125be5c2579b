"""The pages of the window, one in sight at a time."""

from __future__ import annotations

from PySide6.QtWidgets import QStackedWidget, QWidget

from dife_gui.memory import PAGES
from dife_gui.views.frame import Frame
from dife_gui.views.queue_desk import QueueDesk


class Pages(QStackedWidget):
    """The list of models, the queue, and the hub."""

    def __init__(self, frame: Frame, queue: QueueDesk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frame = frame
        self._queue = queue
        for page in (frame, queue.page, queue.hub):  # in the order of `PAGES`
            self.addWidget(page)
        frame.queue_button.clicked.connect(self.show_queue)
        frame.hub_button.clicked.connect(self.show_hub)
        for page in (queue.page, queue.hub):
            page.left.connect(self.show_models)

    @property
    def shown(self) -> str:
        """The name of the page that is in sight."""
        return PAGES[self.currentIndex()]

    def show_page(self, name: str) -> None:
        """Show the page of this name."""
        does = {"models": self.show_models, "queue": self.show_queue, "hub": self.show_hub}
        does[name]()

    def show_queue(self) -> None:
        """What runs, what waits and why, what is stuck."""
        self.setCurrentWidget(self._queue.page)
        self._queue.page.view.setFocus()
        self._queue.look()

    def show_hub(self) -> None:
        """What is watched, how far it is known, what waits, and what it costs."""
        self.setCurrentWidget(self._queue.hub)
        self._queue.hub.back.setFocus()
        self._queue.look()

    def show_models(self) -> None:
        """The list of models."""
        self.setCurrentWidget(self._frame)
        self._frame.models.setFocus()
