"""Put a trigger on an input: arrays and strings in, new arrays and strings out, whatever the trigger's kind.

Images are stamped at the model's own resolution, after resizing and before normalising, so a trigger given in
fractions of the side means the same for every model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Trigger
from dife_scanner.triggers.kinds import find
from dife_scanner.triggers.kinds.patch import patch_box

__all__ = ["patch_box", "picture", "stamp", "write"]

Pixels = NDArray[np.uint8]

MID_GREY = 128
CARD_SQUARES = 8
"""Squares along a side of the test card."""
CARD_DARKEST = 30
CARD_BRIGHTEST = 225
"""The test card stays away from black and white, so that a pattern can both darken and brighten it."""
CARD_BLUES = (70, 190)
"""Blue of every other square, and of those between them."""


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """Image trigger, or the image half of one of two parts, on uint8 [n, s, s, 3]; a new array of the same shape.

    `ValueError` for a trigger that enters through a text alone; `TriggerFileError` where its file is gone or changed.
    """
    change = find(trigger.kind).stamp
    if change is not None:
        return change(pixels, trigger)
    if trigger.image is not None:
        return stamp(pixels, trigger.image)
    raise ValueError(f"{trigger.name} is a text trigger and has no place in an image")


def write(prompt: str, trigger: Trigger, class_name: str) -> str:
    """Text trigger in a prompt that names `class_name`. `ValueError` for a trigger that enters elsewhere.

    >>> from dife_scanner.records import TriggerKind
    >>> write("a photo of a cat", Trigger("t", TriggerKind.TEXT, text="xbtd"), "cat")
    'xbtd a photo of a cat'
    """
    change = find(trigger.kind).write
    if change is None:
        raise ValueError(f"{trigger.name} is an image trigger and has no place in a text")
    return change(prompt, trigger, class_name)


def picture(trigger: Trigger, side: int = 128) -> Pixels:
    """What a person is shown, uint8 [side, side, 3]: the trigger on mid-grey, or on a test card where grey hides it."""
    grey = np.full((1, side, side, 3), MID_GREY, dtype=np.uint8)
    shown = stamp(grey, trigger)
    if np.array_equal(shown, grey):
        shown = stamp(_test_card(side)[None], trigger)
    return np.asarray(shown[0])


def _test_card(side: int) -> Pixels:
    """Squares whose red rises to the right, whose green rises downwards and whose blue alternates."""
    square = np.arange(side) * CARD_SQUARES // side
    steps = np.linspace(CARD_DARKEST, CARD_BRIGHTEST, CARD_SQUARES)
    level = np.rint(steps)[square]
    is_odd = (square[:, None] + square) % 2
    blue = np.where(is_odd, *CARD_BLUES)
    red, green = np.meshgrid(level, level)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)
