"""The trigger itself, and clean inputs next to triggered ones."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QImage,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from dife_gui.escape import tooltip
from dife_gui.feed import Picture
from dife_gui.views import theme
from dife_gui.views.card import grid, row, stack
from dife_gui.views.text import Label, small
from dife_scanner.figures.drawings import Drawing, Drawings
from dife_scanner.records import Audit, EvidenceRole, Trigger
from dife_scanner.sentences import plain
from dife_scanner.sentences.recovered import recovered_lines
from dife_scanner.sentences.triggers import (
    Segment,
    effect_text,
    example_prompts,
    marked_text,
    trigger_text,
)

CLEAN = EvidenceRole.CLEAN_EXAMPLE
TRIGGERED = EvidenceRole.TRIGGERED_EXAMPLE
TRIGGER = EvidenceRole.TRIGGER
"""Roles under which an audit keeps its pictures."""
MOST_PAIRS = 6
"""Of clean and triggered inputs on screen."""
MOST_BYTES = 4000
"""Of an evidence text on screen: a prompt has a hundred."""
_DRAWING_SIDE = 4.5
"""Of a probe drawing, in lines of text: four of them fit into a narrow window."""
_ENLARGED = 1.5
"""Device pixels to one of the picture, from which it is drawn with sharp edges: a trigger of few pixels shows them."""


class Thumbnail(QWidget):
    """A picture at a size that follows the letters, never larger than it helps; says so where it is missing."""

    def __init__(
        self,
        picture: Picture,
        side: float = 7.5,
        kind: str = "PNG",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._image = _decoded(picture.content, kind)
        self._side = side
        self._problem = ""
        if self._image.isNull():
            self._problem = picture.problem or f"not a {kind} picture"
        self.setAccessibleName(plain(picture.caption or picture.role))
        self.setToolTip(tooltip(f"{picture.caption} {self._problem} sha256 {picture.sha256}"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def problem(self) -> str:
        """Why there is no picture; empty where there is one."""
        return self._problem

    def sizeHint(self) -> QSize:
        return theme.size(self, self._side, self._side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = QRectF(self.rect())
        if self._problem:
            self._paint_problem(painter, area)
        else:
            self._paint_picture(painter, area)
        painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
        painter.drawRect(theme.frame(self))

    def _paint_problem(self, painter: QPainter, area: QRectF) -> None:
        color = theme.hairline(self.palette())
        theme.hatch(painter, area, color, step=theme.em(self) * 0.45)
        painter.setPen(theme.text_color(self.palette()))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(area, flags, plain(self._problem))

    def _paint_picture(self, painter: QPainter, area: QRectF) -> None:
        shown = QRectF(0, 0, *self._fitted(area))
        shown.moveCenter(area.center())
        device_width = shown.width() * self.devicePixelRatioF()
        enlarged = device_width > _ENLARGED * self._image.width()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not enlarged)
        painter.drawImage(shown, self._image)

    def _fitted(self, area: QRectF) -> tuple[float, float]:
        """Width and height that fill the area and keep the picture's shape."""
        width = self._image.width()
        height = self._image.height()
        scale = min(area.width() / width, area.height() / height)
        return width * scale, height * scale


def _decoded(content: bytes | None, kind: str) -> QImage:
    """Of this kind and nothing else: no other decoder sees these bytes. Evidence is PNG alone."""
    image = QImage()
    if content:
        image.loadFromData(content, kind)
    return image


class MarkedPrompt(QWidget):
    """A prompt with the trigger in brackets on a tinted ground: the mark survives without colour."""

    def __init__(self, segments: Sequence[Segment], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._segments = [(_shown_text(segment), segment.marked) for segment in segments]
        self.setAccessibleName("".join(text for text, _ in self._segments))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFont(theme.monospace())

    @property
    def shown(self) -> str:
        """The whole prompt, with its brackets."""
        return "".join(text for text, _ in self._segments)

    def sizeHint(self) -> QSize:
        width = self.fontMetrics().horizontalAdvance(self.shown) + 2
        height = round(1.5 * theme.em(self))
        return QSize(width, height)

    def minimumSizeHint(self) -> QSize:
        return theme.size(self, 6, 1.5)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        metrics = self.fontMetrics()
        x = 0.0
        for text, marked in self._segments:
            room = max(0, round(self.width() - x))
            elided = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
            width = metrics.horizontalAdvance(elided)
            area = QRectF(x, 0, width, self.height())
            self._paint_segment(painter, area, elided, marked)
            x += area.width()

    def _paint_segment(
        self,
        painter: QPainter,
        area: QRectF,
        text: str,
        marked: bool,
    ) -> None:
        ink = theme.text_color(self.palette())
        if marked:
            ground = QColor(theme.colours(self.palette()).figures.exposed_low)
            inset = area.height() * 0.12
            painter.fillRect(area.adjusted(0, inset, 0, -inset), ground)
            ink = theme.text_on(ground)
        painter.setPen(ink)
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, text)


def _shown_text(segment: Segment) -> str:
    if segment.marked:
        return plain(f"[{segment.text}]")
    return segment.shown


