"""Pictures a trigger is made of, and mixing one into an input. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Trigger
from dife_scanner.triggers import files

Pixels = NDArray[np.uint8]
NOISE_CELLS = 32


def mix(pixels: Pixels, pattern: NDArray[np.uint8] | NDArray[np.float32], alpha: float) -> Pixels:
    """(1 - alpha) · pixels + alpha · pattern, rounded; `pattern` broadcasts over the pictures."""
    mixed = (1.0 - alpha) * pixels.astype(np.float32) + alpha * pattern.astype(np.float32)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def pattern(trigger: Trigger, side: int) -> Pixels:
    """The trigger's pattern alone, uint8 [side, side, 3]: drawn, or taken from its file."""
    return files.pixels(trigger.file, side) if trigger.file else drawn(trigger, side)


def drawn(trigger: Trigger, side: int) -> Pixels:
    """`solid`, `checker`, `stripes`, `sinusoid` in the trigger's colour on black, or `noise`."""
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
    elif trigger.pattern == "noise":
        cells_of = np.random.default_rng(trigger.seed)
        noise = cells_of.integers(0, 256, size=(NOISE_CELLS, NOISE_CELLS, 3), dtype=np.uint8)
        return np.asarray(noise[(rows * NOISE_CELLS) // side, (columns * NOISE_CELLS) // side])
    else:
        raise ValueError(f"trigger `{trigger.name}` has the unknown pattern `{trigger.pattern}`")
    return np.asarray(np.rint(level[..., None] * color), dtype=np.uint8)
