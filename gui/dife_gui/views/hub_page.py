"""The hub: what is watched and how far it is known, the last passes, what waits, the budget and the disk."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from dife_gui.hub import HubReading
from dife_gui.views import theme
from dife_gui.views.card import Card, lines, stack
from dife_gui.views.keys import fixed_action
from dife_gui.views.queue_page import button, pass_text
from dife_gui.views.status import coverage_text, queue_text, unaudited_text, watcher_text
from dife_scanner.durable import clock
from dife_scanner.sentences import plain
from dife_scanner.sentences.jobs import disk_text, throughput_lines
from dife_scanner.sentences.numbers import capital, count
from dife_scanner.sentences.times import span_text, time_text
from dife_scanner.sentences.watching import scope_text, watched_lines
from dife_scanner.store.requests import RequestKind

_MOST_SOURCES = 12
_LINE = 400
_LIMITS = {"api": "API", "resolvers": "files"}
"""The hub's names for what it limits, in words."""


class HubPage(QScrollArea):
    """Emits `asked(kind, job)`; what is asked for is done by whoever watches."""

    asked = Signal(object, object)
    left = Signal()
    """Back to the models."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Hub")
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.back = button("‹ All models")
        self.back.clicked.connect(self.left)
        self.poll = button("Poll now")
        self.poll.clicked.connect(lambda: self.asked.emit(RequestKind.POLL, None))
        self.cards = {
            title: Card(title)
            for title in ("Coverage", "Last passes", "Backlog", "Budget", "Disk", "Models in use")
        }
        self._lay_out()
        self.cards["Coverage"].set_body(lines(["Reading…"]))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.gap(0.4))
        buttons.addWidget(self.back)
        buttons.addWidget(self.poll)
        buttons.addStretch(1)
        page = QWidget()
        layout = QVBoxLayout(page)
        side = theme.gap(0.7)
        layout.setContentsMargins(side, theme.gap(0.6), side, side)
        layout.setSpacing(theme.gap(0.6))
        layout.addLayout(buttons)
        layout.addWidget(stack(list(self.cards.values())))
        layout.addStretch(1)
        self.setWidget(page)

    def show_reading(self, found: HubReading) -> None:
        """Show a reading, with ages as of now."""
        now = clock.moment()
        texts = {
            "Coverage": _coverage(found, now),
            "Last passes": [pass_text(one, now) for one in found.passes] or [pass_text(None, now)],
            "Backlog": _backlog(found),
            "Budget": _budget(found),
            "Disk": [f"{capital(disk_text(found.disk))}."],
            "Models in use": watched_lines(found.in_use)
            or ["No list of models in use is watched."],
        }
        for title, card in self.cards.items():
            card.set_body(lines([plain(text, limit=_LINE) for text in texts[title] if text]))

    def show_problem(self, text: str) -> None:
        """Say why the page cannot be read."""
        self.cards["Coverage"].set_body(lines([text]))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if fixed_action(event) == "back":
            self.left.emit()
        else:
            super().keyPressEvent(event)


def _coverage(found: HubReading, now: datetime) -> list[str]:
    """What is watched, since when nothing new is known, and how far back each source was read."""
    watched = scope_text(found.scope, found.settings.watch.since)
    texts = [
        f"Watched: {watched}, on {found.settings.endpoint}.",
        f"{watcher_text(found.around, now)}. {coverage_text(found.around, now)}.",
        unaudited_text(found.around),
    ]
    for source, reach in list(found.reaches.items())[:_MOST_SOURCES]:
        oldest = f"read back to {time_text(reach.oldest)}" if reach.oldest else "nothing read yet"
        texts.append(f"{source}: {oldest}, {count(reach.pages, 'page')}")
    left = len(found.reaches) - _MOST_SOURCES
    return [*texts, f"and {count(left, 'source')} more"] if left > 0 else texts


def _backlog(found: HubReading) -> list[str]:
    return [
        capital(queue_text(found.around.counts)),
        *map(capital, throughput_lines(found.backlog)),
    ]


def _budget(found: HubReading) -> list[str]:
    """What an audit may cost by the settings, what the newest were made with, and what the hub itself allows."""
    given = found.settings
    workers = count(given.workers, "worker") if given.workers else "a worker for each device"
    most = span_text(given.limits.audit_seconds)
    texts = [f"Settings: budget {given.budget.value}, {workers}; an audit is ended after {most}."]
    made = [f"{number:,} at {budget.value}" for budget, number in found.budgets.items()]
    if made:
        newest = count(sum(found.budgets.values()), "newest audit")
        texts.append(f"In fact, of the {newest}: {', '.join(made)}.")
    if found.seconds is None:
        texts.append("No audit says yet how long one takes.")
    else:
        texts.append(
            f"An audit at {found.budget.value} takes about {span_text(found.seconds)} of late."
        )
    return [*texts, *_limits(found)]


def _limits(found: HubReading) -> list[str]:
    """What the last pass took of the hub's limits, and what the hub's answers said of them."""
    texts = []
    if found.passes and found.passes[0].requests:
        texts.append(f"The last pass made {count(found.passes[0].requests, 'request')} of the hub.")
    for limit, window in found.windows.items():
        if window.quota and window.window:
            texts.append(
                f"The hub allows {window.quota:,} requests of its {_LIMITS.get(limit, limit)} in "
                f"{span_text(window.window)}; "
                f"its last answer left {window.left:,}."
            )
    if not found.windows:
        texts.append("The hub has not said here what it allows.")
    return texts