def trigger_view(audit: Audit, pictures: Sequence[Picture]) -> QWidget | None:
    """Name, what it is, what it does, and how it looks; `None` without a trigger."""
    trigger = audit.trigger
    if trigger is None:
        return None
    facts = _trigger_facts(audit, trigger)
    drawn = [picture for picture in pictures if picture.role == TRIGGER and _is_picture(picture)]
    shown = [Thumbnail(picture) for picture in drawn[:1]]
    if not is_in_text(trigger):
        text = stack(facts, spacing=0.25, stretch=True)
        return row([*shown, text], spacing=0.7, stretch=False)
    # A trigger in the text has prompts to show; a picture above them only where it has one in the image too.
    above = shown if trigger.image is not None else []
    return stack([*above, *facts, _prompts(trigger)], spacing=0.25)


def is_in_text(trigger: Trigger) -> bool:
    """Whether it changes words, alone or with the picture."""
    return bool(trigger.text or trigger.pairs)


def _trigger_facts(audit: Audit, trigger: Trigger) -> list[QWidget]:
    facts: list[QWidget] = [
        Label(trigger.name, font=theme.sized(1.0, bold=True)),
        Label(trigger_text(trigger)),
        Label(f"Effect: {effect_text(trigger.source, trigger.target, trigger.name)}"),
    ]
    if trigger.description:
        facts.append(Label(trigger.description, tone="muted"))
    for line in recovered_lines(audit):
        facts.append(Label(line, tone="muted"))
    return facts


def _prompts(trigger: Trigger) -> QWidget:
    """A few prompts, each clean and with the trigger below it."""
    holder, layout = grid(across=0.6, down=0.1)
    layout.setColumnStretch(1, 1)
    for prompt in example_prompts(trigger):
        clean = (Segment(prompt, False),)
        triggered = marked_text(trigger, prompt)
        for name, segments in (("clean", clean), ("triggered", triggered)):
            line = layout.count() // 2  # two widgets a line
            title = Label(
                name,
                tone="muted",
                font=theme.sized(0.92),
                wrap=False,
            )
            layout.addWidget(title, line, 0)
            layout.addWidget(MarkedPrompt(segments), line, 1)
    return holder


def examples(audit: Audit, pictures: Sequence[Picture]) -> QWidget | None:
    """Pairs of the same input, clean and triggered, in the order they were stored; `None` without any."""
    clean = _with_role(pictures, CLEAN)
    triggered = _with_role(pictures, TRIGGERED)
    # A file may be lost: what has no partner is left out.
    pairs = list(zip(clean, triggered, strict=False))[:MOST_PAIRS]
    if not pairs:
        return None
    if all(before.sha256 == after.sha256 for before, after in pairs):
        return _same_pictures(pairs)
    holder, layout = grid(across=0.6, down=0.35)
    for column, name in enumerate(("Clean", "With the trigger")):
        layout.setColumnStretch(column, 1)
        title = Label(name, tone="muted", wrap=False)
        layout.addWidget(title, 0, column)
    for line, pair in enumerate(pairs, start=1):
        for column, picture in enumerate(pair):
            layout.addWidget(_example(picture, audit.trigger), line, column)
    return holder


def _same_pictures(pairs: Sequence[tuple[Picture, Picture]]) -> QWidget:
    """Each picture once, beside what its prompts do to it without the trigger and with it."""
    parts: list[QWidget] = [small("The trigger is in the text: the pictures stay as they are.")]
    for clean, triggered in pairs:
        said = stack(
            [small(f"Clean: {clean.caption}"), small(f"With the trigger: {triggered.caption}")],
            spacing=0.2,
            stretch=True,
        )
        parts.append(row([Thumbnail(clean), said], spacing=0.7, stretch=False))
    return stack(parts, spacing=0.35)


def _with_role(pictures: Sequence[Picture], role: str) -> list[Picture]:
    return [picture for picture in pictures if picture.role == role]


def _is_picture(picture: Picture) -> bool:
    return picture.media_type.startswith("image/")


def _example(picture: Picture, trigger: Trigger | None) -> QWidget:
    """An evidence file with its caption: a picture, or a prompt with the trigger marked."""
    caption = small(picture.caption)
    if _is_picture(picture) or picture.content is None:
        return stack([Thumbnail(picture), caption], spacing=0.15, stretch=True)
    text = plain(picture.content[:MOST_BYTES].decode("utf-8", "replace"))
    if trigger is not None and trigger.text and trigger.text in text:
        prompt = MarkedPrompt(marked_text(trigger, text))
    else:
        prompt = MarkedPrompt([Segment(text, False)])
    return stack([prompt, caption], spacing=0.1)


def probe_drawings(found: Drawings) -> QWidget:
    """Drawings of what a trigger leads to side by side, each with its name, and whose they are."""
    shown = [probe_drawing(one, _DRAWING_SIDE) for one in found.drawings]
    return stack([small(found.sentence), row(shown), small(found.credit)], spacing=0.2)


def probe_drawing(one: Drawing, side: float) -> Thumbnail:
    """One drawing with its name, `side` lines of text wide and high."""
    picture = Picture(one.sha256, one.media_type, "probe drawing", one.caption, one.content)
    kind = one.media_type.removeprefix("image/").upper()
    return Thumbnail(picture, side=side, kind=kind)
