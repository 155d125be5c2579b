"""What keys and the palette do, by the names that the table of keys gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow

from dife_gui.feed import QUICK_FILTERS, Feed
from dife_gui.links import link_of
from dife_gui.models.compare_table import SHAPES
from dife_gui.views.around import Around
from dife_gui.views.compare import Comparing
from dife_gui.views.deploying import Deploying
from dife_gui.views.describing import Describing
from dife_gui.views.desk import Desk
from dife_gui.views.dropping import Dropping
from dife_gui.views.exporting import Exporting
from dife_gui.views.flip import Flip
from dife_gui.views.frame import Frame
from dife_gui.views.keys import Help, Key
from dife_gui.views.looks import Looks
from dife_gui.views.pages import Pages
from dife_gui.views.palette import Command, Palette
from dife_gui.views.queue_desk import QueueDesk
from dife_gui.views.record import copy, identifiers
from dife_scanner.records import TriageState
from dife_scanner.sentences.numbers import capital

SCHEME_NAMES = {"system": "as the system has them", "light": "light", "dark": "dark"}


@dataclass(frozen=True)
class Parts:
    """The parts of a window that its keys act on."""

    frame: Frame
    pages: Pages
    queue: QueueDesk
    desk: Desk
    deploying: Deploying
    describing: Describing
    dropping: Dropping
    around: Around
    looks: Looks
    comparing: Comparing
    exporting: Exporting
    feed: Feed


class Commands(QObject):
    """Binds the keys of a window, and offers the same in its palette."""

    def __init__(self, parts: Parts, keys: Sequence[Key], window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._parts = parts
        self._keys = keys
        self._does = self._table()
        parts.frame.keys_button.clicked.connect(self._show_help)
        for key in keys:
            for sequence in key.sequences:
                QShortcut(QKeySequence(sequence), window, self._does[key.action])

    def run(self, action: str) -> None:
        """Do what a key with this action does."""
        self._does[action]()

    def _table(self) -> dict[str, Callable[[], object]]:
        parts, desk, page = self._parts, self._parts.desk, self._parts.queue.page
        return {
            "focus_filter": self._focus_filter,
            "switch_filter": parts.frame.filter.switch,
            "copy_model": self._copy_model,
            "copy_link": self._copy_link,
            "focus_note": parts.frame.to_note,
            "confirm": partial(desk.decide, TriageState.CONFIRMED),
            "false_positive": partial(desk.decide, TriageState.FALSE_POSITIVE),
            "accept_risk": partial(desk.decide, TriageState.ACCEPTED_RISK),
            "take_on": partial(desk.decide, TriageState.TRIAGING),
            "decide_about_many": desk.decide_about_many,
            "decide_for_deployment": parts.deploying.decide,
            "take_over": parts.deploying.take_over,
            "mark_alike": parts.deploying.mark_alike,
            "take_back": parts.deploying.take_back,
            "turn_picture": partial(self._on_picture, Flip.turn),
            "enlarge_picture": partial(self._on_picture, Flip.larger),
            "reduce_picture": partial(self._on_picture, Flip.smaller),
            "compare": self._compare,
            "undo": self._undo,
            "redo": desk.redo,
            "scan_pasted": parts.dropping.paste,
            "export": parts.exporting.ask,
            "show_queue": parts.pages.show_queue,
            "show_models": parts.pages.show_models,
            "show_hub": parts.pages.show_hub,
            "show_deployments": parts.pages.show_deployments,
            "describe_deployment": parts.describing.describe,
            "retry": partial(self._in_queue, page.ask_again),
            "put_first": partial(self._in_queue, page.ask_first),
            "pause": partial(self._in_queue, page.ask_pause),
            "show_palette": self._show_palette,
            "refresh": parts.feed.refresh,
            "show_help": self._show_help,
            "close": self._window.close,
        }

    def _undo(self) -> None:
        """Take back the last triage, or say where the last decision was another one."""
        parts = self._parts
        if parts.deploying.latest > parts.desk.deciding.latest:
            key = next(one.shown for one in self._keys if one.action == "take_back")
            parts.around.say(f"The last decision was for a deployment: {key} takes that back")
            parts.deploying.latest = 0  # whoever presses it again means the triage before
        else:
            parts.desk.undo()

    def _focus_filter(self) -> None:
        self._parts.pages.show_models()
        self._parts.frame.to_filter()

    def _copy_model(self) -> None:
        """Put the selected model's id and revision on the clipboard."""
        shown = self._parts.frame.detail.detail
        if shown is not None:
            copy(identifiers(shown)[0][1])

    def _copy_link(self) -> None:
        """Put a link to the selected finding on the clipboard."""
        shown = self._parts.frame.detail.detail
        if shown is not None and shown.finding is not None:
            copy(link_of(shown.finding.fingerprint))
            self._parts.around.say("A link to the finding is on the clipboard")
        else:
            self._parts.around.say("The selected model has no finding")

    def _compare(self) -> None:
        """Marked models side by side; one beside the selected one; the selected one beside base and former revision."""
        parts, frame = self._parts, self._parts.frame
        chosen = frame.models.current_job
        jobs = sorted(frame.table.marks, key=self._place)
        if len(jobs) <= 1 and chosen is not None and chosen not in jobs:
            jobs.append(chosen)
        if not 1 <= len(jobs) <= len(SHAPES) or not frame.isVisible():
            parts.around.say(f"Select a model, or mark up to {len(SHAPES)} to compare them: Space")
            return
        parts.comparing.show(jobs)

    def _place(self, job: int) -> int:
        """Where a marked job stands in the list; one that is not shown comes last."""
        table = self._parts.frame.table
        index = table.place_of(job)
        return index.row() if index.isValid() else table.rowCount()

    def _in_queue(self, does: Callable[[], None]) -> None:
        """Some keys mean something on the queue page alone."""
        if self._parts.queue.page.isVisible():
            does()

    def _on_picture(self, does: Callable[[Flip], None]) -> None:
        """With the picture of the shown model's trigger, or say that there is none."""
        frame = self._parts.frame
        shown = frame.detail.flipped
        if shown is None or not frame.isVisible():
            self._parts.around.say("The selected model has no picture with a trigger")
            return
        does(shown)
        frame.detail.ensureWidgetVisible(shown)

    def _show_help(self) -> None:
        Help(self._keys, self._window).exec()

    def _show_palette(self) -> None:
        """Find a command by its words."""
        palette = Palette(self._commands(), self._window)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.chosen.connect(lambda command: command.run())
        palette.open()

    def _commands(self) -> list[Command]:
        commands = [
            Command(capital(key.does), self._does[key.action], key.shown)
            for key in self._keys
            if key.action and key.action != "show_palette"
        ]
        filter, looks = self._parts.frame.filter, self._parts.looks
        for name, text in QUICK_FILTERS:
            commands.append(Command(f"Filter: {name}", partial(filter.set_text, text)))
        for scheme, colours in SCHEME_NAMES.items():
            commands.append(Command(f"Colours: {colours}", partial(looks.choose, scheme)))
        for view in looks.views:
            commands.append(Command(f"View: {view.name}", partial(looks.show_view, view)))
        return commands
