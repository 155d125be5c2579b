"""Somebody's pictures, decoded within limits. Nothing here trusts a file: not its size, not its header."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.audit.populations.errors import UnreadablePicture
from dife_scanner.audit.probes import Pixels
from dife_scanner.errors import LimitExceeded
from dife_scanner.plain import plain

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 224
"""Pictures larger than this are brought down to it: no model here looks at more."""
MAX_BYTES = 64 * 2**20
"""Of one encoded picture."""
MAX_PIXELS = 100_000_000
MAX_PICTURES = 2_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    MemoryError,
    OverflowError,
)
"""What Pillow raises for a file that is no whole picture."""
_REMOVE = "remove it, or replace it with a JPEG, PNG or WebP picture"


def read(path: Path) -> Pixels:
    """The picture in a file, as `decode` gives it."""
    what = plain(str(path), 200)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LimitExceeded(f"{what} has more than {MAX_BYTES} bytes", _REMOVE)
        raw = path.read_bytes()
    except OSError as error:
        raise UnreadablePicture(f"{what} cannot be read: {error.strerror}", _REMOVE) from error
    return decode(raw, what)


def decode(raw: bytes, what: str) -> Pixels:
    """The square middle of a picture, uint8 [s, s, 3] with s = min(shorter side, SIDE).

    `what` names the picture in errors. Raises `UnreadablePicture` for anything but a whole JPEG, PNG or WebP, and
    `LimitExceeded` for more bytes or pixels than the limits.
    """
    from PIL import Image

    if len(raw) > MAX_BYTES:
        raise LimitExceeded(f"{what} has more than {MAX_BYTES} bytes", _REMOVE)
    try:
        picture = _opened(raw, what)
    except Image.DecompressionBombError as error:
        raise LimitExceeded(f"{what} has more than {MAX_PIXELS} pixels", _REMOVE) from error
    except _BROKEN as error:
        raise UnreadablePicture(f"{what} is no picture that can be read", _REMOVE) from error
    return _square_middle(picture)


def _opened(raw: bytes, what: str) -> Image:
    """The whole picture in RGB; its size is checked before a pixel is decoded."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(BytesIO(raw), formats=FORMATS) as opened:
            # From the header alone: nothing is decoded yet.
            if opened.width * opened.height > MAX_PIXELS:
                raise LimitExceeded(
                    f"{what} has {opened.width} × {opened.height} pixels",
                    _REMOVE,
                )
            return opened.convert("RGB")


def _square_middle(picture: Image) -> Pixels:
    from PIL import Image

    # What CLIP's own preprocessing keeps.
    short = min(picture.size)
    side = min(short, SIDE)
    left = (picture.width - short) // 2
    top = (picture.height - short) // 2
    box = (left, top, left + short, top + short)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box))


def loader(files: Sequence[Path]) -> Callable[[Sequence[int]], Pixels]:
    """A function that reads the files at given positions, as one array."""

    def load(rows: Sequence[int]) -> Pixels:
        return stack([read(files[row]) for row in rows])

    return load


def stack(pictures: Sequence[Pixels]) -> Pixels:
    """Square pictures as one array [n, s, s, 3]: as they are where all have one size, else all of side `SIDE`."""
    shapes = {picture.shape for picture in pictures}
    if len(shapes) == 1:
        return np.stack(pictures)
    return np.stack(list(map(_grown, pictures)))


def _grown(picture: Pixels) -> Pixels:
    """One picture at side `SIDE`."""
    from PIL import Image

    resized = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(resized)
