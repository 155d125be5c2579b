"""A signed perturbation added over the whole picture, e.g. of at most 4/255 (Bai et al. 2024, as paper §6 runs it)."""

from __future__ import annotations

import numpy as np

from dife_scanner.records import Trigger, TriggerFile, TriggerKind
from dife_scanner.triggers import files
from dife_scanner.triggers.kinds.base import Kind, PatternFields, Pixels
from dife_scanner.triggers.patterns import drawn


class AdditiveFields(PatternFields):
    def read_file(self, file: TriggerFile) -> None:
        files.perturbation(file, 1)


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """pixels + alpha · 255 · perturbation, with a perturbation in -1..1: mid-grey of a drawn pattern is zero."""
    side = pixels.shape[1]
    signed = (
        files.perturbation(trigger.file, side)
        if trigger.file
        else drawn(trigger, side).astype(np.float32) / 127.5 - 1.0
    )
    shifted = pixels.astype(np.float32) + trigger.alpha * 255.0 * signed
    return np.clip(np.rint(shifted), 0, 255).astype(np.uint8)


KIND = Kind(TriggerKind.ADDITIVE.value, AdditiveFields, stamp=stamp)
