"""The exposure profile: one line per interface, as a heat cell with number and word, and the interval beside it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from dife_gui.escape import tooltip
from dife_gui.views import theme
from dife_gui.views.card import stack
from dife_gui.views.text import Label
from dife_scanner.records import Absent, Cell, Entry, NotEvaluable, SelectorControl
from dife_scanner.reports import plain, words

EXPOSED_CUT, NEGATIVE_CUT = 0.25, -0.05
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
    """The difference as a dot with its 95 % interval, on an axis from −1 to +1 with the cuts marked."""

    def __init__(self, cell: Cell, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cell = cell
        self.setAccessibleName(plain(f"Interval of {cell.interface}: {words.delta_text(cell)}"))
        self.setToolTip(tooltip(f"{words.delta_text(cell)}, {cell.delta_interval.method}"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(round(10 * theme.em(self)), round(1.1 * theme.em(self)))

    def minimumSizeHint(self) -> QSize:
        return QSize(round(6 * theme.em(self)), round(1.1 * theme.em(self)))

    def x(self, value: float) -> float:  # type: ignore[override]
        """Pixel of a difference; values beyond the axis end at its ends."""
        margin = theme.em(self) * 0.4
        share = (min(max(value, -1.0), 1.0) + 1) / 2
        return margin + share * (self.width() - 2 * margin)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, half = self.height() / 2, self.height() * 0.28
        axis, ink = theme.hairline(self.palette()), self.palette().color(QPalette.ColorRole.Text)
        painter.setPen(QPen(axis, 1.0))
        painter.drawLine(QLineF(self.x(-1), middle, self.x(1), middle))
        painter.setPen(QPen(theme.muted(self.palette()), 1.0))
        painter.drawLine(QLineF(self.x(0), middle - half * 1.5, self.x(0), middle + half * 1.5))
        painter.setPen(QPen(theme.muted(self.palette()), 1.0, Qt.PenStyle.DotLine))
        for cut in (NEGATIVE_CUT, EXPOSED_CUT):
            painter.drawLine(QLineF(self.x(cut), middle - half * 1.5, self.x(cut), middle + half * 1.5))
        low, high = self.x(self._cell.delta_interval.low), self.x(self._cell.delta_interval.high)
        painter.setPen(QPen(ink, max(1.5, theme.em(self) / 10)))
        painter.drawLine(QLineF(low, middle, high, middle))
        for end in (low, high):
            painter.drawLine(QLineF(end, middle - half, end, middle + half))
        painter.setBrush(ink)
        painter.drawEllipse(QPointF(self.x(self._cell.delta), middle), half * 0.75, half * 0.75)


def exposure_profile(profile: Sequence[Entry]) -> QWidget:
    """The whole matrix of one checkpoint, with its legend."""
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(theme.gap(0.7))
    grid.setVerticalSpacing(theme.gap(0.35))
    grid.setColumnStretch(0, 4)
    grid.setColumnStretch(2, 7)
    previous = ""
    for line, entry in enumerate(profile):
        name = entry.interface if entry.interface != previous else ""
        previous = entry.interface
        title = _title(name, entry.metric if isinstance(entry, Cell) else "")
        beside = _measured(entry) if isinstance(entry, Cell) else _absent(entry)
        for column, part in enumerate((title, HeatCell(entry), beside)):
            grid.addWidget(part, line, column, Qt.AlignmentFlag.AlignVCenter)
    legend = Label(
        "Difference over the reference with its 95 % interval, from −1 to +1; dotted: the cuts at −0.05 and +0.25. "
        "Below it: with the trigger against the reference. "
        "Hatched cells have no number and never count as zero.",
        tone="muted",
        font=theme.sized(0.88),
    )
    return stack([holder, legend], spacing=0.6)


def _title(interface: str, metric: str) -> QWidget:
    parts = [Label(interface)] if interface else []
    if metric:
        parts.append(Label(metric, tone="muted", font=theme.sized(0.88)))
    return stack(parts, spacing=0.0)


def _measured(cell: Cell) -> QWidget:
    drawings = words.count(cell.attack.drawings, "drawing")
    text = (
        f"{words.number(cell.attack.value)} against {words.number(cell.reference.value)} · "
        f"n {cell.attack.n:,}, {drawings}"
    )
    label = Label(text, tone="muted", font=theme.sized(0.88))
    label.setToolTip(tooltip(words.cell_sentence(cell)))
    return stack([Whisker(cell), label], spacing=0.05)


def _absent(entry: Absent | SelectorControl) -> QWidget:
    label = Label(words.without_number(entry) or words.LINE_MEANING[entry.word], tone="muted")
    label.setToolTip(tooltip(words.entry_sentence(entry)))
    if not isinstance(entry, NotEvaluable):
        return label
    return stack([Label(entry.category.value), label], spacing=0.0)
