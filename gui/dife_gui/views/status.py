"""Around the table: what runs, what waits, what failed, and why a table is empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStatusBar,
    QVBoxLayout,
    QWidget,
)

from dife_gui.escape import tooltip
from dife_gui.feed import Overview, poll_failure
from dife_gui.views import theme
from dife_gui.views.text import Elided, Label
from dife_scanner.durable import clock
from dife_scanner.records import Alert, Finding, JobState
from dife_scanner.sentences import plain
from dife_scanner.sentences.calibration import tally_text
from dife_scanner.sentences.findings import finding_sentence, finding_title
from dife_scanner.sentences.numbers import count, number
from dife_scanner.sentences.times import age_text, time_text
from dife_scanner.store.polls import is_alive

_COUNTED = (
    JobState.AUDITING,
    JobState.DOWNLOADING,
    JobState.QUEUED,
    JobState.RETRY_WAIT,
    JobState.PAUSED,
    JobState.QUARANTINED,
    JobState.FAILED,
    JobState.LIMIT_EXCEEDED,
    JobState.REFUSED,
    JobState.DONE,
)
"""What is in work, then what ended without a verdict and needs somebody; then what is done."""

_BARRED = (
    JobState.UNSUPPORTED,
    JobState.GATED,
    JobState.PRIVATE,
    JobState.DISABLED,
    JobState.DELETED,
)
"""What cannot be audited as it is, and is no fault: told apart, with a click that lists it."""
_DATE = len("2026-11-23")
_NAME = 80
"""Characters of a model's name that are shown."""


def watcher_text(overview: Overview, now: datetime) -> str:
    """`Watcher running (heard 3 s ago)`, `Watcher not running (last heard 2 h ago)`."""
    beat = overview.watcher
    if beat is None:
        return "Watcher not running"
    age = age_text(beat.at, now)
    if is_alive(beat):
        return f"Watcher running (heard {age})"
    return f"Watcher not running (last heard {age})"


def queue_text(counts: Mapping[str, int]) -> str:
    """`1 auditing · 12 queued · 3 failed · 40 done`; `counts` are jobs per state."""
    parts: list[str] = []
    for state in _COUNTED:
        amount = counts.get(state.value, 0)
        if amount:
            parts.append(f"{amount:,} {state.value.replace('-', ' ')}")
    return " · ".join(parts) or "queue empty"


def barred(counts: Mapping[str, int]) -> dict[JobState, int]:
    """How many models cannot be audited, by why; states that none is in are left out."""
    return {state: counts[state.value] for state in _BARRED if counts.get(state.value)}


def barred_text(found: Mapping[JobState, int]) -> str:
    """`5 unsupported, 2 gated`."""
    return ", ".join(f"{number:,} {state.value}" for state, number in found.items())


def barred_filter(found: Mapping[JobState, int]) -> str:
    """Lets through what was counted, and nothing else."""
    return " | ".join(f"state:{state.value}" for state in found)


def overview_text(overview: Overview) -> str:
    """The queue, what cannot be audited, and what the audits so far come to."""
    closed = barred_text(barred(overview.counts))
    queue = " · ".join(text for text in (queue_text(overview.counts), closed) if text)
    if not overview.tally.audited:
        return queue
    return f"{queue} · {tally_text(overview.tally)}"


def short_text(overview: Overview) -> str:
    """The same in as few words, what matters most first: `1 flagged, at most 0.36 by chance · 12 queued · 40 done`."""
    found = overview.tally
    queue = queue_text(overview.counts)
    if not found.audited:
        return queue
    parts = [f"{found.flagged:,} flagged"]
    if found.rated:
        parts.append(f"at most {number(found.expected, 2)} by chance")
    if found.anomalous:
        parts.append(f"{found.anomalous:,} anomalous")
    return f"{', '.join(parts)} · {queue}"


def coverage_text(overview: Overview, now: datetime) -> str:
    """Up to when new models are known: `Last complete poll 3 min ago`, `Blind since 02:14: no watcher runs`."""
    why = ""
    if not is_alive(overview.watcher):
        why = "no watcher runs"
    elif poll_failure(overview):
        why = "the last poll failed"
    if not overview.last_poll:
        return f"No complete poll yet: {why}" if why else "No complete poll yet"
    if not why:
        return f"Last complete poll {age_text(overview.last_poll, now)}"
    since = time_text(overview.last_poll)
    today = time_text(now.isoformat())[:_DATE]
    return f"Blind since {since.removeprefix(today).strip()}: {why}"


