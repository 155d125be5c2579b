"""The exposure profile in groups: a line per interface, a heat cell with number and word, and intervals next to it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QFont,
    QFontMetricsF,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from dife_gui.escape import tooltip
from dife_gui.views import theme
from dife_gui.views.card import grid, row, stack
from dife_gui.views.text import SMALL, Label, small
from dife_scanner.records import (
    Absent,
    Cell,
    Change,
    Entry,
    NotEvaluable,
    SelectorControl,
)
from dife_scanner.sentences import groups, plain
from dife_scanner.sentences.numbers import count, number, signed
from dife_scanner.sentences.profile import (
    ENTRY_MEANING,
    LINE_MEANING,
    cell_sentence,
    change_text,
    delta_text,
    entry_sentence,
    parts_text,
    without_number,
)

CUTS = (-0.05, 0.25)
"""Where entry types change; the constants of the audit's contract, drawn and named in the legend."""
_WIDEST_WORDS = ("artefact missing", "selector control")
"""Of all that can stand in a heat cell; every cell is as wide, so that they stand below each other."""
_AT_BOTTOM = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
_AT_TOP = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop


class HeatCell(QWidget):
    """A number and its word on a warm, blue or neutral ground; hatched, with its word, where there is no number."""

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry = entry
        sentence = entry_sentence(entry)
        self.setAccessibleName(plain(sentence, limit=600))
        self.setToolTip(tooltip(f"{sentence} {self._meaning()}"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Minimum)

    @property
    def texts(self) -> tuple[str, str]:
        """Number and word, or the word alone."""
        if isinstance(self._entry, Cell):
            return signed(self._entry.delta), self._entry.entry.value
        return self._entry.word, ""

    def _meaning(self) -> str:
        if isinstance(self._entry, Cell):
            return f"({self._entry.entry.value}: {ENTRY_MEANING[self._entry.entry]}.)"
        return f"({LINE_MEANING[self._entry.word]}.)"

    def sizeHint(self) -> QSize:
        metrics = QFontMetricsF(self._word_font())
        widest = max(metrics.horizontalAdvance(text) for text in _WIDEST_WORDS)
        line = theme.em(self)
        return QSize(round(widest + line), round(2.5 * line))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def _word_font(self) -> QFont:
        return theme.sized(SMALL)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = theme.frame(self)
        if isinstance(self._entry, Cell):
            self._paint_number(painter, area, self._entry)
        else:
            self._paint_word(painter, area)

    def _paint_number(
        self,
        painter: QPainter,
        area: QRectF,
        cell: Cell,
    ) -> None:
        """The number above its word, on a ground that says how much."""
        radius = theme.gap(0.25)
        scheme = theme.colours(self.palette())
        ground = theme.heat(cell.entry, cell.delta, scheme)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(area, radius, radius)
        painter.setPen(theme.text_on(ground))
        shown, word = self.texts
        upper = QRectF(area)
        upper.setBottom(area.center().y() + area.height() * 0.06)
        painter.setFont(theme.sized(1.1, bold=True))
        painter.drawText(upper, _AT_BOTTOM, shown)
        lower = QRectF(area)
        lower.setTop(upper.bottom() - area.height() * 0.04)
        painter.setFont(self._word_font())
        painter.drawText(lower, _AT_TOP, word)

    def _paint_word(self, painter: QPainter, area: QRectF) -> None:
        """The word on a hatched ground: nothing here can be taken for a zero."""
        palette = self.palette()
        radius = theme.gap(0.25)
        painter.setPen(QPen(theme.hairline(palette), 1.0))
        painter.setBrush(theme.base_color(palette))
        painter.drawRoundedRect(area, radius, radius)
        color = theme.hairline(palette)
        theme.hatch(painter, area, color, step=theme.em(self) * 0.45)
        word = self.texts[0]
        painter.setFont(theme.sized(0.95, bold=True))
        metrics = QFontMetricsF(painter.font())
        box = QRectF(metrics.boundingRect(word))
        box.adjust(-5, -1, 5, 1)
        box.moveCenter(area.center())
        painter.fillRect(box, theme.base_color(palette))
        painter.setPen(theme.muted(palette))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, word)


