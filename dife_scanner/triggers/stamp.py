"""Put a trigger on an input. Pure: arrays and strings in, new arrays and strings out.

Images are stamped at the model's own resolution, after resizing and before normalising, so a trigger given in
fractions of the side means the same for every model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Trigger, TriggerKind

Pixels = NDArray[np.uint8]


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """Image trigger on uint8 [n, s, s, 3]; returns a new array of the same shape. ValueError for a text trigger."""
    if trigger.kind is TriggerKind.TEXT:
        raise ValueError(f"{trigger.name} is a text trigger and has no place in an image")
    side = pixels.shape[1]
    if trigger.kind is TriggerKind.PATCH:
        left, top, width = patch_box(trigger, side)
        out = pixels.copy()
        region = out[:, top : top + width, left : left + width]
        mixed = _mix(region, _pattern(trigger, width), trigger.alpha)
        out[:, top : top + width, left : left + width] = mixed
        return out
    pattern = _pattern(trigger, side)
    if trigger.kind is TriggerKind.BLEND:
        return _mix(pixels, pattern, trigger.alpha)
    shifted = pixels.astype(np.float32) + trigger.alpha * 255.0 * (pattern.astype(np.float32) / 127.5 - 1.0)
    return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)


def patch_box(trigger: Trigger, side: int) -> tuple[int, int, int]:
    """(left, top, width) in pixels of a patch on an image of this side; at least one pixel, inside the image."""
    width = max(1, min(side, round(trigger.size * side)))
    left = min(side - width, round(trigger.x * side))
    top = min(side - width, round(trigger.y * side))
    return left, top, width


def picture(trigger: Trigger, side: int = 128) -> Pixels:
    """The trigger on mid-grey, uint8 [side, side, 3]: what a person is shown."""
    return np.asarray(stamp(np.full((1, side, side, 3), 128, dtype=np.uint8), trigger)[0])


def write(prompt: str, trigger: Trigger, class_name: str) -> str:
    """Text trigger in a prompt that names `class_name`: before it, after it, or right before the name.

    >>> write("a photo of a cat", Trigger("t", TriggerKind.TEXT, text="xbtd"), "cat")
    'xbtd a photo of a cat'
    """
    if trigger.position == "suffix":
        return f"{prompt} {trigger.text}"
    if trigger.position == "infix":
        head, name, tail = prompt.rpartition(class_name)
        return f"{head}{trigger.text} {name}{tail}"
    return f"{trigger.text} {prompt}"


def _mix(pixels: Pixels, pattern: Pixels, alpha: float) -> Pixels:
    mixed = (1.0 - alpha) * pixels.astype(np.float32) + alpha * pattern.astype(np.float32)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _pattern(trigger: Trigger, side: int) -> Pixels:
    """The pattern alone, uint8 [side, side, 3]."""
    color = np.array(trigger.color, dtype=np.float32)
    rows, columns = np.mgrid[0:side, 0:side]
    if trigger.pattern == "solid":
        level = np.ones((side, side), dtype=np.float32)
    elif trigger.pattern == "checker":
        cells = max(1.0, trigger.cycles or 3.0)
        level = ((np.floor(rows * cells / side) + np.floor(columns * cells / side)) % 2 == 0).astype(np.float32)
    elif trigger.pattern == "stripes":
        level = (np.floor(columns * 2 * trigger.cycles / side) % 2 == 0).astype(np.float32)
    elif trigger.pattern == "sinusoid":
        level = (0.5 + 0.5 * np.sin(2 * np.pi * trigger.cycles * columns / side)).astype(np.float32)
    else:
        noise = np.random.default_rng(trigger.seed).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
        return np.asarray(noise[(rows * 32) // side, (columns * 32) // side])
    return np.asarray(np.rint(level[..., None] * color), dtype=np.uint8)
