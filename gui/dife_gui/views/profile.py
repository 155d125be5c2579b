"""The exposure profile in groups: a line per interface, a heat cell with number and word, and intervals beside it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from dife_gui.escape import tooltip
from dife_gui.views import theme
from dife_gui.views.card import row, stack
from dife_gui.views.text import Label
from dife_scanner.records import Absent, Cell, Change, Entry, NotEvaluable, SelectorControl
from dife_scanner.reports import groups, plain, words

_CUTS = (-0.05, 0.25)
"""Where entry types change; the constants of the audit's contract, drawn and named in the legend."""


class HeatCell(QWidget):
    """A number and its word on a warm, blue or neutral ground; hatched, with its word, where there is no number."""

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry = entry
        sentence = words.entry_sentence(entry)
        self.setAccessibleName(plain(sentence, limit=600))
        self.setToolTip(tooltip(f"{sentence} {self._meaning()}"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Minimum)

    @property
    def texts(self) -> tuple[str, str]:
        """Number and word, or the word alone."""
        if isinstance(self._entry, Cell):
            return words.signed(self._entry.delta), self._entry.entry.value
        return self._entry.word, ""

    def _meaning(self) -> str:
        if isinstance(self._entry, Cell):
            return f"({self._entry.entry.value}: {words.ENTRY_MEANING[self._entry.entry]}.)"
        return f"({words.LINE_MEANING[self._entry.word]}.)"

    def sizeHint(self) -> QSize:
        widest = max(
            QFontMetricsF(self._word_font()).horizontalAdvance(text)
            for text in ("artefact missing", "selector control")
        )
        return QSize(round(widest + theme.em(self)), round(2.5 * theme.em(self)))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def _word_font(self) -> QFont:
        return theme.sized(0.88)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area, radius = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.gap(0.25)
        if not isinstance(self._entry, Cell):
            self._paint_word(painter, area, radius)
            return
        ground = theme.heat(self._entry.entry, self._entry.delta, theme.colours(self.palette()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(area, radius, radius)
        painter.setPen(theme.text_on(ground))
        number, word = self.texts
        upper, lower = QRectF(area), QRectF(area)
        upper.setBottom(area.center().y() + area.height() * 0.06)
        lower.setTop(upper.bottom() - area.height() * 0.04)
        painter.setFont(theme.sized(1.1, bold=True))
        painter.drawText(upper, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom, number)
        painter.setFont(self._word_font())
        painter.drawText(lower, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, word)

    def _paint_word(self, painter: QPainter, area: QRectF, radius: float) -> None:
        palette = self.palette()
        painter.setPen(QPen(theme.hairline(palette), 1.0))
        painter.setBrush(palette.color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(area, radius, radius)
        theme.hatch(painter, area, theme.hairline(palette), theme.em(self) * 0.45)
        word = self.texts[0]
        painter.setFont(theme.sized(0.95, bold=True))
        box = QRectF(QFontMetricsF(painter.font()).boundingRect(word)).adjusted(-5, -1, 5, 1)
        box.moveCenter(area.center())
        painter.fillRect(box, palette.color(QPalette.ColorRole.Base))
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
            self._main, self._trigger = Change(entry.delta, entry.delta_interval), entry.trigger
            said = words.delta_text(entry)
            said = f"{said}; {parts}" if (parts := words.parts_text(entry)) else said
        else:
            said = f"Δ drift {words.change_text(entry.drift)}"
        self.setAccessibleName(plain(f"Intervals of {entry.interface}: {said}"))
        self.setToolTip(tooltip(said))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def marks(self) -> tuple[tuple[Change, str], ...]:
        """What is drawn, line by line from the top, and in which shape."""
        drawn = ((self._main, "main"), (self._trigger, "dot"), (self._drift, "square"))
        return tuple((change, shape) for change, shape in drawn if change is not None)

    def sizeHint(self) -> QSize:
        return QSize(round(10 * theme.em(self)), self._height())

    def minimumSizeHint(self) -> QSize:
        return QSize(round(6 * theme.em(self)), self._height())

    def _height(self) -> int:
        return round((0.5 + 0.6 * len(self.marks)) * theme.em(self))

    def x(self, value: float) -> float:  # type: ignore[override]
        """Pixel of a difference; values beyond the axis end at its ends."""
        margin = theme.em(self) * 0.4
        share = (min(max(value, -1.0), 1.0) + 1) / 2
        return margin + share * (self.width() - 2 * margin)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        step, half = self.height() / (len(self.marks) + 0.2), theme.em(self) * 0.3
        axis, faint = theme.hairline(self.palette()), theme.muted(self.palette())
        for value, style in ((0.0, Qt.PenStyle.SolidLine), *((c, Qt.PenStyle.DotLine) for c in _CUTS)):
            painter.setPen(QPen(faint, 1.0, style))
            painter.drawLine(QLineF(self.x(value), half * 0.4, self.x(value), self.height() - half * 0.4))
        for line, (change, shape) in enumerate(self.marks):
            middle = step * (line + 0.6)
            painter.setPen(QPen(axis, 1.0))
            painter.drawLine(QLineF(self.x(-1), middle, self.x(1), middle))
            self._draw(painter, change, shape, middle, half if shape == "main" else half * 0.7)

    def _draw(self, painter: QPainter, change: Change, shape: str, middle: float, half: float) -> None:
        ink = self.palette().color(QPalette.ColorRole.Text)
        low, high = self.x(change.interval.low), self.x(change.interval.high)
        painter.setPen(QPen(ink, max(1.5, theme.em(self) / 10) if shape == "main" else 1.0))
        painter.drawLine(QLineF(low, middle, high, middle))
        for end in (low, high):
            painter.drawLine(QLineF(end, middle - half, end, middle + half))
        at = QPointF(self.x(change.value), middle)
        if shape == "square":
            painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
            painter.drawRect(QRectF(at.x() - half * 0.8, at.y() - half * 0.8, half * 1.6, half * 1.6))
            return
        painter.setBrush(ink)
        painter.drawEllipse(at, half * 0.75, half * 0.75)


class Section(QWidget):
    """A title that opens and closes what stands below it; the summary beside it says what is inside."""

    def __init__(self, shelf: groups.Shelf, body: QWidget, *, opened: bool) -> None:
        super().__init__()
        self._name = f"{shelf.title}: {shelf.summary}"
        self._body = body
        self.toggle = QToolButton()
        self.toggle.setText(shelf.title)
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggle.setAutoRaise(True)
        self.toggle.setFont(theme.sized(1.0, bold=True))
        summary = Label(shelf.summary, tone="alarm" if shelf.exposed else "muted", wrap=False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.3))
        layout.addWidget(row([self.toggle, summary]))
        layout.addWidget(body)
        self.toggle.clicked.connect(lambda: self.open(not self.opened))
        self.open(opened)

    @property
    def opened(self) -> bool:
        return not self._body.isHidden()

    def open(self, opened: bool) -> None:
        self._body.setVisible(opened)
        self.toggle.setAccessibleName(f"{self._name}; {'open' if opened else 'closed'}")
        self.toggle.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)


def exposure_profile(profile: Sequence[Entry]) -> QWidget:
    """The whole profile of one checkpoint in groups, with its legend.

    The first group is open from the start, of the others their summary says what is inside; selector controls stand
    apart.
    """
    parts: list[QWidget] = []
    for place, shelf in enumerate(groups.shelves(profile)):
        parts.append(Section(shelf, _lines(shelf.entries), opened=place == 0))
    legend = Label(
        "Difference over the reference with its 95 % interval, from −1 to +1; dotted: the cuts at −0.05 and +0.25. "
        "Thinner, below: Δ trigger (dot), the same checkpoint with and without the trigger; Δ drift (square), the "
        "clean query here and in the reference. Hatched entries have no number and never count as zero.",
        tone="muted",
        font=theme.sized(0.88),
    )
    return stack([*parts, legend], spacing=0.5)


def _lines(entries: Sequence[Entry]) -> QWidget:
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(theme.gap(0.6), 0, 0, 0)
    grid.setHorizontalSpacing(theme.gap(0.7))
    grid.setVerticalSpacing(theme.gap(0.35))
    grid.setColumnStretch(0, 4)
    grid.setColumnStretch(2, 7)
    previous = ""
    for line, entry in enumerate(entries):
        name = entry.interface if entry.interface != previous else ""
        previous = entry.interface
        title = _title(name, entry.metric if isinstance(entry, Cell | SelectorControl) else "")
        for column, part in enumerate((title, HeatCell(entry), _beside(entry))):
            grid.addWidget(part, line, column, Qt.AlignmentFlag.AlignVCenter)
    return holder


def _beside(entry: Entry) -> QWidget:
    if isinstance(entry, Cell):
        return _measured(entry)
    return _controlled(entry) if isinstance(entry, SelectorControl) else _absent(entry)


def _title(interface: str, metric: str) -> QWidget:
    parts = [Label(interface)] if interface else []
    if metric:
        parts.append(Label(metric, tone="muted", font=theme.sized(0.88)))
    return stack(parts, spacing=0.0)


def _measured(cell: Cell) -> QWidget:
    drawings = words.count(cell.attack.drawings, cell.attack.unit)
    against = f"{words.number(cell.attack.value)} against {words.number(cell.reference.value)}"
    labels = [Label(f"{against} · n {cell.attack.n:,}, {drawings}", tone="muted", font=theme.sized(0.88))]
    changes = (("Δ trigger", cell.trigger), ("Δ drift", cell.drift))
    parts = " · ".join(f"{name} {words.signed(change.value)}" for name, change in changes if change)
    if parts:
        labels.append(Label(parts, tone="muted", font=theme.sized(0.88)))
    for label in labels:
        label.setToolTip(tooltip(f"{words.cell_sentence(cell)} {words.parts_text(cell)}"))
    return stack([Whisker(cell), *labels], spacing=0.05)


def _controlled(control: SelectorControl) -> QWidget:
    against = f"{words.number(control.suspect.value)} here, {words.number(control.reference.value)} in the reference"
    text = f"{against}; drift {words.change_text(control.drift)}"
    label = Label(text, tone="muted", font=theme.sized(0.88))
    label.setToolTip(tooltip(words.entry_sentence(control)))
    return stack([Whisker(control), label], spacing=0.05)


def _absent(entry: Absent) -> QWidget:
    label = Label(words.without_number(entry) or words.LINE_MEANING[entry.word], tone="muted")
    label.setToolTip(tooltip(words.entry_sentence(entry)))
    if not isinstance(entry, NotEvaluable):
        return label
    return stack([Label(entry.category.value), label], spacing=0.0)
