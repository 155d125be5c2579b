"""A signed perturbation added over the whole picture, e.g. of at most 4/255 (Bai et al. 2024, as paper §6 runs it)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Trigger, TriggerFile, TriggerKind
from dife_scanner.triggers import files
from dife_scanner.triggers.kinds.base import Kind, PatternFields, Pixels
from dife_scanner.triggers.patterns import drawn, rounded


class AdditiveFields(PatternFields):
    """The keys of a pattern; its file is a signed perturbation."""

    def read_file(self, file: TriggerFile) -> None:
        files.perturbation(file, 1)


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """pixels + alpha · 255 · perturbation, with a perturbation in -1..1."""
    perturbation = _perturbation(trigger, pixels.shape[1])
    return rounded(pixels.astype(np.float32) + trigger.alpha * 255.0 * perturbation)


def _perturbation(trigger: Trigger, side: int) -> NDArray[np.float32]:
    """float32 [side, side, 3] in -1..1: from its file, or of a drawn pattern whose mid-grey is zero."""
    if trigger.file:
        return files.perturbation(trigger.file, side)
    return files.signed(drawn(trigger, side))


KIND = Kind(TriggerKind.ADDITIVE.value, AdditiveFields, stamp=stamp)
