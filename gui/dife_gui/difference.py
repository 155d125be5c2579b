"""Where two pictures of the same size differ, and by how much; without a widget."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRect
from PySide6.QtGui import QImage

_CHANNELS = 4
"""Bytes of a pixel: red, green, blue and one that is not looked at."""
_COLOURS = 3
_MOST = 255
_FORMAT = QImage.Format.Format_RGBX8888


@dataclass(frozen=True)
class Difference:
    """What a trigger changed in a picture."""

    mask: QImage
    """White where any colour differs, black elsewhere."""
    amplified: QImage
    """How far each colour is apart, times `factor`."""
    factor: int
    """The largest whole number by which nothing gets brighter than white; 1 where nothing differs."""
    share: float
    """Of pixels that differ, 0 to 1."""
    box: QRect
    """The smallest that holds them; the whole picture where none differs."""


def difference(clean: QImage, triggered: QImage) -> Difference | None:
    """Compare two pictures; `None` where one is missing, or their sizes are not equal."""
    if clean.isNull() or clean.size() != triggered.size():
        return None
    width, height = clean.width(), clean.height()
    apart = [_apart(*pair) for pair in zip(_colours(clean), _colours(triggered), strict=True)]
    factor = _MOST // max(1, *(max(one) for one in apart))
    times = bytes(min(_MOST, value * factor) for value in range(_MOST + 1))
    amplified = [one.translate(times) for one in apart]
    any_of_them = 0
    for one in apart:
        any_of_them |= int.from_bytes(one, "big")
    differs = bytes((0,)) + bytes((_MOST,)) * _MOST
    mask = any_of_them.to_bytes(width * height, "big").translate(differs)
    return Difference(
        mask=_image([mask] * _COLOURS, width, height),
        amplified=_image(amplified, width, height),
        factor=factor,
        share=mask.count(_MOST) / (width * height),
        box=_box(mask, width, height),
    )


def _colours(image: QImage) -> list[bytes]:
    """Its red, green and blue, each a byte a pixel, row by row."""
    plain = image.convertToFormat(_FORMAT)
    data = bytes(plain.constBits())
    return [data[colour::_CHANNELS] for colour in range(_COLOURS)]


def _apart(first: bytes, second: bytes) -> bytes:
    return bytes(abs(one - other) for one, other in zip(first, second, strict=True))


def _image(colours: list[bytes], width: int, height: int) -> QImage:
    data = bytearray(bytes((_MOST,)) * (width * height * _CHANNELS))
    for place, values in enumerate(colours):
        data[place::_CHANNELS] = values
    # Copied: a picture does not keep the bytes alive that it was made from.
    return QImage(bytes(data), width, height, width * _CHANNELS, _FORMAT).copy()


def _box(mask: bytes, width: int, height: int) -> QRect:
    rows = [mask[row * width : (row + 1) * width] for row in range(height)]
    marked = [row for row, values in enumerate(rows) if any(values)]
    if not marked:
        return QRect(0, 0, width, height)
    left = min(rows[row].find(_MOST) for row in marked)
    right = max(rows[row].rfind(_MOST) for row in marked)
    return QRect(left, marked[0], right - left + 1, marked[-1] - marked[0] + 1)
