"""The exposure profile in groups: a line per interface, a heat cell with number and word, and intervals next to it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
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
from dife_scanner.figures.intervals import (
    CUTS,
    ENDS,
    LEGEND,
    Drawn,
    Kind,
    intervals,
    intervals_sentence,
    place,
)
from dife_scanner.figures.matrix import Ground, box
from dife_scanner.records import Absent, Cell, Entry, NotEvaluable, SelectorControl
from dife_scanner.sentences import groups, plain
from dife_scanner.sentences.numbers import count, number, signed
from dife_scanner.sentences.profile import (
    LINE_MEANING,
    cell_sentence,
    change_text,
    entry_sentence,
    parts_text,
    without_number,
)

_WIDEST_WORDS = ("artefact missing", "selector control")
"""Of all that can stand in a heat cell; every cell is as wide, so that they stand below each other."""
_AT_BOTTOM = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
_AT_TOP = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop


class HeatCell(QWidget):
    """Paints a `Box`: a number above its word on the colour of its difference, or the word of what has no number."""

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = box(entry)
        self.setAccessibleName(plain(self.box.sentence, limit=600))
        self.setToolTip(tooltip(f"{self.box.sentence} ({self.box.meaning}.)"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Minimum)

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
        fill = self.box.fill(theme.colours(self.palette()).figures)
        if fill is not None:
            self._paint_number(painter, area, QColor(fill))
        else:
            self._paint_word(painter, area)

    def _paint_number(self, painter: QPainter, area: QRectF, ground: QColor) -> None:
        """The number above its word, on a ground that says how much."""
        radius = theme.gap(0.25)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(area, radius, radius)
        painter.setPen(theme.text_on(ground))
        upper = QRectF(area)
        upper.setBottom(area.center().y() + area.height() * 0.06)
        painter.setFont(theme.sized(1.1, bold=True))
        painter.drawText(upper, _AT_BOTTOM, self.box.headline)
        lower = QRectF(area)
        lower.setTop(upper.bottom() - area.height() * 0.04)
        painter.setFont(self._word_font())
        painter.drawText(lower, _AT_TOP, self.box.word)

    def _paint_word(self, painter: QPainter, area: QRectF) -> None:
        """The word in a dashed frame, or on a hatched ground: nothing here can be taken for a zero."""
        palette = self.palette()
        radius = theme.gap(0.25)
        dashed = self.box.ground is Ground.DASHED
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        line = theme.muted(palette) if dashed else theme.hairline(palette)
        painter.setPen(QPen(line, 1.0, style))
        painter.setBrush(theme.base_color(palette))
        painter.drawRoundedRect(area, radius, radius)
        if not dashed:
            step = theme.em(self) * 0.45
            theme.hatch(painter, area, theme.hairline(palette), step=step)
        word = self.box.headline
        painter.setFont(theme.sized(0.95, bold=True))
        metrics = QFontMetricsF(painter.font())
        behind = QRectF(metrics.boundingRect(word))
        behind.adjust(-5, -1, 5, 1)
        behind.moveCenter(area.center())
        painter.fillRect(behind, theme.base_color(palette))
        painter.setPen(theme.muted(palette))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, word)


class Whisker(QWidget):
    """Differences as marks with their 95 % intervals, on an axis from −1 to +1 with the cuts marked.

    The first is Δ over the reference; below it, thinner, Δ trigger and Δ drift as far as the entry has them.
    """

    def __init__(self, entry: Cell | SelectorControl, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.drawn = intervals(entry)
        in_words = intervals_sentence(entry)
        self.setAccessibleName(plain(f"Intervals of {entry.interface}: {in_words}"))
        self.setToolTip(tooltip(in_words))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return theme.size(self, 10, self._lines())

    def minimumSizeHint(self) -> QSize:
        return theme.size(self, 6, self._lines())

    def _lines(self) -> float:
        """Height in lines of text."""
        return 0.5 + 0.6 * len(self.drawn)

    def x(self, value: float) -> float:  # type: ignore[override]
        """Pixel of a difference."""
        margin = theme.em(self) * 0.4
        return margin + place(value) * (self.width() - 2 * margin)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_upright(painter, 0.0, Qt.PenStyle.SolidLine)
        for cut in CUTS:
            self._draw_upright(painter, cut, Qt.PenStyle.DotLine)
        step = self.height() / (len(self.drawn) + 0.2)
        for line, one in enumerate(self.drawn):
            middle = step * (line + 0.6)
            painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
            axis = QLineF(self.x(ENDS[0]), middle, self.x(ENDS[1]), middle)
            painter.drawLine(axis)
            self._draw_interval(painter, one, middle)

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

    def _draw_interval(self, painter: QPainter, one: Drawn, middle: float) -> None:
        """Interval and value, `middle` pixels from the top."""
        color = one.color(theme.colours(self.palette()).figures)
        ink = theme.text_color(self.palette()) if color is None else QColor(color)
        half = theme.em(self) * 0.3
        stroke = max(1.5, theme.em(self) / 10)
        if one.kind is not Kind.REFERENCE:
            half = half * 0.7
            stroke = 1.0
        low = self.x(one.change.interval.low)
        high = self.x(one.change.interval.high)
        painter.setPen(QPen(ink, stroke))
        painter.drawLine(QLineF(low, middle, high, middle))
        for end in (low, high):
            painter.drawLine(QLineF(end, middle - half, end, middle + half))
        at = QPointF(self.x(one.change.value), middle)
        painter.setBrush(ink)
        if one.square:
            side = half * 1.6
            square = QRectF(0, 0, side, side)
            square.moveCenter(at)
            painter.drawRect(square)
        else:
            painter.drawEllipse(at, half * 0.75, half * 0.75)


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
        summary = Label(shelf.summary, tone=tone)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.3))
        layout.addWidget(row([self.toggle, summary], stretch=False))
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
    for at, shelf in enumerate(groups.shelves(profile)):
        is_first = at == 0
        parts.append(Section(shelf, _lines(shelf.entries), opened=is_first))
    legend = small(LEGEND)
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
    parts = [f"{one.kind} {signed(one.change.value)}" for one in intervals(cell)[1:]]
    if parts:
        labels.append(small(" · ".join(parts)))
    for label in labels:
        label.setToolTip(tooltip(f"{cell_sentence(cell)} {parts_text(cell)}"))
    return stack([Whisker(cell), *labels], spacing=0.05)


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
