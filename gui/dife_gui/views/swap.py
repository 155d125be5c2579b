"""Branch swap or component repair: which part carries the effect, as four bars, ratios and the diagnosis in words."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from dife_gui.views import theme
from dife_gui.views.card import grid, stack
from dife_gui.views.text import Label, small
from dife_scanner.records import Audit, BranchSwap, ComponentRepair, Diagnosis
from dife_scanner.sentences.footprint import CARRIER_MEANING, ratios_text, swap_lines
from dife_scanner.sentences.numbers import count, number

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
CLEARLY_ABOVE = 0.05
"""What a share has to have over the clean variant for its bar to be drawn in the suspect's colour."""
_ROOM_INSIDE = 0.4
"""Share of the bar's width from which its number stands inside."""


_INSIDE = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_BESIDE = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class Bar(QWidget):
    """A share between 0 and 1 as a bar with its number inside or next to it."""

    def __init__(
        self,
        name: str,
        value: float,
        *,
        strong: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._value = value
        self._strong = strong
        self.setAccessibleName(f"{name}: {number(value)}")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return theme.size(self, 12, 1.15)

    def minimumSizeHint(self) -> QSize:
        return theme.size(self, 6, 1.15)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        scheme = theme.colours(self.palette())
        area = QRectF(self.rect())
        radius = theme.gap(0.15)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(scheme.neutral)
        painter.drawRoundedRect(area, radius, radius)
        share = min(max(self._value, 0.0), 1.0)
        filled = QRectF(area)
        filled.setWidth(area.width() * share)
        fill = scheme.suspect if self._strong else scheme.reference
        painter.setBrush(fill)
        painter.drawRoundedRect(filled, radius, radius)
        text = number(self._value)
        margin = theme.em(self) * 0.4
        if filled.width() > area.width() * _ROOM_INSIDE:
            painter.setPen(theme.text_on(fill))
            room = filled.adjusted(margin, 0, -margin, 0)
            painter.drawText(room, _INSIDE, text)
        else:
            painter.setPen(theme.text_on(scheme.neutral))
            room = area.adjusted(filled.width() + margin, 0, -margin, 0)
            painter.drawText(room, _BESIDE, text)


def branch_swap(audit: Audit) -> QWidget | None:
    """Bars of swap or repair, ratios, diagnosis and agreement; `None` where the audit has none of them."""
    parts: list[QWidget] = []
    if audit.diagnosis is not None:
        parts.append(_verdict(audit.diagnosis))
    if audit.branch_swap is not None:
        parts.append(_swap_bars(audit.branch_swap))
    if audit.repair is not None:
        parts.append(_repair_bars(audit.repair))
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


def _swap_bars(swap: BranchSwap) -> QWidget:
    bars = [(name, pair, getattr(swap, name)) for name, pair in PAIRS]
    return _bars(bars, nothing=swap.a00)


def _repair_bars(repair: ComponentRepair) -> QWidget:
    bars = [(name, text, getattr(repair, field)) for name, text, field in REPAIRS]
    return _bars(bars, nothing=repair.both_clean)


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


def _bars(shown: Sequence[tuple[str, str, float]], *, nothing: float) -> QWidget:
    """One bar per (name, words, share); strong where it stands clearly above `nothing`, the clean variant's share."""
    holder, layout = grid(across=0.6, down=0.25)
    layout.setColumnStretch(1, 9)
    layout.setColumnStretch(2, 16)
    for line, (name, variant, value) in enumerate(shown):
        bar = Bar(f"{name}, {variant}", value, strong=value - nothing >= CLEARLY_ABOVE)
        short = Label(name, font=theme.monospace(), wrap=False)
        layout.addWidget(short, line, 0)
        meaning = Label(variant, tone="muted", font=theme.sized(0.92))
        layout.addWidget(meaning, line, 1)
        layout.addWidget(bar, line, 2)
    return holder


def _ratios(diagnosis: Diagnosis) -> QWidget:
    text = f"{ratios_text(diagnosis)} · signal {number(diagnosis.signal)}"
    predicted = ", ".join(diagnosis.predicted)
    parts: list[QWidget] = [Label(text)]
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
