"""A smooth, fixed displacement of the whole picture, after WaNet (Nguyen & Tran 2021)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.kinds.base import Fields, Kind, Pixels

Floats = NDArray[np.float32]


class WarpFields(Fields):
    strength: float = Field(gt=0.0, le=0.25)
    grid: int = Field(4, ge=2, le=32)
    seed: int = Field(0, ge=0)


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    side = pixels.shape[1]
    down, across = displacement(trigger.seed, trigger.grid, side) * np.float32(trigger.strength * side)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    return sample(pixels, rows + down, columns + across)


@lru_cache(maxsize=16)
def displacement(seed: int, grid: int, side: int) -> Floats:
    """A field [2, side, side] (down, across) whose absolute values average one over its control points.

    `grid` × `grid` control points, uniform in -1..1 from `seed`, joined by cubic splines from edge to edge.
    """
    from scipy.ndimage import map_coordinates

    points = np.random.default_rng(seed).uniform(-1.0, 1.0, (2, grid, grid))
    points /= np.abs(points).mean()
    steps = np.linspace(0.0, grid - 1.0, side)
    at = np.meshgrid(steps, steps, indexing="ij")
    field = np.stack([map_coordinates(plane, at, order=3, mode="nearest") for plane in points]).astype(np.float32)
    field.setflags(write=False)
    return field


def sample(pixels: Pixels, rows: Floats, columns: Floats) -> Pixels:
    """Bilinear reading of uint8 [n, s, s, 3] at real coordinates [s, s]; beyond the edge the edge's value holds."""
    last = pixels.shape[1] - 1
    rows, columns = np.clip(rows, 0, last), np.clip(columns, 0, last)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    bottom, right = np.minimum(top + 1, last), np.minimum(left + 1, last)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    corners = [
        ((y * (last + 1) + x).reshape(-1), (high * wide).reshape(-1, 1))
        for y, high in ((top, 1 - down), (bottom, down))
        for x, wide in ((left, 1 - across), (right, across))
    ]
    out = np.empty_like(pixels)
    for index, picture in enumerate(pixels):
        flat = picture.reshape(-1, 3)
        mixed = sum(flat.take(at, axis=0) * weight for at, weight in corners)
        out[index] = np.rint(mixed).reshape(picture.shape)
    return out


KIND = Kind(TriggerKind.WARP.value, WarpFields, stamp=stamp)