class Whisker(QWidget):
    """Differences as dots with their 95 % intervals, on an axis from −1 to +1 with the cuts marked.

    The first is Δ over the reference; below it, thinner, Δ trigger (a dot) and Δ drift (a hollow square) as far as the
    cell has them.
    """

    def __init__(self, entry: Cell | SelectorControl, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._main: Change | None = None
        self._trigger: Change | None = None
        self._drift: Change | None = entry.drift
        if isinstance(entry, Cell):
            self._main = Change(entry.delta, entry.delta_interval)
            self._trigger = entry.trigger
        in_words = _intervals_text(entry)
        self.setAccessibleName(plain(f"Intervals of {entry.interface}: {in_words}"))
        self.setToolTip(tooltip(in_words))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def marks(self) -> tuple[tuple[Change, str], ...]:
        """What is drawn, line by line from the top, and in which shape."""
        possible = (
            (self._main, "main"),
            (self._trigger, "dot"),
            (self._drift, "square"),
        )
        return tuple((change, shape) for change, shape in possible if change is not None)

    def sizeHint(self) -> QSize:
        return theme.size(self, 10, self._lines())

    def minimumSizeHint(self) -> QSize:
        return theme.size(self, 6, self._lines())

    def _lines(self) -> float:
        """Height in lines of text."""
        return 0.5 + 0.6 * len(self.marks)

    def x(self, value: float) -> float:  # type: ignore[override]
        """Pixel of a difference; values beyond the axis end at its ends."""
        margin = theme.em(self) * 0.4
        share = (min(max(value, -1.0), 1.0) + 1) / 2
        return margin + share * (self.width() - 2 * margin)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_upright(painter, 0.0, Qt.PenStyle.SolidLine)
        for cut in CUTS:
            self._draw_upright(painter, cut, Qt.PenStyle.DotLine)
        step = self.height() / (len(self.marks) + 0.2)
        for line, (change, shape) in enumerate(self.marks):
            middle = step * (line + 0.6)
            painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
            axis = QLineF(self.x(-1), middle, self.x(1), middle)
            painter.drawLine(axis)
            self._draw_change(painter, change, shape, middle)

    def _draw_upright(
        self,
        painter: QPainter,
        value: float,
        style: Qt.PenStyle,
    ) -> None:
        """A line over the whole height at one difference."""
        x = self.x(value)
        inset = theme.em(self) * 0.3 * 0.4
        color = theme.muted(self.palette())
        painter.setPen(QPen(color, 1.0, style))
        painter.drawLine(QLineF(x, inset, x, self.height() - inset))

    def _draw_change(
        self,
        painter: QPainter,
        change: Change,
        shape: str,
        middle: float,
    ) -> None:
        """Interval and value, `middle` pixels from the top."""
        ink = theme.text_color(self.palette())
        half = theme.em(self) * 0.3
        stroke = max(1.5, theme.em(self) / 10)
        if shape != "main":
            half = half * 0.7
            stroke = 1.0
        low = self.x(change.interval.low)
        high = self.x(change.interval.high)
        painter.setPen(QPen(ink, stroke))
        painter.drawLine(QLineF(low, middle, high, middle))
        for end in (low, high):
            painter.drawLine(QLineF(end, middle - half, end, middle + half))
        at = QPointF(self.x(change.value), middle)
        if shape == "square":
            side = half * 1.6
            box = QRectF(0, 0, side, side)
            box.moveCenter(at)
            painter.setBrush(theme.base_color(self.palette()))
            painter.drawRect(box)
            return
        painter.setBrush(ink)
        painter.drawEllipse(at, half * 0.75, half * 0.75)


def _intervals_text(entry: Cell | SelectorControl) -> str:
    """What a whisker shows, in words."""
    if not isinstance(entry, Cell):
        return f"Δ drift {change_text(entry.drift)}"
    parts = parts_text(entry)
    if not parts:
        return delta_text(entry)
    return f"{delta_text(entry)}; {parts}"


class Section(QWidget):
    """A title that opens and closes what stands below it; the summary next to it says what is inside."""

    def __init__(
        self,
        shelf: groups.Shelf,
        body: QWidget,
        *,
        opened: bool,
    ) -> None:
        super().__init__()
        self._name = f"{shelf.title}: {shelf.summary}"
        self._body = body
        self.toggle = QToolButton()
        self.toggle.setText(shelf.title)
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggle.setAutoRaise(True)
        self.toggle.setFont(theme.sized(1.0, bold=True))
        tone = "alarm" if shelf.exposed else "muted"
        summary = Label(shelf.summary, tone=tone, wrap=False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.3))
        layout.addWidget(row([self.toggle, summary]))
        layout.addWidget(body)
        self.toggle.clicked.connect(lambda: self.open(not self.opened))
        self.open(opened)

    @property
    def opened(self) -> bool:
        """Whether what stands below the title is shown."""
        return not self._body.isHidden()

    def open(self, opened: bool) -> None:
        """Show or hide what stands below the title."""
        state = "open" if opened else "closed"
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self._body.setVisible(opened)
        self.toggle.setAccessibleName(f"{self._name}; {state}")
        self.toggle.setArrowType(arrow)


