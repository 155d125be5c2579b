"""What is on the screen: pages, lines, filter and marks. Knows no terminal."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from dife_scanner.cli.top.desk import Desk, InFull, Listed, Overview, Pace
from dife_scanner.cli.top.keys import actions, bound
from dife_scanner.cli.top.prompt import Prompt
from dife_scanner.errors import DifeError, UsageError
from dife_scanner.records import DeploymentDecision, Finding, Job
from dife_scanner.store.upcoming import Upcoming


class Page(StrEnum):
    """What is shown."""

    OVERVIEW = "overview"
    QUEUE = "queue"
    FINDINGS = "findings"
    IN_FULL = "in full"
    HELP = "help"


PAGES = (Page.OVERVIEW, Page.QUEUE, Page.FINDINGS)
"""Those that a number shows, from 1."""


class Screen:
    """The state of the screen. `press` takes a key, `look` reads what the page shows."""

    def __init__(self, desk: Desk, filter: str = "") -> None:
        self.desk = desk
        self.keys = bound(desk.settings.keys)
        self._actions = actions(self.keys)
        self.page = Page.FINDINGS if filter else Page.OVERVIEW
        self.filter = filter
        self.is_filtered = bool(filter)
        self.overview: Overview | None = None
        self.queue: Upcoming | None = None
        self.pace = Pace(1, None)
        self.listed = Listed("", (), 0, {})
        self.in_full: InFull | None = None
        self.every_number = False
        self.at = dict.fromkeys(Page, 0)
        """By page, the selected line, or the first one in sight where nothing is selected."""
        self.lines = dict.fromkeys(Page, 0)
        """By page, how many there are; known once it was drawn."""
        self.screen = 1
        """Lines that can be seen at once."""
        self.marks: dict[str, int] = {}
        """Marked findings, and the latest event that was seen of each."""
        self.marked_last = ""
        self.prompt: Prompt | None = None
        self.message = ""
        self.is_alarm = False
        self.drawn_now: Callable[[], None] = lambda: None
        """Draws the screen at once, for work that goes on before the next key."""
        self.ended = False
        self._before = self.page
        self._acts: list[int] = []
        """What was decided in this run and not taken back, oldest first."""
        self._undone: list[int] = []
        """Acts that took something back since the last decision, oldest first."""
        self.made_for_deployments: list[tuple[DeploymentDecision, ...]] = []
        """What was decided for deployments in this run and not taken back, act by act."""

    # --- keys ---

    def press(self, key: str) -> None:
        """Act on a key; what goes wrong becomes a message."""
        self.message = ""
        try:
            if self.prompt is not None:
                self._answer(key)
            elif key in self._actions:
                getattr(self, self._actions[key])()
        except DifeError as error:
            self.tell(error)

    def _answer(self, key: str) -> None:
        prompt, self.prompt = self.prompt, None
        assert prompt is not None
        if not prompt.press(key):
            self.prompt = prompt
        elif key == "esc" or (prompt.yes_or_no and key not in ("y", "Y")):
            self.say("left as it was")

    def tell(self, error: DifeError) -> None:
        """Show an error at the foot of the screen."""
        self.say(f"{error.what}; {error.advice}" if error.advice else error.what, alarm=True)

    def say(self, text: str, *, alarm: bool = False) -> None:
        self.message, self.is_alarm = text, alarm

    def show_progress(self, text: str) -> None:
        """Say how far something is that goes on."""
        self.say(text)
        self.drawn_now()

    # --- reading ---

    def look(self) -> None:
        """Read what the page shows; what cannot be read leaves what was there."""
        try:
            self._look()
        except DifeError as error:
            self.tell(error)

    def _look(self) -> None:
        if self.page is Page.OVERVIEW:
            self.overview = self.desk.overview()
        elif self.page is Page.QUEUE:
            self.queue, self.pace = self.desk.queue(), self.desk.pace()
        elif self.page is Page.IN_FULL and self.in_full is not None:
            finding = self.in_full.found.finding
            assert finding is not None
            self.in_full = self.desk.in_full(finding.fingerprint)
        self._list()

    def _list(self) -> None:
        """Read the findings; the selected one stays selected where it is still listed."""
        chosen = self.selected
        self.listed = self.desk.findings(self.filter if self.is_filtered else "")
        names = [one.fingerprint for one in self.listed.rows]
        if chosen is not None and chosen.fingerprint in names:
            self.at[Page.FINDINGS] = names.index(chosen.fingerprint)
        self.lines[Page.FINDINGS] = len(names)
        self._go(Page.FINDINGS, self.at[Page.FINDINGS])

    @property
    def selected(self) -> Finding | None:
        """The finding that is shown in full, or else the selected one of the list."""
        if self.page is Page.IN_FULL and self.in_full is not None:
            return self.in_full.found.finding
        rows = self.listed.rows
        at = self.at[Page.FINDINGS]
        return rows[at] if 0 <= at < len(rows) else None

    @property
    def waiting_job(self) -> Job | None:
        """The selected job of the queue, where it waits."""
        if self.queue is None:
            return None
        at = self.at[Page.QUEUE] - len(self.queue.working)
        return self.queue.waiting[at].job if 0 <= at < len(self.queue.waiting) else None

    @property
    def stuck_job(self) -> Job | None:
        """The selected job of the queue, where it ended without help to go on."""
        if self.queue is None:
            return None
        at = self.at[Page.QUEUE] - len(self.queue.working) - len(self.queue.waiting)
        return self.queue.stuck[at] if 0 <= at < len(self.queue.stuck) else None

    # --- moving ---

    def _go(self, page: Page, at: int) -> None:
        self.at[page] = max(0, min(at, self.lines[page] - 1))

    def _move(self, step: int) -> None:
        self._go(self.page, self.at[self.page] + step)

    def next_line(self) -> None:
        self._move(1)

    def previous_line(self) -> None:
        self._move(-1)

    def page_down(self) -> None:
        self._move(max(1, self.screen - 1))

    def page_up(self) -> None:
        self._move(-max(1, self.screen - 1))

    def first_line(self) -> None:
        self._go(self.page, 0)

    def last_line(self) -> None:
        self._go(self.page, self.lines[self.page] - 1)

    # --- pages ---

    def _show(self, page: Page) -> None:
        self.page = page
        self._look()

    def show_overview(self) -> None:
        self._show(Page.OVERVIEW)

    def show_queue(self) -> None:
        self._show(Page.QUEUE)

    def show_findings(self) -> None:
        self._show(Page.FINDINGS)

    def _turn(self, step: int) -> None:
        place = PAGES.index(self.page) if self.page in PAGES else PAGES.index(Page.FINDINGS)
        self._show(PAGES[(place + step) % len(PAGES)])

    def next_page(self) -> None:
        self._turn(1)

    def previous_page(self) -> None:
        self._turn(-1)

    def open(self) -> None:
        """The selected finding in full; there, every number or the short form."""
        if self.page is Page.IN_FULL:
            self.every_number = not self.every_number
            self.at[Page.IN_FULL] = 0
        elif self.page is Page.FINDINGS and self.selected is not None:
            self.in_full = self.desk.in_full(self.selected.fingerprint)
            self.at[Page.IN_FULL] = 0
            self.page = Page.IN_FULL
        elif self.page is Page.OVERVIEW:
            self.show_findings()

    def back(self) -> None:
        if self.page is Page.HELP:
            self.page = self._before
        elif self.page is Page.IN_FULL:
            self.show_findings()
        else:
            self.marks.clear()

    def show_help(self) -> None:
        if self.page is not Page.HELP:
            self._before, self.page = self.page, Page.HELP

    def refresh(self) -> None:
        self._look()

    def quit(self) -> None:
        if self.page is Page.HELP:
            self.back()
        else:
            self.ended = True

    # --- filter and marks ---

    def ask_filter(self) -> None:
        self.prompt = Prompt("Filter", self._apply, self.filter)

    def _apply(self, text: str) -> None:
        try:
            self.desk.findings(text)
        except UsageError:
            self.prompt = Prompt("Filter", self._apply, text)  # to be put right
            raise
        self.filter, self.is_filtered = text, bool(text)
        self.at[Page.FINDINGS] = 0
        self.show_findings()

    def switch_filter(self) -> None:
        self.is_filtered = bool(self.filter) and not self.is_filtered
        self._look()

    def mark(self) -> None:
        if self.page is Page.FINDINGS and self.selected is not None:
            name = self.selected.fingerprint
            if name in self.marks:
                del self.marks[name]
            else:
                self.marks[name] = self.listed.seen[name]
            self.marked_last = name
            self.next_line()

    def mark_range(self) -> None:
        if self.page is not Page.FINDINGS or self.selected is None:
            return
        names = [one.fingerprint for one in self.listed.rows]
        here = self.at[Page.FINDINGS]
        start = names.index(self.marked_last) if self.marked_last in names else here
        for name in names[min(start, here) : max(start, here) + 1]:
            self.marks[name] = self.listed.seen[name]
        self.marked_last = names[here]
