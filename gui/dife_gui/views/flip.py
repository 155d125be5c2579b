"""One input in the ways in which a trigger can be seen, in the same place: one key turns to the next.

A trigger in a text leaves the picture as it is: then the words below it change, and nothing of the picture can differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from dife_gui.difference import Difference, difference
from dife_gui.feed import Picture
from dife_gui.views import theme
from dife_gui.views.card import row
from dife_gui.views.evidence import CLEAN, MOST_PAIRS, TRIGGERED, is_in_text
from dife_gui.views.text import Label
from dife_scanner.records import Audit
from dife_scanner.sentences import plain
from dife_scanner.sentences.checks import NOT_RECORDED
from dife_scanner.sentences.numbers import count, number

_SIDE = 16.0
"""Of the picture, in lines of text."""
ZOOMS = (1, 2, 4, 8)


class Way(StrEnum):
    """In which a pair can be looked at."""

    CLEAN = "clean"
    TRIGGERED = "with the trigger"
    MASK = "mask: what differs"
    DIFFERENCE = "difference, amplified"
    BASE = "the base's answer"


WAYS = tuple(Way)
IN_TEXT_WAYS = (Way.CLEAN, Way.TRIGGERED, Way.BASE)
"""Of a trigger that is in the text alone."""
_IN_TEXT = "the trigger is in the text, the picture stays the same"


class Flip(QWidget):
    """Pairs of pictures one at a time; `turn`, `larger`, `smaller` and `next_pair` are what keys do."""

    def __init__(
        self,
        pairs: Sequence[tuple[Picture, Picture]],
        in_base: str,
        parent: QWidget | None = None,
    ) -> None:
        """`in_base`: what the base does with the trigger, over all cases; empty where that is not known."""
        super().__init__(parent)
        self._pairs = list(pairs)
        self._in_base = in_base
        self._at = 0
        self.way = Way.CLEAN
        self.zoom = ZOOMS[0]
        self._zooms: list[QPushButton] = []
        self._read: dict[int, tuple[QImage, QImage, Difference | None]] = {}
        self.picture = Shown()
        self._headline = Label(font=theme.sized(1.0, bold=True))
        self._caption = Label(tone="muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.gap(0.3))
        layout.addWidget(self._headline)
        layout.addWidget(self.picture)
        layout.addWidget(
            row(self._buttons())
        )  # above what may take two lines: they stay in their place
        layout.addWidget(self._caption)
        self._show()

    @property
    def ways(self) -> tuple[Way, ...]:
        """Those of the pair that is shown."""
        return IN_TEXT_WAYS if self._is_in_text() else WAYS

    def _is_in_text(self) -> bool:
        clean, triggered = self._pairs[self._at]
        return clean.sha256 == triggered.sha256

    def _buttons(self) -> list[QWidget]:
        made: list[QWidget] = []
        for text, tip, does in (
            ("Turn", "Clean, with the trigger, mask, difference, the base's answer (i)", self.turn),
            ("Larger", "Enlarge what differs (Ctrl++)", self.larger),
            ("Smaller", "The whole picture again (Ctrl+-)", self.smaller),
            ("Next picture", "Another of the stored pictures", self.next_pair),
        ):
            button = QPushButton(text)
            button.setAccessibleName(f"{text}: {tip}")
            button.setToolTip(tip)
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, does=does: does())
            made.append(button)
            if does in (self.larger, self.smaller):
                self._zooms.append(button)
        return made

    @property
    def told(self) -> str:
        """What stands above and below the picture."""
        return f"{self._headline.text()} {self._caption.text()}"

    def turn(self) -> None:
        """The next way of looking at it."""
        self.way = self.ways[(self.ways.index(self.way) + 1) % len(self.ways)]
        self._show()

    def larger(self) -> None:
        """Enlarge, around what differs."""
        self._zoom_to(ZOOMS.index(self.zoom) + 1)

    def smaller(self) -> None:
        """Show more of it."""
        self._zoom_to(ZOOMS.index(self.zoom) - 1)

    def next_pair(self) -> None:
        """The next of the pictures, looked at in the same way."""
        self._at = (self._at + 1) % len(self._pairs)
        if self.way not in self.ways:
            self.way = Way.CLEAN
        self._show()

    def _zoom_to(self, step: int) -> None:
        if self._is_in_text():
            return  # nothing differs that could be enlarged
        self.zoom = ZOOMS[max(0, min(step, len(ZOOMS) - 1))]
        self._show()

    def _show(self) -> None:
        clean, triggered, differs = self._images()
        which = f"Picture {self._at + 1} of {len(self._pairs)}"
        zoom = f", {self.zoom} times as large" if self.zoom > 1 else ""
        for button in self._zooms:
            button.setEnabled(not self._is_in_text())
        where = f" ({_IN_TEXT})" if self._is_in_text() else ""
        self._headline.show_text(f"{which}: {self.way.value}{zoom}{where}")
        caption = self._caption_of(differs)
        self._caption.show_text(plain(caption, limit=1000))
        image = clean if self.way is Way.CLEAN else triggered
        if differs is not None and self.way is Way.MASK:
            image = differs.mask
        elif differs is not None and self.way is Way.DIFFERENCE:
            image = differs.amplified
        elif self.way in (Way.MASK, Way.DIFFERENCE):
            image = QImage()
        area = QRectF(image.rect()) if differs is None else _around(differs, image, self.zoom)
        self.picture.show_image(image, area, plain(f"{self._headline.text()}. {caption}"))

    def _images(self) -> tuple[QImage, QImage, Difference | None]:
        if self._at not in self._read:
            clean, triggered = (_decoded(one) for one in self._pairs[self._at])
            self._read[self._at] = (clean, triggered, difference(clean, triggered))
        return self._read[self._at]

    def _caption_of(self, differs: Difference | None) -> str:
        clean, triggered = self._pairs[self._at]
        if self.way is Way.CLEAN:
            return clean.caption or clean.problem
        if self.way is Way.TRIGGERED:
            return triggered.caption or triggered.problem
        if self.way is Way.BASE:
            answer = _answers(clean, triggered)
            if not answer and not (self._is_in_text() and self._in_base):
                answer = f"On this picture: {NOT_RECORDED}."
            return f"{answer} {self._in_base}".strip()
        if differs is None:
            return "The two cannot be compared: one is missing, or their sizes differ"
        share = f"{100 * differs.share:.1f} % of its pixels differ"
        if self.way is Way.MASK:
            return f"White where a colour differs at all: {share}"
        return (
            f"Each colour's difference, {count(differs.factor, 'time', 'times')} as large; {share}"
        )


def _answers(clean: Picture, triggered: Picture) -> str:
    """What the base takes both for; empty where that was not recorded."""
    if not clean.base_reads or not triggered.base_reads:
        return ""
    return f"The base reads it as {clean.base_reads}, with the trigger as {triggered.base_reads}."


class Shown(QWidget):
    """A picture, or a part of it, enlarged with sharp edges."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image = QImage()
        self._area = QRectF()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def image(self) -> QImage:
        """What is drawn, of which `area` is seen."""
        return self._image

    @property
    def area(self) -> QRectF:
        """In pixels of the picture."""
        return self._area

    def show_image(self, image: QImage, area: QRectF, name: str) -> None:
        """Draw another picture; `name` says what it shows."""
        self._image, self._area = image, area
        self.setAccessibleName(name)
        self.update()

    def sizeHint(self) -> QSize:
        return theme.size(self, _SIDE, _SIDE)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._image.isNull():
            painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, "no picture")
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            painter.drawImage(_fitted(self._area, QRectF(self.rect())), self._image, self._area)
        painter.setPen(QPen(theme.hairline(self.palette()), 1.0))
        painter.drawRect(theme.frame(self))


