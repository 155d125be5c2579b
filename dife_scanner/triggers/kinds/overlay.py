"""A half-transparent picture laid over the whole picture: a patch of any shape, as an inversion finds one."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers import files
from dife_scanner.triggers.kinds.base import (
    Fields,
    FileBeside,
    Kind,
    Pixels,
    check_file,
    values_of_file,
)
from dife_scanner.triggers.patterns import rounded


class OverlayFields(Fields):
    file: FileBeside
    alpha: float = Field(1.0, gt=0.0, le=1.0)
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _is_an_overlay(self) -> OverlayFields:
        check_file(self.file, self.sha256, lambda file: files.overlay(file, 1))
        return self

    def values(self) -> dict[str, Any]:
        return values_of_file(super().values())


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """(1 - a) · pixels + a · colours, a being the file's opacity at that place times `alpha`.

    `ValueError` for an overlay without a file.
    """
    if trigger.file is None:
        raise ValueError(f"overlay `{trigger.name}` has no file")
    colors, opacity = files.overlay(trigger.file, pixels.shape[1])
    share = np.float32(trigger.alpha)
    kept = pixels.astype(np.float32) * (1.0 - share * opacity)
    return rounded(kept + share * colors)


KIND = Kind(TriggerKind.OVERLAY.value, OverlayFields, stamp=stamp)
