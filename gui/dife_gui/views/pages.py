"""The pages of the window, one in sight at a time."""

from __future__ import annotations

from PySide6.QtWidgets import QStackedWidget, QWidget

from dife_gui.memory import PAGES
from dife_gui.views.describing import Describing
from dife_gui.views.frame import Frame
from dife_gui.views.queue_desk import QueueDesk


class Pages(QStackedWidget):
    """The list of models, the queue, the hub, and the deployments."""

    def __init__(
        self,
        frame: Frame,
        queue: QueueDesk,
        describing: Describing,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._frame = frame
        self._queue = queue
        self._describing = describing
        for page in (frame, queue.page, queue.hub, describing.page):  # in the order of `PAGES`
            self.addWidget(page)
        frame.queue_button.clicked.connect(self.show_queue)
        frame.hub_button.clicked.connect(self.show_hub)
        frame.deployments_button.clicked.connect(self.show_deployments)
        for page in (queue.page, queue.hub, describing.page):
            page.left.connect(self.show_models)

    @property
    def shown(self) -> str:
        """The name of the page that is in sight."""
        return PAGES[self.currentIndex()]

    def show_page(self, name: str) -> None:
        """Show the page of this name."""
        does = {
            "models": self.show_models,
            "queue": self.show_queue,
            "hub": self.show_hub,
            "deployments": self.show_deployments,
        }
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

    def show_deployments(self) -> None:
        """What models are used for, and how they stand for each use."""
        self.setCurrentWidget(self._describing.page)
        self._describing.page.new.setFocus()
        self._describing.look()

    def show_models(self) -> None:
        """The list of models."""
        self.setCurrentWidget(self._frame)
        self._frame.focus_list()