def _fitted(part: QRectF, room: QRectF) -> QRectF:
    """As large as there is room, in the shape of the part."""
    scale = min(room.width() / part.width(), room.height() / part.height())
    shown = QRectF(0, 0, part.width() * scale, part.height() * scale)
    shown.moveCenter(room.center())
    return shown


def _around(differs: Difference, image: QImage, zoom: int) -> QRectF:
    """A part of the picture, around the middle of what differs, and all within it."""
    part = QRectF(0, 0, image.width() / zoom, image.height() / zoom)
    part.moveCenter(QRectF(differs.box).center())
    part.moveLeft(min(max(part.left(), 0.0), image.width() - part.width()))
    part.moveTop(min(max(part.top(), 0.0), image.height() - part.height()))
    return part


def _decoded(picture: Picture) -> QImage:
    """PNG and nothing else: no other decoder sees these bytes."""
    image = QImage()
    if picture.content:
        image.loadFromData(picture.content, "PNG")
    return image


def flip(audit: Audit, pictures: Sequence[Picture]) -> Flip | None:
    """Of an audit's stored pairs; `None` without any that differ in the picture or in the text."""
    clean = [one for one in pictures if one.role == CLEAN]
    triggered = [one for one in pictures if one.role == TRIGGERED]
    in_text = audit.trigger is not None and is_in_text(audit.trigger)
    pairs = []
    for pair in zip(clean, triggered, strict=False):  # what has no partner is left out
        differ = pair[0].sha256 != pair[1].sha256
        if (differ or in_text) and pair[0].media_type == "image/png":
            pairs.append(pair)
    return Flip(pairs[:MOST_PAIRS], _in_base(audit)) if pairs else None


def _in_base(audit: Audit) -> str:
    """What the trigger of the verdict does in the base, over all drawings that it was measured on."""
    for one in audit.signatures:
        if audit.trigger is not None and one.trigger.name == audit.trigger.name:
            if one.reference is None:
                return ""
            return f"Over all drawings it moves {number(one.reference)} of the cases in the base."
    return ""
