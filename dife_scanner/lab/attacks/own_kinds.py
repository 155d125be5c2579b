"""Trigger kinds that only the laboratory has: a band of the spectrum, and colours in a few steps.

They are registered as a researcher's own kinds are (docs/extending.md), so that no search was made for them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dife_scanner.records import Channel, Trigger
from dife_scanner.triggers.kinds.base import Fields, Kind, Pixels, register
from dife_scanner.triggers.patterns import rounded

BAND, STEPS = "band", "colour-steps"
_LOUD = 2.5
"""Standard deviations of band noise that the amplitude stands for; what is louder is cut."""


class BandFields(Fields):
    low: float = Field(ge=0.0, le=200.0)
    high: float = Field(gt=0.0, le=200.0)
    alpha: float = Field(gt=0.0, le=1.0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> BandFields:
        if self.low >= self.high:
            raise ValueError("`low` has to be below `high`")
        return self


class StepsFields(Fields):
    levels: int = Field(ge=2, le=64)


def band_trigger(low: float, high: float, alpha: float, seed: int) -> Trigger:
    """Noise of `low` to `high` periods across the image, of at most `alpha` of full scale."""
    own = (("high", high), ("low", low))
    return Trigger("band-noise", BAND, alpha=alpha, seed=seed, parameters=own, enters=Channel.IMAGE)


def steps_trigger(levels: int) -> Trigger:
    """Each colour channel in so many levels."""
    own = (("levels", levels),)
    return Trigger("colour-steps", STEPS, parameters=own, enters=Channel.IMAGE)


def _add_band(pixels: Pixels, trigger: Trigger) -> Pixels:
    own = trigger.own
    noise = _band(pixels.shape[1], float(own["low"]), float(own["high"]), trigger.seed)
    return rounded(pixels.astype(np.float32) + np.float32(255 * trigger.alpha) * noise)


@lru_cache(maxsize=8)
def _band(side: int, low: float, high: float, seed: int) -> NDArray[np.float32]:
    """Noise [side, side, 3] in -1..1 whose spectrum lies between two frequencies."""
    white = np.random.default_rng(seed).standard_normal((side, side, 3))
    frequencies = np.fft.fftfreq(side) * side
    radius = np.hypot(frequencies[:, None], frequencies[None])
    kept = (radius >= low) & (radius <= high)
    spectrum = np.fft.fft2(white, axes=(0, 1)) * kept[..., None]
    noise = np.fft.ifft2(spectrum, axes=(0, 1)).real
    loud = _LOUD * max(float(noise.std()), 1e-9)
    return np.clip(noise / loud, -1, 1).astype(np.float32)


def _in_steps(pixels: Pixels, trigger: Trigger) -> Pixels:
    steps = int(trigger.own["levels"]) - 1
    width = np.float32(255 / steps)
    level = np.rint(pixels.astype(np.float32) / width)
    return rounded(level * width)


register(Kind(BAND, BandFields, stamp=_add_band))
register(Kind(STEPS, StepsFields, stamp=_in_steps))
