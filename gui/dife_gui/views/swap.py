"""Branch swap or component repair: which part carries the effect, as four bars, ratios and the diagnosis in words."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from dife_gui.views import theme
from dife_gui.views.card import grid, stack
from dife_gui.views.text import Label, small
from dife_scanner.figures.bars import RATIOS_TEXT, Bar, Bars, repair_bars, swap_bars
from dife_scanner.records import Audit, BranchSwap, ComponentRepair, Diagnosis
from dife_scanner.sentences.footprint import CARRIER_MEANING, ratios_text, swap_lines
from dife_scanner.sentences.numbers import count, number

_ROOM_INSIDE = 0.4
"""Share of the bar's width from which its number stands inside."""


_INSIDE = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_BESIDE = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class BarView(QWidget):
    """Paints a `Bar` with its number inside or next to it, and the threshold across it."""

    def __init__(self, bar: Bar, threshold: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = bar
        self._threshold = threshold
        self.setAccessibleName(bar.sentence)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return theme.size(self, 12, 1.15)

    def minimumSizeHint(self) -> QSize:
        return theme.size(self, 6, 1.15)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        scheme = theme.colours(self.palette()).figures
        area = QRectF(self.rect())
        radius = theme.gap(0.15)
        ground, fill = QColor(scheme.neutral), QColor(self.bar.fill(scheme))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(area, radius, radius)
        share = min(max(self.bar.share, 0.0), 1.0)
        filled = QRectF(area)
        filled.setWidth(area.width() * share)
        painter.setBrush(fill)
        painter.drawRoundedRect(filled, radius, radius)
        is_inside = filled.width() > area.width() * _ROOM_INSIDE
        ink = theme.text_on(fill if is_inside else ground)
        self._paint_threshold(
            painter, area, theme.text_on(fill if share > self._threshold else ground)
        )
        painter.setPen(ink)
        margin = theme.em(self) * 0.4
        beside = max(filled.width(), area.width() * self._threshold) + margin
        if is_inside:
            painter.drawText(
                filled.adjusted(margin, 0, -margin, 0), _INSIDE, number(self.bar.share)
            )
        else:
            painter.drawText(area.adjusted(beside, 0, -margin, 0), _BESIDE, number(self.bar.share))

    def _paint_threshold(self, painter: QPainter, area: QRectF, ink: QColor) -> None:
        x = area.left() + area.width() * self._threshold
        painter.setPen(QPen(ink, 1.0, Qt.PenStyle.DotLine))
        painter.drawLine(QLineF(x, area.top(), x, area.bottom()))


def branch_swap(audit: Audit) -> QWidget | None:
    """Bars of swap or repair, ratios, diagnosis and agreement; `None` where the audit has none of them."""
    parts: list[QWidget] = []
    if audit.diagnosis is not None:
        parts.append(_verdict(audit.diagnosis))
    for shown in (swap_bars(audit), repair_bars(audit)):
        if shown is not None:
            parts.append(_bars(shown))
    if audit.diagnosis is not None:
        parts.append(_ratios(audit.diagnosis))
    if audit.agreement:
        parts.append(Label(audit.agreement))
    if audit.branch_swap is not None:
        parts.append(small(_swap_note(audit.branch_swap)))
    if audit.repair is not None:
        parts.append(small(_readout(audit.repair)))
    if not parts:
        return None
    return stack(parts, spacing=0.5)


def _verdict(diagnosis: Diagnosis) -> QWidget:
    meaning = CARRIER_MEANING[diagnosis.carrier]
    title = Label(
        f"{diagnosis.carrier.value.capitalize()} footprint: {meaning}.",
        font=theme.sized(1.0, bold=True),
    )
    parts = [title]
    if diagnosis.reason:
        parts.append(Label(diagnosis.reason, tone="muted"))
    return stack(parts, spacing=0.2)


def _bars(shown: Bars) -> QWidget:
    """One line per bar, and what the threshold means."""
    holder, layout = grid(across=0.6, down=0.25)
    layout.setColumnStretch(1, 9)
    layout.setColumnStretch(2, 16)
    for line, bar in enumerate(shown.bars):
        short = Label(bar.name, font=theme.monospace(), wrap=False)
        layout.addWidget(short, line, 0)
        meaning = Label(bar.words, tone="muted", font=theme.sized(0.92))
        layout.addWidget(meaning, line, 1)
        layout.addWidget(BarView(bar, shown.threshold), line, 2)
    text = f"{shown.threshold_text[:1].upper()}{shown.threshold_text[1:]}."
    return stack([holder, small(text)], spacing=0.15)


def _ratios(diagnosis: Diagnosis) -> QWidget:
    text = f"{ratios_text(diagnosis)} · signal {number(diagnosis.signal)}"
    predicted = ", ".join(diagnosis.predicted)
    parts: list[QWidget] = [Label(text), small(f"{RATIOS_TEXT}.")]
    if predicted:
        parts.append(Label(f"Exposure expected through: {predicted}.", tone="muted"))
    return stack(parts, spacing=0.2)


def _readout(measured: BranchSwap | ComponentRepair) -> str:
    """On what the bars were measured."""
    drawings = count(measured.drawings, "drawing")
    return f"Readout {measured.readout}, n {measured.n:,} from {drawings}."


def _swap_note(swap: BranchSwap) -> str:
    sentences = [_readout(swap)]
    if any(swap.mixed_accuracy):
        pairs = ", ".join(number(value) for value in swap.mixed_accuracy)
        sentences.append(f"Clean accuracy of the four pairs, in the same order: {pairs}.")
    sentences += swap_lines(swap)[1:]  # the first says what `_readout` says
    return " ".join(sentences)
