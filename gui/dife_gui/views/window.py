"""The window: what stands where is in `frame`, what keys do in `commands`; here its parts follow the store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow

from dife_gui.background import Background
from dife_gui.deciding import keys_of
from dife_gui.escape import explained
from dife_gui.feed import POLL_MILLISECONDS, Detail, Feed, detail
from dife_gui.links import finding_of
from dife_gui.listing import Asked, Lister, Listing
from dife_gui.memory import Session
from dife_gui.timers import single_shot
from dife_gui.views.around import Around
from dife_gui.views.commands import Commands, Parts
from dife_gui.views.compare import Comparing
from dife_gui.views.deploying import Deploying
from dife_gui.views.describing import Describing
from dife_gui.views.desk import Desk
from dife_gui.views.dropping import Dropping
from dife_gui.views.exporting import Exporting
from dife_gui.views.frame import Frame
from dife_gui.views.keys import bound
from dife_gui.views.looks import Looks
from dife_gui.views.pages import Pages
from dife_gui.views.queue_desk import QueueDesk
from dife_gui.views.session import begin, return_to, shown_now
from dife_scanner.errors import DifeError, UsageError
from dife_scanner.records import ModelRow
from dife_scanner.store import models

_TYPING_MILLISECONDS = 150
"""After a filter was asked for: somebody types on, and a page that is built meanwhile would keep the list waiting."""


class Window(QMainWindow):
    """Reads in the background whenever the feed says so; one reading at a time, never two of the same."""

    settled = Signal()
    """What was requested is on screen."""

    def __init__(self, home: Path, *, milliseconds: int = POLL_MILLISECONDS) -> None:
        super().__init__()
        self._wanted: int | None = None
        """The job whose details are to be shown."""
        self._listing: Listing | None = None
        """What the list shows."""
        self._kept: int | None = None
        """The job that was selected before something else was asked for: selected again where it is in the list."""
        self._sought: int | None = None
        """A job to be selected once the list is read anew."""
        self._before: Session | None = None
        """What the last window showed, where this one is to come back to it."""
        self._reading_detail = False
        self._detail_due = False
        """Whether the selected model is to be read once what keeps from it is over."""
        self._typing = single_shot(self, _TYPING_MILLISECONDS, self._go_on_with_detail)
        self.setWindowTitle("DIFE Scanner")
        self.frame = Frame(home)
        self.filter, self.detail = self.frame.filter, self.frame.detail
        self.table, self.models = self.frame.table, self.frame.models
        self._background = Background(home, self)
        self.feed = Feed(home, self, milliseconds=milliseconds)
        self.lister = Lister(home, self.table, self.models.in_sight, self.models.held, self)
        self.around = Around(home, self.frame, self._background, self)
        self.queue = QueueDesk(home, self._background, lambda: self.around.is_watched, self)
        self.desk = Desk(home, self.frame, self._background, self)
        self.deploying = Deploying(
            home, self.frame, self._background, lambda: self.filter.text, self
        )
        self.describing = Describing(home, self._background, self, self)
        self.comparing = Comparing(self._background, self)
        self.exporting = Exporting(home, lambda: self.filter.text, self)
        self.dropping = Dropping(home, self._background, lambda: self.around.is_watched, self)
        self.setAcceptDrops(True)
        self.pages = Pages(self.frame, self.queue, self.describing)
        self.setCentralWidget(self.pages)
        self.setStatusBar(self.around.status)
        self._connect()
        self.looks = Looks(home, self.frame, self)
        self.looks.said.connect(self.around.say)
        parts = Parts(
            frame=self.frame,
            pages=self.pages,
            queue=self.queue,
            desk=self.desk,
            deploying=self.deploying,
            describing=self.describing,
            dropping=self.dropping,
            around=self.around,
            looks=self.looks,
            comparing=self.comparing,
            exporting=self.exporting,
            feed=self.feed,
        )
        self.commands = Commands(parts, bound(keys_of(home)), self)

    def _connect(self) -> None:
        self._connect_list()
        self.feed.changed.connect(self._changed)
        self.feed.looked.connect(self.around.show_time)
        self.feed.replaced.connect(self._background.reopen)
        self.feed.replaced.connect(self.lister.reopen)
        self.feed.failed.connect(self._show_failure)
        self.around.also = self._look_at_page
        self.around.shown.connect(self._show_around)
        self.around.status.filter_requested.connect(self._filter_for)
        self.around.failed.connect(self._show_failure)
        self.frame.export_button.clicked.connect(self.exporting.ask)
        self.frame.empty.requested.connect(self._leave_empty)
        self.frame.first_start.watch.connect(self.around.start_watcher)
        self.frame.first_start.demo.connect(self.around.start_demo)
        self.desk.changed.connect(self._read_detail)
        self.deploying.changed.connect(self._read_detail)
        self._connect_describing()
        self.desk.go_to.connect(self.go_to)
        for part in (
            self.queue,
            self.desk,
            self.deploying,
            self.describing,
            self.dropping,
            self.comparing,
            self.exporting,
        ):
            part.said.connect(self.around.say)

    def _connect_describing(self) -> None:
        describing, deploying = self.describing, self.deploying
        describing.changed.connect(self._read_detail)
        self.detail.describe_asked.connect(describing.describe)
        self.frame.decide_button.describe.triggered.connect(lambda _=False: describing.describe())
        deploying.describe_asked.connect(
            lambda: describing.describe(deploying.turn_to, deploying.dialog)
        )

    def _look_at_page(self) -> None:
        """Read what a page shows that is in sight besides the models."""
        self.queue.look()
        self.describing.look()

    def _connect_list(self) -> None:
        self.filter.applied.connect(lambda _: self._ask())
        self.filter.left.connect(self.frame.to_table)
        self.table.sorted_by.connect(lambda _: self._ask())
        self.table.wanted.connect(self._read_lines)
        self.lister.found.connect(self._show_listing)
        self.lister.failed.connect(self._listing_failed)
        self.lister.busy.connect(self.filter.show_busy)
        self.models.chosen.connect(self._choose)
        self.models.opened.connect(self.frame.open_detail)
        self.detail.left.connect(self.frame.to_table)
        self.frame.back.clicked.connect(self.frame.to_table)

    def go_on(self) -> None:
        """Begin as the last window ended, and keep how this one ends. To be called before it is shown."""
        session = self.looks.keep(partial(shown_now, self, self.pages, self.frame))
        if session == Session():
            return
        begin(session, self, self.frame)
        self._kept = session.job
        self._before = session
        self.settled.connect(self._return, Qt.ConnectionType.SingleShotConnection)

    def _return(self) -> None:
        if self._before is not None:
            return_to(self._before, self.pages, self.frame)

    def start(self) -> None:
        """Begin to look at the store."""
        self.feed.start()
        self.desk.start()
        self.models.setFocus()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.looks.close()
        self.desk.close()
        self.exporting.close()
        self.describing.close()
        self.frame.first_start.close_process()
        self._typing.stop()
        self.feed.close()
        self.lister.close()
        self._background.close()
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if self.dropping.is_meant(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self.dropping.scan(event.mimeData())

    # --- the list ---

    def _ask(self) -> None:
        """Show another filter or order; the selected model stays selected where it is in the list."""
        if self._kept is None:
            self._kept = self.models.current_job
        if self._listing is not None:
            self._typing.start()
        self.lister.ask(Asked(self.filter.text, self.table.order))

    def _changed(self) -> None:
        """Something was written: look at the list again, and at what stands around it."""
        if self._listing is None:
            self._ask()
        else:
            self.lister.look_again()
            self.around.look_soon()

    def _show_listing(self, found: Listing) -> None:
        self._listing = found
        self.frame.trouble.show_text("")
        self.filter.show_count(found.found, found.total, whole=found.whole)
        self._choose_kept(found)
        self.desk.show_listing(found)
        self.frame.show_empty(found, self.around.overview)
        if found.whole:
            self._read_detail()
        if found.whole and self.around.overview is None:
            self.around.look()  # the list and the selected model come first

    def go_to(self, job_id: int) -> None:
        """Select a model, once it is read again what the filter lets through now."""
        self._sought = job_id
        self._ask()

    def _filter_for(self, filter: str) -> None:
        """List what a filter lets through, whatever page is in sight."""
        self.pages.show_models()
        self.filter.set_text(filter)

    def answer(self, link: str) -> None:
        """Another window was started on this home: come to the front, and show what it was to show."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.raise_()
        self.activateWindow()
        if link:
            self.open_link(link)

    def open_link(self, link: str) -> None:
        """Select the finding that a link names, whatever the filter; say so where there is none."""
        self._before = None
        try:
            fingerprint = finding_of(link)
        except DifeError as error:
            self.around.say(explained(error))
            return
        self._background.read(
            lambda store: models.model_rows(store, filter=f'finding:"{fingerprint}"', limit=1),
            lambda rows: self._show_linked(fingerprint, rows),
            self._show_failure,
        )

    def _show_linked(self, fingerprint: str, rows: list[ModelRow]) -> None:
        if not rows:
            self.around.say(f"There is no finding {fingerprint} here")
            return
        self.pages.show_models()
        self.filter.set_text("")
        self.go_to(rows[0].job.id)

    def _choose_kept(self, found: Listing) -> None:
        """Select what was selected before something else was asked for, or else the first."""
        if self._sought is not None and found.whole:
            sought, self._sought = self._sought, None
            if self.models.choose(sought):
                self._kept = None
                return
            self.around.say("It is done; the filter hides that model")
        if self._kept is not None and self.models.choose(self._kept):
            self._kept = None
        elif found.whole or self._kept is None:  # what is sought or kept may be further down
            is_gone = self._kept is not None
            self._kept = None
            if found.found and (is_gone or self.models.current_job is None):
                self.models.choose(self.table.key(0))

    def _listing_failed(self, error: DifeError) -> None:
        if isinstance(error, UsageError):
            self.filter.show_problem(explained(error))
        else:
            self._show_failure(error)

    def _read_lines(self, keys: list[int]) -> None:
        """Read lines that came into sight."""
        self._background.read(
            lambda store: models.rows_of(store, keys), self.table.fill, self._show_failure
        )

    def _show_around(self) -> None:
        if self._listing is not None:
            self.frame.show_empty(self._listing, self.around.overview)
        self._settle()

    def _settle(self) -> None:
        """Say so where list, selected model and what stands around them are on screen."""
        shown = self.detail.detail
        is_shown = self._wanted is None or (shown is not None and shown.row.job.id == self._wanted)
        if (
            is_shown
            and not self._detail_due
            and self.around.overview is not None
            and self.lister.is_idle
        ):
            self.settled.emit()

    def _show_failure(self, error: DifeError) -> None:
        self.frame.trouble.show_text(explained(error))
        if self.table.rowCount() == 0:
            self.frame.empty.show_reason("The store cannot be read", error.what)

    def _leave_empty(self) -> None:
        """What the button in place of the table does."""
        around = self.around.overview
        if around is not None and around.total:
            self.filter.set_text("")
        else:
            self.around.start_watcher()

    # --- one model ---

    def _choose(self, job_id: int | None) -> None:
        if job_id is None and self._kept is not None:
            return  # it is being looked for, and may be selected again
        self._wanted = job_id
        if job_id is None:
            self.detail.show_detail(None)
            self.filter.show_why(())
        else:
            self._read_detail()

    def _read_detail(self) -> None:
        """Read the selected model: at once, or once after the reading that runs or the typing that goes on."""
        job_id = self._wanted
        self._detail_due = job_id is not None and (self._reading_detail or self._typing.isActive())
        if job_id is None:
            self._settle()
        if job_id is None or self._detail_due:
            return
        self._reading_detail = True
        filter = self.filter.text
        self._background.read(
            lambda store: detail(store, job_id, filter), self._show_detail, self._detail_failed
        )

    def _go_on_with_detail(self) -> None:
        if self._detail_due:
            self._read_detail()

    def _show_detail(self, found: Detail) -> None:
        self._reading_detail = False
        # Somebody may have gone on to the next model while it was read.
        if found.row.job.id == self._wanted:
            self.detail.show_detail(found)
            self.filter.show_why(found.why)
            self._settle()
        self._go_on_with_detail()

    def _detail_failed(self, error: DifeError) -> None:
        self._reading_detail = False
        self.frame.trouble.show_text(explained(error))
        self._go_on_with_detail()
