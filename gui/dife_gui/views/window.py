"""The window: a list above, one model in full below, and what runs around them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QProcess, QProcessEnvironment, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.background import Background
from dife_gui.deciding import Deciding, Wish, subject_of_jobs, subject_of_list
from dife_gui.escape import explained
from dife_gui.feed import (
    POLL_MILLISECONDS,
    QUICK_FILTERS,
    Detail,
    Feed,
    Overview,
    detail,
    is_alive,
    overview,
    poll_failure,
)
from dife_gui.listing import Asked, Lister, Listing
from dife_gui.memory import Memory, View, load, save
from dife_gui.models.models_table import ModelsTable
from dife_gui.views import theme
from dife_gui.views.asking import Asking
from dife_gui.views.bulk import DecideButton
from dife_gui.views.compare import Comparing
from dife_gui.views.detail import DetailPane
from dife_gui.views.filter_box import FilterBox
from dife_gui.views.keys import KEYS, Help
from dife_gui.views.palette import Command, Palette
from dife_gui.views.queue_desk import QueueDesk
from dife_gui.views.record import copy, identifiers
from dife_gui.views.saved_views import ViewsButton, columns_button
from dife_gui.views.status import Banner, Empty, Status, changed_bases_text, dead_letters_text
from dife_gui.views.table import ModelsView
from dife_scanner.errors import DifeError, UsageError
from dife_scanner.records import TriageState
from dife_scanner.sentences.numbers import capital
from dife_scanner.store import models, outbox, triage

_TABLE_LINES = 16
_DETAIL_LINES = 30
"""Heights in lines of text that table and details begin with; the details take what is left."""
_LEAST_LINES = 5
_MESSAGE_MILLISECONDS = 5000
"""How long a message stays in the status line."""
_SAVE_MILLISECONDS = 1000
"""After the last change of the columns, until they are remembered."""
_FIRST_EXPIRE_MILLISECONDS = 5000
"""Until acceptances are looked at that ran out: what is to be seen comes first."""
_EXPIRE_MILLISECONDS = 600_000
"""Between two such looks: they count in days."""
_AROUND_MILLISECONDS = 1000
"""Between two readings of what stands around the list: it counts over all audits."""


class Window(QMainWindow):
    """Reads in the background whenever the feed says so; one reading at a time, never two of the same."""

    settled = Signal()
    """What was requested is on screen."""

    def __init__(self, home: Path, *, milliseconds: int = POLL_MILLISECONDS) -> None:
        super().__init__()
        self._home = home
        self._wanted: int | None = None
        """The job whose details are to be shown."""
        self._reading = False
        self._overview: Overview | None = None
        self._listing: Listing | None = None
        """What the list shows."""
        self._kept: int | None = None
        """The job that was selected before something else was asked for: selected again where it is in the list."""
        self._memory = load(home)
        self._save_soon = self._timer(_SAVE_MILLISECONDS, self._remember)
        self._around_soon = self._timer(_AROUND_MILLISECONDS, self._read_around)
        self._expiring = self._timer(_FIRST_EXPIRE_MILLISECONDS, self._expire)
        self._background = Background(home, self)
        self._deciding = Deciding(home, self._background, self)
        self.queue = QueueDesk(home, self._background, self._is_watched, self)
        self.comparing = Comparing(self._background, self)
        self.asking = Asking(self._background, self._deciding, self)
        self.feed = Feed(home, self, milliseconds=milliseconds)
        self._build()
        self._connect()
        self._use_memory()

    def _timer(self, milliseconds: int, then: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(then)
        return timer

    def _build(self) -> None:
        self.setWindowTitle("DIFE Scanner")
        self.filter = FilterBox()
        self.table = ModelsTable(self)
        self.models = ModelsView(self.table)
        self.lister = Lister(self._home, self.table, self.models.in_sight, self.models.held, self)
        self.views = ViewsButton()
        self.filter.tools.addWidget(self.views)
        self.filter.tools.addWidget(columns_button(self.models.columns_menu))
        self.queue_button = _queue_button()
        self.filter.tools.addWidget(self.queue_button)
        self.decide_button = DecideButton()
        self.filter.tools.addWidget(self.decide_button)
        self.empty = Empty()
        self.empty.show_reason("Reading…", "")
        self.detail = DetailPane()
        self.back = _back_button()
        self.dead_letters = Banner("Try again")
        self.trouble = Banner()
        self.hub = Banner()
        self.changed_bases = Banner()
        self.status = Status(self._home)
        self.setStatusBar(self.status)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.models)
        self.splitter = self._split(self._stack, self.detail)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._centre())
        self._pages.addWidget(self.queue.page)
        self.setCentralWidget(self._pages)

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

    def _centre(self) -> QWidget:
        """Filter, notices, and the table with the details."""
        centre = QWidget()
        layout = QVBoxLayout(centre)
        side = theme.gap(0.7)
        layout.setContentsMargins(side, theme.gap(0.6), side, 0)
        layout.setSpacing(theme.gap(0.5))
        for part in (self.filter, self.trouble, self.hub, self.changed_bases, self.dead_letters):
            layout.addWidget(part)
        layout.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.splitter, 1)
        return centre

    def _connect(self) -> None:
        self.feed.changed.connect(self._changed)
        self.feed.looked.connect(self._time_passed)
        self.feed.replaced.connect(self._background.reopen)
        self.feed.replaced.connect(self.lister.reopen)
        self.feed.failed.connect(self._show_failure)
        self.filter.applied.connect(lambda _: self._ask())
        self.filter.used.connect(self._note_filter)
        self.table.sorted_by.connect(lambda _: self._ask())
        self.table.wanted.connect(self._read_lines)
        self.lister.found.connect(self._show_listing)
        self.lister.failed.connect(self._listing_failed)
        self.lister.busy.connect(self.filter.show_busy)
        self.models.laid_out.connect(self._save_soon.start)
        self.views.chosen.connect(self._show_view)
        self.views.named.connect(self._save_view)
        self.views.forgotten.connect(self._forget_view)
        self.filter.left.connect(self._to_table)
        self.models.chosen.connect(self._choose)
        self.models.opened.connect(self.open_detail)
        self.detail.left.connect(self._to_table)
        self.back.clicked.connect(self._to_table)
        self.queue_button.clicked.connect(self.show_queue)
        self.queue.said.connect(self._say)
        self.comparing.said.connect(self._say)
        self.queue.page.left.connect(self.show_models)
        self.detail.triage.decided.connect(self._deciding.keep)
        self._deciding.kept.connect(self._decided)
        self._deciding.refused.connect(self._not_decided)
        self._deciding.said.connect(self._say)
        self.asking.said.connect(self._say)
        self.asking.kept.connect(self._clear_marks)
        self.asking.closed.connect(self.models.setFocus)
        self.table.marked.connect(lambda _: self._count_marks())
        self.decide_button.connect_to(
            self._about_marked, self._about_shown, self._clear_marks, self.undo
        )
        self.dead_letters.requested.connect(self._revive)
        self.status.start_requested.connect(self.start_watcher)
        self.empty.requested.connect(self._leave_empty)
        for key in KEYS:
            for sequence in key.sequences:
                QShortcut(QKeySequence(sequence), self, getattr(self, key.action))

    def start(self) -> None:
        """Begin to look at the store."""
        self.feed.start()
        self._expiring.start()
        self.models.setFocus()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._save_soon.isActive():
            self._remember()
        self._expiring.stop()
        self.feed.close()
        self.lister.close()
        self._background.close()
        super().closeEvent(event)

    # --- the list ---

    def _ask(self) -> None:
        """Show another filter or order; the selected model stays selected where it is in the list."""
        if self._kept is None:
            self._kept = self.models.current_job
        self.lister.ask(Asked(self.filter.text, self.table.order))

    def _changed(self) -> None:
        """Something was written: look at the list again, and at what stands around it."""
        if self._listing is None:
            self._ask()
        else:
            self.lister.look_again()
            if not self._around_soon.isActive():
                self._around_soon.start()

    def _show_listing(self, found: Listing) -> None:
        self._listing = found
        self.trouble.show_text("")
        self.filter.show_count(found.found, found.total, whole=found.whole)
        self._choose_kept(found)
        self._count_marks()
        self._show_empty()
        if found.whole:
            self._read_detail()
        if found.whole and self._overview is None:
            self._read_around()  # the list and the selected model come first

    def _choose_kept(self, found: Listing) -> None:
        """Select what was selected before something else was asked for, or else the first."""
        if self._kept is not None and self.models.choose(self._kept):
            self._kept = None
        elif found.whole and (self._kept is not None or self.models.current_job is None):
            self._kept = None
            if found.found:
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

    # --- how it is looked at ---

    def _use_memory(self) -> None:
        self.models.set_layout(self._memory.layout)
        self.views.show_views(self._memory.views)
        self.filter.line.set_before(self._memory.filters)

    def _change_memory(self, memory: Memory) -> None:
        self._memory = memory
        self.views.show_views(memory.views)
        self.filter.line.set_before(memory.filters)
        self._save_soon.start()

    def _remember(self) -> None:
        self._save_soon.stop()
        self._memory = replace(self._memory, layout=self.models.layout_now())
        save(self._home, self._memory)

    def _note_filter(self, text: str) -> None:
        self._change_memory(self._memory.with_filter(text))

    def _show_view(self, view: View) -> None:
        self.models.set_layout(view.layout)
        self.filter.set_text(view.filter)
        self._save_soon.start()

    def _save_view(self, name: str) -> None:
        view = View(name, self.filter.written, self.models.layout_now())
        self._change_memory(self._memory.with_view(view))
        self.status.showMessage(f"View saved: {name}", _MESSAGE_MILLISECONDS)

    def _forget_view(self, name: str) -> None:
        self._change_memory(self._memory.without_view(name))

    # --- what stands around it ---

    def _read_around(self) -> None:
        """Read what stands around the list; one reading at a time."""
        if self._reading:
            self._around_soon.start()
            return
        self._reading = True
        self._background.read(overview, self._show_overview, self._reading_failed)
        self.queue.look()

    def _show_overview(self, found: Overview) -> None:
        self._reading = False
        self._overview = found
        self.status.show_overview(found)
        self.hub.show_text(_poll_notice(found))
        self.changed_bases.show_text(changed_bases_text(found.changed))
        self.dead_letters.show_text(dead_letters_text(found.dead))
        self._show_empty()
        self._settle()

    def _settle(self) -> None:
        """Say so where list, selected model and what stands around them are on screen."""
        shown = self.detail.detail
        is_shown = self._wanted is None or (shown is not None and shown.row.job.id == self._wanted)
        if is_shown and self._overview is not None and self.lister.is_idle:
            self.settled.emit()

    def _time_passed(self) -> None:
        """A watcher that falls silent changes nothing in the store; only the clock shows it."""
        if self._overview is not None:
            self.status.show_overview(self._overview)

    def _reading_failed(self, error: DifeError) -> None:
        self._reading = False
        self._show_failure(error)

    def _show_failure(self, error: DifeError) -> None:
        self.trouble.show_text(explained(error))
        if self.table.rowCount() == 0:
            self.empty.show_reason("The store cannot be read", error.what)

    def _show_empty(self) -> None:
        """In place of a list without lines: why it has none. Only a whole reading says that there is none."""
        found, around = self._listing, self._overview
        if found is None:
            return
        self._stack.setCurrentWidget(self.models if found.found else self.empty)
        self.detail.setVisible(bool(found.found))
        if found.found:
            return
        self.back.hide()
        self._stack.show()
        if found.total:
            hidden = "The filter hides the only one."
            if found.total > 1:
                hidden = f"The filter hides all {found.total:,}."
            self.empty.show_reason("No model matches", hidden, "Clear the filter")
        elif around is not None and is_alive(around.watcher):
            self.empty.show_reason(
                "No models yet", "A watcher is running; what its first poll finds appears here."
            )
        else:
            why = f"No watcher has filled {self._home}. Start one here, or run “dife demo” to see a whole run."
            self.empty.show_reason("No models yet", why, "Start watcher")

    def _leave_empty(self) -> None:
        """What the button in place of the table does."""
        if self._overview is not None and self._overview.total:
            self.filter.set_text("")
        else:
            self.start_watcher()

    def _is_watched(self) -> bool:
        return self._overview is not None and is_alive(self._overview.watcher)

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
        job_id = self._wanted
        if job_id is None:
            self._settle()
            return
        filter = self.filter.text
        self._background.read(
            lambda store: detail(store, job_id, filter),
            self._show_detail,
            self._detail_failed,
        )

    def _show_detail(self, found: Detail) -> None:
        # Somebody may have gone on to the next model while it was read.
        if found.row.job.id == self._wanted:
            self.detail.show_detail(found)
            self.filter.show_why(found.why)
            self._settle()

    def _detail_failed(self, error: DifeError) -> None:
        self.trouble.show_text(explained(error))

    # --- deciding ---

    def _decided(self, wish: Wish) -> None:
        for fingerprint in wish.about:
            self.detail.triage.accepted(fingerprint)
        self._read_detail()

    def _not_decided(self, _: Wish, error: DifeError) -> None:
        """Say why; where somebody else was quicker, show what they did, and let it be decided again."""
        if self.asking.dialog is None:
            self.detail.triage.show_problem(explained(error))
            self._read_detail()

    def _about_marked(self, state: TriageState | None = None) -> None:
        jobs = tuple(self.table.marks)
        self.asking.ask(lambda store: subject_of_jobs(store, jobs), state)

    def _about_shown(self) -> None:
        if self._listing is not None:
            filter, count = self._listing.asked.filter, self._listing.found
            self.asking.ask(lambda store: subject_of_list(store, filter, count))

    def _clear_marks(self) -> None:
        self.table.set_marks(self.table.marks, on=False)

    def _count_marks(self) -> None:
        shown = self._listing.found if self._listing else 0
        self.decide_button.show_counts(len(self.table.marks), shown)

    def _expire(self) -> None:
        """Let acceptances end whose day has passed; where nothing can be written, whoever can does so."""
        self._background.write(triage.expire, lambda _: None, lambda _: None)
        self._expiring.start(_EXPIRE_MILLISECONDS)

    def _say(self, text: str) -> None:
        self.status.showMessage(text, _MESSAGE_MILLISECONDS)

    def _revive(self) -> None:
        """Have the alerts sent again that no channel took."""
        self._background.write(
            lambda store: outbox.revive(store),
            lambda _: self.refresh(),
            self._show_failure,
        )

    # --- what keys and buttons do ---

    def refresh(self) -> None:
        """Read the store again."""
        self.feed.refresh()

    def focus_filter(self) -> None:
        """Go to the filter box."""
        self.show_models()
        self.filter.line.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.line.selectAll()

    def switch_filter(self) -> None:
        """The filter off, or on again."""
        self.filter.switch()

    def focus_note(self) -> None:
        """Go to the note of a decision, where there is a finding."""
        note = self.detail.triage.note
        if note.isVisible() and self._is_list:
            self.detail.ensureWidgetVisible(note)
            note.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def confirm(self) -> None:
        """Confirm the selected finding."""
        self._decide(TriageState.CONFIRMED)

    def false_positive(self) -> None:
        """Call the selected finding a false positive."""
        self._decide(TriageState.FALSE_POSITIVE)

    def accept_risk(self) -> None:
        """Accept the risk of the selected finding."""
        self._decide(TriageState.ACCEPTED_RISK)

    def take_on(self) -> None:
        """Note that somebody is looking at the selected finding."""
        self._decide(TriageState.TRIAGING)

    def decide_about_many(self) -> None:
        """Decide about all marked models at once, or all shown where none is marked."""
        if not self._is_list:
            return
        if self.table.marks:
            self._about_marked()
        else:
            self._about_shown()

    def compare(self) -> None:
        """Two marked models side by side, or the marked one beside the selected one."""
        chosen = self.models.current_job
        jobs = sorted(self.table.marks, key=self._place)
        if len(jobs) == 1 and chosen is not None and chosen not in jobs:
            jobs.append(chosen)
        if len(jobs) != 2 or not self._is_list:
            self._say("Mark two models to compare them: Space")
            return
        self.comparing.show(jobs[0], jobs[1])

    def _place(self, job: int) -> int:
        """Where a marked job stands in the list; one that is not shown comes last."""
        index = self.table.place_of(job)
        return index.row() if index.isValid() else self.table.rowCount()

    def undo(self) -> None:
        """Take back the last decision of this window."""
        self._deciding.undo()

    def _decide(self, state: TriageState) -> None:
        """Decide about the marked models, or else the selected one once it is shown: keys may outrun the page."""
        if not self._is_list:
            return
        if self.table.marks:
            self._about_marked(state)
            return
        shown = self.detail.detail
        if shown is None or shown.row.job.id != self.models.current_job:
            return
        if shown.finding is None:
            self._say("The selected model has no finding")
            return
        self.detail.triage.decide(state)
        if self.detail.triage.note.hasFocus():
            self.detail.ensureWidgetVisible(self.detail.triage.note)

    def copy_model(self) -> None:
        """Put the selected model's id and revision on the clipboard."""
        if self.detail.detail is not None:
            copy(identifiers(self.detail.detail)[0][1])

    def show_queue(self) -> None:
        """What runs, what waits and why, what is stuck."""
        self._pages.setCurrentWidget(self.queue.page)
        self.queue.page.view.setFocus()
        self.queue.look()

    def show_models(self) -> None:
        """The list of models."""
        self._pages.setCurrentIndex(0)
        self.models.setFocus()

    def retry(self) -> None:
        """On the queue page: queue the selected job again, where it is stuck."""
        if self.queue.page.isVisible():
            self.queue.page.ask_again()

    def put_first(self) -> None:
        """On the queue page: let the selected job go first."""
        if self.queue.page.isVisible():
            self.queue.page.ask_first()

    def pause(self) -> None:
        """On the queue page: pause the queue, or let it go on."""
        if self.queue.page.isVisible():
            self.queue.page.ask_pause()

    @property
    def _is_list(self) -> bool:
        """Whether the models are in sight: nothing is decided about what is not."""
        return not self.queue.page.isVisible()

    def show_palette(self) -> None:
        """Find a command by its words."""
        commands = [
            Command(capital(key.does), getattr(self, key.action), key.shown)
            for key in KEYS
            if key.action and key.action != "show_palette"
        ]
        for name, text in QUICK_FILTERS:
            commands.append(Command(f"Filter: {name}", partial(self.filter.set_text, text)))
        for view in self._memory.views:
            commands.append(Command(f"View: {view.name}", partial(self._show_view, view)))
        palette = Palette(commands, self)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.chosen.connect(lambda command: command.run())
        palette.open()

    def show_help(self) -> None:
        """Show the keys."""
        Help(self).exec()

    def open_detail(self) -> None:
        """The selected model over the whole window; Escape brings the table back."""
        if self.detail.detail is not None:
            self._stack.hide()
            self.back.show()
            self.detail.setFocus()

    def _to_table(self) -> None:
        self.back.hide()
        self._stack.show()
        self.models.setFocus()

    def start_watcher(self) -> None:
        """`dife watch` on the same state directory, living on after this window."""
        started, _ = _watch_process(self._home).startDetached()
        if started:
            self.status.showMessage(
                "Watcher started; it writes to logs/watch.log", _MESSAGE_MILLISECONDS
            )
        else:
            self.trouble.show_text(
                f"A watcher could not be started from here. Run: DIFE_HOME={self._home} dife watch"
            )


