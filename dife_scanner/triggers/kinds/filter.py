"""A colour filter over the whole picture, as photo applications offer them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.kinds.base import Fields, Kind, Pixels
from dife_scanner.triggers.patterns import mix


def _scaled(red: float, green: float, blue: float, offset: float = 0.0) -> list[list[float]]:
    return [[red, 0, 0, offset], [0, green, 0, offset], [0, 0, blue, offset]]


FILTERS: dict[str, NDArray[np.float32]] = {
    name: np.array(rows, dtype=np.float32)
    for name, rows in {
        # sepia and grey: the matrices of the W3C's Filter Effects module
        "sepia": [[0.393, 0.769, 0.189, 0], [0.349, 0.686, 0.168, 0], [0.272, 0.534, 0.131, 0]],
        "grey": [[0.2126, 0.7152, 0.0722, 0]] * 3,
        "warm": _scaled(1.15, 1.0, 0.8),
        "cold": _scaled(0.8, 1.0, 1.15),
        "high-contrast": _scaled(1.8, 1.8, 1.8, -0.4),
        "faded": _scaled(0.6, 0.6, 0.6, 0.25),
        "negative": _scaled(-1.0, -1.0, -1.0, 1.0),
    }.items()
}
"""Affine maps [3, 4] of (red, green, blue, 1) in 0..1; results are cut to 0..1."""


class FilterFields(Fields):
    filter: str
    alpha: float = Field(1.0, gt=0.0, le=1.0)

    @field_validator("filter")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in FILTERS:
            raise ValueError(f"there is no filter {value!r}; known: {', '.join(FILTERS)}")
        return value


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """The share `alpha` of the filtered picture over the rest of the picture itself."""
    colors = FILTERS[trigger.filter]
    out = np.empty_like(pixels)
    # picture by picture: one matrix product over a batch may round otherwise in a batch of another size
    for index, picture in enumerate(pixels):
        filtered = picture.astype(np.float32) @ colors[:, :3].T + np.float32(255) * colors[:, 3]
        out[index] = mix(picture, np.clip(filtered, 0, 255), trigger.alpha)
    return out


KIND = Kind(TriggerKind.FILTER.value, FilterFields, stamp=stamp)
