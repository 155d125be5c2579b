"""A smooth, fixed displacement of the whole picture, after WaNet (Nguyen & Tran 2021)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import Trigger, TriggerFile, TriggerKind
from dife_scanner.triggers import files
from dife_scanner.triggers.kinds.base import (
    Fields,
    FileBeside,
    Kind,
    Pixels,
    check_file,
    values_of_file,
)

Floats = NDArray[np.float32]
Places = NDArray[np.intp]
Weights = NDArray[np.floating]
Corner = tuple[Places, Weights]
"""Places [s * s] in the flattened picture, and the weight [s * s, 1] of each."""
FEWEST_POINTS = 2
"""Control points along one side …"""
MOST_POINTS = 32
"""… and at most; more would no longer be smooth on a small picture."""


class WarpFields(Fields):
    strength: float = Field(gt=0.0, le=0.25)
    grid: int = Field(4, ge=FEWEST_POINTS, le=MOST_POINTS)
    seed: int = Field(0, ge=0)
    file: FileBeside | None = None
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _drawn_or_from_a_file(self) -> WarpFields:
        if self.file and self.model_fields_set & {"grid", "seed"}:
            raise ValueError("`file` holds the control points; `grid` and `seed` draw some")
        check_file(self.file, self.sha256, control_points)
        return self

    def values(self) -> dict[str, Any]:
        return values_of_file(super().values())


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """Each pixel read from where the field points to, bilinear; `strength` is the mean displacement."""
    side = pixels.shape[1]
    pixels_moved = np.float32(trigger.strength * side)
    down, across = _field(trigger, side) * pixels_moved
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    return sample(pixels, rows + down, columns + across)


def _field(trigger: Trigger, side: int) -> Floats:
    if trigger.file:
        return from_file(trigger.file, side)
    return displacement(trigger.seed, trigger.grid, side)


@lru_cache(maxsize=16)
def displacement(seed: int, grid: int, side: int) -> Floats:
    """A field [2, side, side] (down, across) whose absolute values average one over its control points.

    `grid` × `grid` control points, uniform in -1..1 from `seed`, joined by cubic splines from edge to edge.
    """
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1.0, 1.0, (2, grid, grid))
    return spread(points, side)


@lru_cache(maxsize=16)
def from_file(file: TriggerFile, side: int) -> Floats:
    """The same of control points that a file holds."""
    points = control_points(file)
    return spread(points.astype(np.float64), side)


def control_points(file: TriggerFile) -> Floats:
    """[2, g, g] (down, across) from an .npy file. Raises `TriggerFileError`."""
    points = files.numbers(file, 3)
    count = points.shape[2]
    is_allowed = FEWEST_POINTS <= count <= MOST_POINTS
    if points.shape != (2, count, count) or not is_allowed:
        raise TriggerFileError(
            f"{file.path} has the shape {list(points.shape)}; [2, g, g] is needed",
            f"store what goes down, then what goes across, with g in {FEWEST_POINTS}..{MOST_POINTS}",
        )
    if not points.any():
        raise TriggerFileError(
            f"{file.path} displaces nothing",
            "give a control point another value than zero",
        )
    return points


def spread(points: NDArray[np.float64], side: int) -> Floats:
    """Control points [2, g, g], scaled to a mean absolute value of one, as a field [2, side, side]."""
    from scipy.ndimage import map_coordinates

    points = points / np.abs(points).mean()
    steps = np.linspace(0.0, points.shape[1] - 1.0, side)
    at = np.meshgrid(steps, steps, indexing="ij")
    planes = [map_coordinates(plane, at, order=3, mode="nearest") for plane in points]
    field = np.stack(planes).astype(np.float32)
    field.setflags(write=False)  # it is shared through the cache
    return field


def sample(pixels: Pixels, rows: Floats, columns: Floats) -> Pixels:
    """Bilinear reading of uint8 [n, s, s, 3] at real coordinates [s, s]; beyond the edge the edge's value holds."""
    corners = _corners(rows, columns, pixels.shape[1])
    out = np.empty_like(pixels)
    for index, picture in enumerate(pixels):
        out[index] = _mixed(picture, corners)
    return out


def _mixed(picture: Pixels, corners: list[Corner]) -> Weights:
    flat = picture.reshape(-1, 3)
    mixed = sum(flat.take(at, axis=0) * weight for at, weight in corners)
    return np.rint(mixed).reshape(picture.shape)


def _corners(rows: Floats, columns: Floats, side: int) -> list[Corner]:
    """The four pixels around each coordinate and their weights: upper left, upper right, lower left, lower right."""
    last = side - 1
    top, bottom, down = _between(rows, last)
    left, right, across = _between(columns, last)
    from_below = 1 - down
    from_right = 1 - across
    return [
        _corner(top, left, side, from_below * from_right),
        _corner(top, right, side, from_below * across),
        _corner(bottom, left, side, down * from_right),
        _corner(bottom, right, side, down * across),
    ]


def _between(coordinates: Floats, last: int) -> tuple[Places, Places, Weights]:
    """(pixel before, pixel behind, distance from the one before in 0..1)."""
    inside = np.clip(coordinates, 0, last)
    before = np.floor(inside).astype(np.intp)
    behind = np.minimum(before + 1, last)
    return before, behind, inside - before


def _corner(rows: Places, columns: Places, side: int, weight: Weights) -> Corner:
    place = rows * side + columns
    return place.reshape(-1), weight.reshape(-1, 1)


KIND = Kind(TriggerKind.WARP.value, WarpFields, stamp=stamp)
