"""A colour filter over the whole picture, as photo applications offer them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

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
from dife_scanner.triggers.patterns import mix


def _matrix(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def _scaled(red: float, green: float, blue: float, offset: float = 0.0) -> NDArray[np.float32]:
    """Each channel times its factor, plus the offset."""
    return _matrix([red, 0, 0, offset], [0, green, 0, offset], [0, 0, blue, offset])


_LUMINANCE = [0.2126, 0.7152, 0.0722, 0]
FILTERS: dict[str, NDArray[np.float32]] = {
    # sepia and grey: the matrices of the W3C's Filter Effects module
    "sepia": _matrix([0.393, 0.769, 0.189, 0], [0.349, 0.686, 0.168, 0], [0.272, 0.534, 0.131, 0]),
    "grey": _matrix(_LUMINANCE, _LUMINANCE, _LUMINANCE),
    "warm": _scaled(1.15, 1.0, 0.8),
    "cold": _scaled(0.8, 1.0, 1.15),
    "high-contrast": _scaled(1.8, 1.8, 1.8, -0.4),
    "faded": _scaled(0.6, 0.6, 0.6, 0.25),
    "negative": _scaled(-1.0, -1.0, -1.0, 1.0),
}
"""Affine maps [3, 4] of (red, green, blue, 1) in 0..1; results are cut to 0..1."""


class FilterFields(Fields):
    filter: str = ""
    alpha: float = Field(1.0, gt=0.0, le=1.0)
    file: FileBeside | None = None
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")

    @field_validator("filter")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in FILTERS:
            raise ValueError(f"there is no filter {value!r}; known: {', '.join(FILTERS)}")
        return value

    @model_validator(mode="after")
    def _named_or_from_a_file(self) -> FilterFields:
        if bool(self.filter) == bool(self.file):
            raise ValueError("a filter needs either `filter`, its name, or `file`, its matrix")
        check_file(self.file, self.sha256, matrix)
        return self

    def values(self) -> dict[str, Any]:
        return values_of_file(super().values())


def matrix(file: TriggerFile) -> NDArray[np.float32]:
    """A filter's matrix from an .npy file. Raises `TriggerFileError`."""
    found = files.numbers(file, 2)
    if found.shape != (3, 4):
        raise TriggerFileError(
            f"{file.path} has the shape {list(found.shape)}; [3, 4] is needed",
            "one row each for red, green and blue",
        )
    return found


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """The share `alpha` of the filtered picture over the rest of the picture itself."""
    colors = matrix(trigger.file) if trigger.file else FILTERS[trigger.filter]
    out = np.empty_like(pixels)
    # picture by picture: one matrix product over a batch may round otherwise in a batch of another size
    for index, picture in enumerate(pixels):
        out[index] = mix(picture, _filtered(picture, colors), trigger.alpha)
    return out


def _filtered(picture: Pixels, colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [s, s, 3] in 0..255."""
    factors = colors[:, :3]
    offset = np.float32(255) * colors[:, 3]
    mixed = picture.astype(np.float32) @ factors.T
    return np.clip(mixed + offset, 0, 255)


KIND = Kind(TriggerKind.FILTER.value, FilterFields, stamp=stamp)