class _Dot(QWidget):
    """Full while a watcher lives, an empty ring when none does; the words next to it say the same."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.alive = False
        side = round(theme.em(self) * 0.8)
        self.setFixedSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.alive:
            color = theme.colours(self.palette()).calm
            painter.setBrush(color)
        else:
            color = theme.muted(self.palette())
            painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, 1.5))
        inset = self.width() * 0.2
        area = self.rect().toRectF()
        painter.drawEllipse(area.adjusted(inset, inset, -inset, -inset))


class _Count(QPushButton):
    """A button that does not keep the window from getting narrow: where it has no room, it is hidden."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())


class Status(QStatusBar):
    """One line: watcher, queue, last poll; offers to start a watcher when none runs."""

    start_requested = Signal()
    """The button was pressed."""
    filter_requested = Signal(str)
    """The models are to be listed that this filter lets through."""

    def __init__(self, home: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Status")
        self.setSizeGripEnabled(False)
        self.setContentsMargins(theme.gap(0.5), 0, theme.gap(0.7), theme.gap(0.1))
        self._dot = _Dot()
        small = theme.sized(0.92)
        self._watcher = Label(wrap=False, font=small)
        self._watcher.setAccessibleName("Watcher")
        self._watcher.setToolTip(tooltip(f"State directory {home}"))
        self._queue = Elided(font=small, tone="muted")
        self._queue.setAccessibleName("Queue")
        self._poll = Label(wrap=False, font=small, tone="muted")
        self._poll.setAccessibleName("Last poll")
        self.start = QPushButton("Start watcher")
        self.start.setAccessibleName("Start watcher")
        self.start.setFont(small)
        self.start.setAutoDefault(False)
        self.start.clicked.connect(self.start_requested)
        self.start.hide()
        self._barred: dict[JobState, int] = {}
        self.barred = _Count()
        self.barred.setFont(small)
        self.barred.setFlat(True)
        self.barred.setAutoDefault(False)
        self.barred.clicked.connect(
            lambda _=False: self.filter_requested.emit(barred_filter(self._barred))
        )
        self.barred.hide()
        self._offers_start = False
        self.messageChanged.connect(lambda _: self._show_buttons())
        self.addWidget(self._dot)
        self.addWidget(self._watcher)
        self.addWidget(self.start)
        self.addWidget(self._queue, 1)
        self.addWidget(self.barred)
        self.addPermanentWidget(self._poll)

    def show_overview(self, overview: Overview) -> None:
        """Show a reading, with ages as of now."""
        now = clock.moment()
        self._show_watcher(overview, now)
        self._queue.show_text(short_text(overview), overview_text(overview))
        self._show_barred(barred(overview.counts))
        self._show_poll(overview, now)

    def _show_watcher(self, overview: Overview, now: datetime) -> None:
        alive = is_alive(overview.watcher)
        self._dot.alive = alive
        self._dot.setAccessibleName("watcher running" if alive else "watcher not running")
        self._dot.update()
        self._watcher.show_text(watcher_text(overview, now))
        self._offers_start = not alive
        self._show_buttons()

    def _show_barred(self, found: dict[JobState, int]) -> None:
        self._barred = found
        self.barred.setText(f"{sum(found.values()):,} cannot be audited")
        self.barred.setAccessibleName(self.barred.text())
        self.barred.setToolTip(f"{barred_text(found)}. A click lists them" if found else "")
        self._show_buttons()

    def _show_buttons(self) -> None:
        """A message has the whole line as long as it stands: what is shown meanwhile would lie over it."""
        is_free = not self.currentMessage()
        self.start.setVisible(self._offers_start and is_free)
        self.barred.setVisible(bool(self._barred) and is_free and self._has_room())

    def _has_room(self) -> bool:
        """Whether the button fits beside what must not be cut; else the queue's tooltip says the same."""
        beside = [self._dot, self._watcher, self._poll, self.barred]
        if self._offers_start:
            beside.append(self.start)
        return sum(part.sizeHint().width() + theme.gap(0.7) for part in beside) < self.width()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_buttons()

    def _show_poll(self, overview: Overview, now: datetime) -> None:
        self._poll.show_text(coverage_text(overview, now))
        if overview.poller is not None:
            self._poll.setToolTip(
                tooltip(f"{time_text(overview.poller.at)}: {overview.poller.note}")
            )


class Banner(QFrame):
    """Something that needs a person, with one thing to do about it; hidden otherwise."""

    requested = Signal()
    """The button was pressed."""

    def __init__(self, button: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Notice")
        self._text = Label(tone="caution")
        layout = QHBoxLayout(self)
        across = theme.gap(0.7)
        down = theme.gap(0.35)
        layout.setContentsMargins(across, down, across, down)
        layout.addWidget(self._text, 1)
        if button:
            ask = QPushButton(button)
            ask.setAccessibleName(button)
            ask.setAutoDefault(False)
            ask.clicked.connect(self.requested)
            layout.addWidget(ask)
        self.hide()

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def show_text(self, text: str) -> None:
        """Empty text hides it."""
        self._text.show_text(text)
        self.setVisible(bool(text))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        base = theme.base_color(self.palette())
        caution = theme.colours(self.palette()).caution
        radius = theme.gap(0.35)
        painter.setPen(QPen(caution, 1.0))
        painter.setBrush(theme.mixed(base, caution, 0.08))
        painter.drawRoundedRect(theme.frame(self), radius, radius)


def dead_letters_text(dead: tuple[Alert, ...]) -> str:
    """How many alerts nobody got, where they were going and the channel's last error."""
    if not dead:
        return ""
    channels = sorted({alert.channel for alert in dead})
    kept = "It is kept." if len(dead) == 1 else "They are kept."
    text = f"{count(len(dead), 'alert')} could not be delivered ({', '.join(channels)}). {kept}"
    if dead[-1].last_error:
        text += f" Last answer: {dead[-1].last_error}"
    return text


def changed_bases_text(changed: tuple[Finding, ...]) -> str:
    """The latest clean base that changed, with what to do; the others are counted. No model's row can show it."""
    if not changed:
        return ""
    latest = changed[0]
    title = finding_title(latest, latest.ref.repo_id)
    decide = f"`dife triage {latest.fingerprint} STATE` notes what you decide"
    text = f"{title}. {finding_sentence(latest)} {decide}."
    if len(changed) > 1:
        text += f" And {len(changed) - 1} more: `dife findings kind:changed` lists them."
    return text


def unaudited_text(overview: Overview) -> str:
    """The revision that waits longest for its audit, of a model that was approved here; empty where there is none."""
    job = overview.unaudited
    if job is None:
        return ""
    name = f"{plain(job.ref.repo_id, _NAME)}@{job.ref.revision[:12]}"
    since = time_text(job.created_at)
    return (
        f"{name} is not audited since {since} ({job.state.value}). An earlier revision was approved here: "
        "what was decided about that one says nothing about this one."
    )


class Empty(QWidget):
    """In place of a table without rows: why, and what to do; `more` stands below."""

    requested = Signal()
    """The button was pressed."""

    def __init__(self, more: QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = Label(font=theme.sized(1.2, bold=True))
        self._why = Label(tone="muted")
        self._button = QPushButton()
        self._button.setAutoDefault(False)
        self._button.clicked.connect(self.requested)
        layout = QVBoxLayout(self)
        across = theme.gap(2)
        down = theme.gap(1.5)
        layout.setContentsMargins(across, down, across, down)
        layout.setSpacing(theme.gap(0.6))
        layout.addStretch(1)
        for label in (self._title, self._why):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            layout.addWidget(label)
        layout.addWidget(self._button, 0, Qt.AlignmentFlag.AlignHCenter)
        if more is not None:
            layout.addWidget(more, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(2)

    @property
    def texts(self) -> tuple[str, str, str]:
        """Title, reason and button."""
        return (
            self._title.text(),
            self._why.text(),
            self._button.text(),
        )

    def show_reason(
        self,
        title: str,
        why: str,
        button: str = "",
    ) -> None:
        """Say why there is nothing; without text the button is hidden."""
        self._title.show_text(title)
        self._why.show_text(why)
        self._button.setText(button)
        self._button.setAccessibleName(button)
        self._button.setVisible(bool(button))
