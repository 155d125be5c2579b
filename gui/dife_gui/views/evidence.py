"""The trigger itself, and clean inputs beside triggered ones."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from dife_gui.escape import tooltip
from dife_gui.feed import Picture
from dife_gui.views import theme
from dife_gui.views.card import row, stack
from dife_gui.views.text import Label
from dife_scanner.records import Audit, Trigger
from dife_scanner.reports import plain, trigger_words

CLEAN, TRIGGERED, TRIGGER = "clean-example", "triggered-example", "trigger"
MOST_PAIRS = 6


class Thumbnail(QWidget):
    """A picture at a size that follows the letters, never larger than it helps; says so where it is missing."""

    def __init__(self, picture: Picture, side: float = 7.5, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image = _decoded(picture.content)
        self._side = side
        self._problem = "" if not self._image.isNull() else (picture.problem or "not a PNG picture")
        self.setAccessibleName(plain(picture.caption or picture.role))
        self.setToolTip(tooltip(f"{picture.caption} {self._problem} sha256 {picture.sha256}"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def problem(self) -> str:
        return self._problem

    def sizeHint(self) -> QSize:
        side = round(self._side * theme.em(self))
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = QRectF(self.rect())
        if self._problem:
            theme.hatch(painter, area, theme.hairline(self.palette()), theme.em(self) * 0.45)
            painter.setPen(self.palette().color(QPalette.ColorRole.Text))
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, plain(self._problem))
        else:
            shown = QRectF(0, 0, *self._fitted(area))
            shown.moveCenter(area.center())
            enlarged = shown.width() * self.devicePixelRatioF() > 1.5 * self._image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not enlarged)
            painter.drawImage(shown, self._image)
        painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
        painter.drawRect(area.adjusted(0.5, 0.5, -0.5, -0.5))

    def _fitted(self, area: QRectF) -> tuple[float, float]:
        scale = min(area.width() / self._image.width(), area.height() / self._image.height())
        return self._image.width() * scale, self._image.height() * scale


def _decoded(content: bytes | None) -> QImage:
    """PNG and nothing else: no other decoder sees these bytes."""
    image = QImage()
    if content:
        image.loadFromData(content, "PNG")
    return image


class MarkedPrompt(QWidget):
    """A prompt with the trigger in brackets on a tinted ground: the mark survives without colour."""

    def __init__(self, segments: Sequence[trigger_words.Segment], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._segments = [(plain(f"[{s.text}]") if s.marked else s.shown, s.marked) for s in segments]
        self.setAccessibleName("".join(text for text, _ in self._segments))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFont(theme.monospace())

    @property
    def shown(self) -> str:
        return "".join(text for text, _ in self._segments)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self.shown) + 2, round(1.5 * theme.em(self)))

    def minimumSizeHint(self) -> QSize:
        return QSize(round(6 * theme.em(self)), round(1.5 * theme.em(self)))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        scheme, x, metrics = theme.colours(self.palette()), 0.0, self.fontMetrics()
        for text, marked in self._segments:
            elided = metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(0, round(self.width() - x)))
            area = QRectF(x, 0, metrics.horizontalAdvance(elided), self.height())
            if marked:
                painter.fillRect(area.adjusted(0, area.height() * 0.12, 0, -area.height() * 0.12), scheme.heat_low)
            painter.setPen(theme.text_on(scheme.heat_low) if marked else self.palette().color(QPalette.ColorRole.Text))
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, elided)
            x += area.width()


def trigger_view(audit: Audit, pictures: Sequence[Picture]) -> QWidget | None:
    """Name, what it is, what it does, and how it looks; `None` without a trigger."""
    trigger = audit.trigger
    if trigger is None:
        return None
    facts: list[QWidget] = [
        Label(trigger.name, font=theme.sized(1.0, bold=True)),
        Label(trigger_words.trigger_text(trigger)),
        Label(f"Effect: {trigger_words.effect_text(trigger.source, trigger.target)}", tone="normal"),
    ]
    if trigger.description:
        facts.append(Label(trigger.description, tone="muted"))
    facts += [Label(line, tone="muted") for line in trigger_words.recovered_lines(audit)]
    shown = [Thumbnail(picture) for picture in pictures if picture.role == TRIGGER and _is_picture(picture)][:1]
    if trigger.text or trigger.pairs:
        half = shown if trigger.image is not None else []
        return stack([*half, *facts, _prompts(trigger)], spacing=0.25)
    return row([*shown, stack(facts, spacing=0.25, stretch=True)], spacing=0.7, stretch=False)


def _prompts(trigger: Trigger) -> QWidget:
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(theme.gap(0.6))
    grid.setVerticalSpacing(theme.gap(0.1))
    grid.setColumnStretch(1, 1)
    for line, prompt in enumerate(trigger_words.example_prompts(trigger)):
        clean = trigger_words.Segment(prompt, False)
        shown = (("clean", (clean,)), ("triggered", trigger_words.marked_text(trigger, prompt)))
        for offset, (name, segments) in enumerate(shown):
            grid.addWidget(Label(name, tone="muted", font=theme.sized(0.92), wrap=False), 2 * line + offset, 0)
            grid.addWidget(MarkedPrompt(segments), 2 * line + offset, 1)
    return holder


def examples(audit: Audit, pictures: Sequence[Picture]) -> QWidget | None:
    """Pairs of the same input, clean and triggered, in the order they were stored; `None` without any."""
    pairs = list(zip(_of(pictures, CLEAN), _of(pictures, TRIGGERED), strict=False))[:MOST_PAIRS]
    if not pairs:
        return None
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(theme.gap(0.6))
    grid.setVerticalSpacing(theme.gap(0.35))
    grid.setColumnStretch(0, 1)
    grid.setColumnStretch(1, 1)
    for column, name in enumerate(("Clean", "With the trigger")):
        grid.addWidget(Label(name, tone="muted", wrap=False), 0, column)
    for line, pair in enumerate(pairs, start=1):
        for column, picture in enumerate(pair):
            grid.addWidget(_shown(picture, audit.trigger), line, column)
    return holder


def _of(pictures: Sequence[Picture], role: str) -> list[Picture]:
    return [picture for picture in pictures if picture.role == role]


def _is_picture(picture: Picture) -> bool:
    return picture.media_type.startswith("image/")


def _shown(picture: Picture, trigger: Trigger | None) -> QWidget:
    caption = Label(picture.caption, tone="muted", font=theme.sized(0.88))
    if _is_picture(picture) or picture.content is None:
        return stack([Thumbnail(picture), caption], spacing=0.15, stretch=True)
    text = plain(picture.content[:4000].decode("utf-8", "replace"))
    segments: tuple[trigger_words.Segment, ...] = (trigger_words.Segment(text, False),)
    if trigger is not None and trigger.text and trigger.text in text:
        segments = trigger_words.marked_text(trigger, text)
    return stack([MarkedPrompt(segments), caption], spacing=0.1)
