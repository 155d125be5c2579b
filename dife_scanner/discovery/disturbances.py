"""Small changes of triggered pictures: what is left of a trigger's effect under them is reported with it."""

from __future__ import annotations

import numpy as np

from dife_scanner.discovery.target_success import Pixels

JPEG_QUALITY = 75
CROP = 1 / 16
"""Margin that a crop takes off each side, in sides of the picture."""
SHIFTS = ((1, 1), (-2, 1), (3, -2), (-1, -3))
"""Pixels down and across that pictures are rolled by: less than a patch, in four ways."""


def disturbed(pictures: Pixels) -> list[Pixels]:
    """The pictures as they are, cropped, compressed, and shifted in each way of `SHIFTS`; in this order."""
    versions = [pictures, cropped(pictures), compressed(pictures)]
    for shift in SHIFTS:
        versions.append(np.roll(pictures, shift, (1, 2)))
    return versions


def cropped(pictures: Pixels) -> Pixels:
    """Pictures without a margin on each side, enlarged again."""
    from PIL import Image

    side = pictures.shape[1]
    margin = max(1, round(CROP * side))
    box = (margin, margin, side - margin, side - margin)
    out = np.empty_like(pictures)
    for row, picture in enumerate(pictures):
        enlarged = Image.fromarray(picture).resize(
            (side, side),
            Image.Resampling.BILINEAR,
            box=box,
        )
        out[row] = np.asarray(enlarged)
    return out


def compressed(pictures: Pixels) -> Pixels:
    """Pictures written as JPEG and read again."""
    from io import BytesIO

    from PIL import Image

    out = np.empty_like(pictures)
    for row, picture in enumerate(pictures):
        stream = BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=JPEG_QUALITY)
        with Image.open(stream) as image:
            out[row] = np.asarray(image)
    return out
