"""Pictures a trigger is made of, and mixing one into an input. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Trigger
from dife_scanner.triggers import files

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.int_]

NOISE_CELLS = 32
"""Noise is drawn on so many cells a side whatever the picture's size, so that one seed means one pattern."""
CHECKER_CELLS = 3.0
"""Cells along a side of a checkerboard that does not say how many."""


def mix(pixels: Pixels, pattern: Pixels | Floats, alpha: float) -> Pixels:
    """(1 - alpha) · pixels + alpha · pattern, rounded; `pattern` broadcasts over the pictures."""
    kept = (1.0 - alpha) * pixels.astype(np.float32)
    added = alpha * pattern.astype(np.float32)
    return rounded(kept + added)


def rounded(values: Floats) -> Pixels:
    """Real values as the nearest uint8 ones; what lies beyond 0..255 is cut."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def pattern(trigger: Trigger, side: int) -> Pixels:
    """The trigger's pattern alone, uint8 [side, side, 3]: drawn, or taken from its file."""
    if trigger.file:
        return files.pixels(trigger.file, side)
    return drawn(trigger, side)


def drawn(trigger: Trigger, side: int) -> Pixels:
    """`solid`, `checker`, `stripes`, `sinusoid` in the trigger's colour on black, or `noise`.

    uint8 [side, side, 3]; `ValueError` for a pattern that is not known.
    """
    if trigger.pattern == "noise":
        return _noise(trigger.seed, side)
    brightness = _BRIGHTNESS.get(trigger.pattern)
    if brightness is None:
        raise ValueError(f"trigger `{trigger.name}` has the unknown pattern `{trigger.pattern}`")
    color = np.array(trigger.color, dtype=np.float32)
    level = brightness(trigger.cycles, side)
    return np.asarray(np.rint(level[..., None] * color), dtype=np.uint8)


def _noise(seed: int, side: int) -> Pixels:
    """Random colours in `NOISE_CELLS` × `NOISE_CELLS` cells."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, size=(NOISE_CELLS, NOISE_CELLS, 3), dtype=np.uint8)
    rows, columns = _places(side)
    across = (columns * NOISE_CELLS) // side
    down = (rows * NOISE_CELLS) // side
    return np.asarray(cells[down, across])


# --- brightness [side, side] in 0..1 of the patterns in one colour --------------------------------------------


def _solid(cycles: float, side: int) -> Floats:
    return np.ones((side, side), dtype=np.float32)


def _checker(cycles: float, side: int) -> Floats:
    cells = max(1.0, cycles or CHECKER_CELLS)
    rows, columns = _places(side)
    down = np.floor(rows * cells / side)
    across = np.floor(columns * cells / side)
    return _as_level((down + across) % 2 == 0)


def _stripes(cycles: float, side: int) -> Floats:
    _, columns = _places(side)
    across = np.floor(columns * 2 * cycles / side)
    return _as_level(across % 2 == 0)


def _sinusoid(cycles: float, side: int) -> Floats:
    _, columns = _places(side)
    wave = np.sin(2 * np.pi * cycles * columns / side)
    return _as_level(0.5 + 0.5 * wave)


def _as_level(values: NDArray[Any]) -> Floats:
    return values.astype(np.float32)


def _places(side: int) -> tuple[Places, Places]:
    """(row, column) of each pixel, [side, side] each."""
    rows, columns = np.mgrid[0:side, 0:side]
    return rows, columns


_BRIGHTNESS: dict[str, Callable[[float, int], Floats]] = {
    "solid": _solid,
    "checker": _checker,
    "stripes": _stripes,
    "sinusoid": _sinusoid,
}