def _queue_button() -> QToolButton:
    button = QToolButton()
    button.setText("Queue")
    button.setToolTip("What runs, what waits and why, what is stuck (2)")
    button.setAccessibleName("Queue")
    button.setAutoRaise(True)
    return button


def _back_button() -> QToolButton:
    button = QToolButton()
    button.setText("‹ All models")
    button.setToolTip("Back to the table (Esc)")
    button.setAccessibleName("Back to all models")
    button.setAutoRaise(True)
    button.hide()
    return button


def _poll_notice(found: Overview) -> str:
    """The notice about the last pass over the hub; empty where it went well."""
    failure = poll_failure(found)
    if not failure:
        return ""
    return f"The last poll failed: {failure}. It is tried again by itself."


def _watch_process(home: Path) -> QProcess:
    """`dife watch`, not started yet, of the environment that this window runs in."""
    name = "dife.exe" if os.name == "nt" else "dife"
    environment = QProcessEnvironment.systemEnvironment()
    environment.insert("DIFE_HOME", str(home))
    process = QProcess()
    process.setProcessEnvironment(environment)
    process.setProgram(str(Path(sys.executable).with_name(name)))
    process.setArguments(["watch"])
    log = str(home / "logs" / "watch.log")
    process.setStandardOutputFile(log, QProcess.OpenModeFlag.Append)
    process.setStandardErrorFile(log, QProcess.OpenModeFlag.Append)
    return process