def exposure_profile(profile: Sequence[Entry]) -> QWidget:
    """The whole profile of one checkpoint in groups, with its legend.

    The first group is open from the start, of the others their summary says what is inside; selector controls stand
    apart.
    """
    parts: list[QWidget] = []
    for place, shelf in enumerate(groups.shelves(profile)):
        is_first = place == 0
        parts.append(Section(shelf, _lines(shelf.entries), opened=is_first))
    legend = small(
        "Difference over the reference with its 95 % interval, from −1 to +1; dotted: the cuts at −0.05 and +0.25. "
        "Thinner, below: Δ trigger (dot), the same checkpoint with and without the trigger; Δ drift (square), the "
        "clean query here and in the reference. Hatched entries have no number and never count as zero."
    )
    return stack([*parts, legend], spacing=0.5)


def _lines(entries: Sequence[Entry]) -> QWidget:
    """A line for each entry: interface and metric, heat cell, and what stands next to it."""
    holder, layout = grid(across=0.7, down=0.35)
    layout.setContentsMargins(theme.gap(0.6), 0, 0, 0)
    layout.setColumnStretch(0, 4)
    layout.setColumnStretch(2, 7)
    previous = ""
    for line, entry in enumerate(entries):
        interface = entry.interface if entry.interface != previous else ""
        previous = entry.interface
        parts = (_title(interface, entry), HeatCell(entry), _numbers(entry))
        middle = Qt.AlignmentFlag.AlignVCenter
        for column, part in enumerate(parts):
            layout.addWidget(part, line, column, middle)
    return holder


def _numbers(entry: Entry) -> QWidget:
    if isinstance(entry, Cell):
        return _measured(entry)
    if isinstance(entry, SelectorControl):
        return _controlled(entry)
    return _absent(entry)


def _title(interface: str, entry: Entry) -> QWidget:
    """The interface, left out where the line above has the same, and the metric where there is one."""
    parts: list[QWidget] = []
    if interface:
        parts.append(Label(interface))
    if isinstance(entry, Cell | SelectorControl) and entry.metric:
        parts.append(small(entry.metric))
    return stack(parts, spacing=0.0)


def _measured(cell: Cell) -> QWidget:
    drawings = count(cell.attack.drawings, cell.attack.unit)
    against = f"{number(cell.attack.value)} against {number(cell.reference.value)}"
    labels = [small(f"{against} · n {cell.attack.n:,}, {drawings}")]
    parts = _parts(cell)
    if parts:
        labels.append(small(" · ".join(parts)))
    for label in labels:
        label.setToolTip(tooltip(f"{cell_sentence(cell)} {parts_text(cell)}"))
    return stack([Whisker(cell), *labels], spacing=0.05)


def _parts(cell: Cell) -> list[str]:
    """The two changes that the difference over the reference is made of, as far as they were measured."""
    parts: list[str] = []
    if cell.trigger:
        parts.append(f"Δ trigger {signed(cell.trigger.value)}")
    if cell.drift:
        parts.append(f"Δ drift {signed(cell.drift.value)}")
    return parts


def _controlled(control: SelectorControl) -> QWidget:
    here = number(control.suspect.value)
    in_reference = number(control.reference.value)
    drift = change_text(control.drift)
    label = small(f"{here} here, {in_reference} in the reference; drift {drift}")
    label.setToolTip(tooltip(entry_sentence(control)))
    return stack([Whisker(control), label], spacing=0.05)


def _absent(entry: Absent) -> QWidget:
    reason = without_number(entry) or LINE_MEANING[entry.word]
    label = Label(reason, tone="muted")
    label.setToolTip(tooltip(entry_sentence(entry)))
    if not isinstance(entry, NotEvaluable):
        return label
    return stack([Label(entry.category.value), label], spacing=0.0)
