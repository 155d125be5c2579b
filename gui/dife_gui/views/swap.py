"""Branch swap or component repair: which part carries the effect, as four bars, ratios and the diagnosis in words."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from dife_gui.views import theme
from dife_gui.views.card import stack
from dife_gui.views.text import Label
from dife_scanner.records import Audit, BranchSwap, Diagnosis
from dife_scanner.reports import words

PAIRS = (
    ("a00", "reference image · reference text"),
    ("a10", "suspect image · reference text"),
    ("a01", "reference image · suspect text"),
    ("a11", "suspect image · suspect text"),
)
REPAIRS = (
    ("clean", "neither prompt nor trigger", "both_clean"),
    ("prompt", "learned prompt only", "prompt_only"),
    ("trigger", "image trigger only", "trigger_only"),
    ("full", "prompt and trigger together", "full"),
)
"""Name, words and field of each variant of a mechanism."""


class Bar(QWidget):
    """A share between 0 and 1 as a bar with its number inside or beside it."""

    def __init__(self, name: str, value: float, *, strong: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value, self._strong = value, strong
        self.setAccessibleName(f"{name}: {words.number(value)}")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(round(12 * theme.em(self)), round(1.15 * theme.em(self)))

    def minimumSizeHint(self) -> QSize:
        return QSize(round(6 * theme.em(self)), round(1.15 * theme.em(self)))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        scheme, area, radius = theme.colours(self.palette()), QRectF(self.rect()), theme.gap(0.15)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(scheme.neutral)
        painter.drawRoundedRect(area, radius, radius)
        filled = QRectF(area)
        filled.setWidth(area.width() * min(max(self._value, 0.0), 1.0))
        fill = scheme.suspect if self._strong else scheme.reference
        painter.setBrush(fill)
        painter.drawRoundedRect(filled, radius, radius)
        inside = filled.width() > area.width() * 0.4
        painter.setPen(theme.text_on(fill if inside else scheme.neutral))
        text = QRectF(filled if inside else area)
        margin = theme.em(self) * 0.4
        text.adjust(margin if inside else filled.width() + margin, 0, -margin, 0)
        side = Qt.AlignmentFlag.AlignRight if inside else Qt.AlignmentFlag.AlignLeft
        painter.drawText(text, side | Qt.AlignmentFlag.AlignVCenter, words.number(self._value))


def branch_swap(audit: Audit) -> QWidget | None:
    """Bars of swap or repair, ratios, diagnosis and agreement; `None` where the audit has none of them."""
    parts: list[QWidget] = []
    if audit.diagnosis is not None:
        parts.append(_verdict(audit.diagnosis))
    if audit.branch_swap is not None:
        swap = audit.branch_swap
        parts.append(_bars([(name, pair, getattr(swap, name)) for name, pair in PAIRS], swap.a00))
    if audit.repair is not None:
        repair = audit.repair
        parts.append(_bars([(name, text, getattr(repair, field)) for name, text, field in REPAIRS], repair.both_clean))
    if audit.diagnosis is not None:
        parts.append(_ratios(audit.diagnosis))
    if audit.agreement:
        parts.append(Label(audit.agreement))
    if audit.branch_swap is not None:
        parts.append(_footnote(audit.branch_swap))
    if audit.repair is not None:
        drawings = words.count(audit.repair.drawings, "drawing")
        text = f"Readout {audit.repair.readout}, n {audit.repair.n:,} from {drawings}."
        parts.append(Label(text, tone="muted", font=theme.sized(0.88)))
    return stack(parts, spacing=0.5) if parts else None


def _verdict(diagnosis: Diagnosis) -> QWidget:
    meaning = words.CARRIER_MEANING[diagnosis.carrier]
    title = Label(f"{diagnosis.carrier.value.capitalize()} footprint: {meaning}.", font=theme.sized(1.0, bold=True))
    return stack([title, Label(diagnosis.reason, tone="muted")] if diagnosis.reason else [title], spacing=0.2)


def _bars(shown: Sequence[tuple[str, str, float]], nothing: float) -> QWidget:
    """One bar per (name, words, share); strong where it stands clearly above `nothing`."""
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(theme.gap(0.6))
    grid.setVerticalSpacing(theme.gap(0.25))
    grid.setColumnStretch(1, 9)
    grid.setColumnStretch(2, 16)
    for line, (name, pair, value) in enumerate(shown):
        grid.addWidget(Label(name, font=theme.monospace(), wrap=False), line, 0)
        grid.addWidget(Label(pair, tone="muted", font=theme.sized(0.92)), line, 1)
        grid.addWidget(Bar(f"{name}, {pair}", value, strong=value - nothing >= 0.05), line, 2)
    return holder


def _ratios(diagnosis: Diagnosis) -> QWidget:
    text = f"{words.ratios_text(diagnosis)} · signal {words.number(diagnosis.signal)}"
    predicted = ", ".join(diagnosis.predicted)
    parts: list[QWidget] = [Label(text)]
    if predicted:
        parts.append(Label(f"Exposure expected through: {predicted}.", tone="muted"))
    return stack(parts, spacing=0.2)


def _footnote(swap: BranchSwap) -> QWidget:
    drawings = words.count(swap.drawings, "drawing")
    text = f"Readout {swap.readout}, n {swap.n:,} from {drawings}."
    if any(swap.mixed_accuracy):
        pairs = ", ".join(words.number(value) for value in swap.mixed_accuracy)
        text += f" Clean accuracy of the four pairs, in the same order: {pairs}."
    text = " ".join([text, *words.swap_lines(swap)[1:]])
    return Label(text, tone="muted", font=theme.sized(0.88))
