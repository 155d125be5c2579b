"""Intervals and tests over drawings.

Two pictures of one drawing are not two observations, so every interval and every p-value here treats the drawing as
the unit: case outcomes are first averaged per drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Change, EntryType, Interval, Measure

FloatArray = NDArray[np.floating]

# The paper names the entry types and gives no numbers for them; these are ours (docs/states.md).
EXPOSED_CUT = 0.25
"""A cell is *exposed* when the lower end of the interval of its difference reaches this."""
NEGATIVE_CUT = -0.05
"""A cell is *negative* when the upper end stays at or below this."""
MIN_DRAWINGS = 8
"""With fewer drawings behind it a difference reads *n too small*, whatever its interval says: drawings that all agree
give an interval without width."""
RESAMPLES = 2000
"""Of a bootstrap; the ends of a 95 % interval rest on the 50 resamples beyond each."""
EXACT_LIMIT = 16
"""Up to this many non-zero differences all sign patterns are enumerated (65,536 of them); above, a random sample."""
SIGN_SAMPLES = 99_999
"""So that a p-value can be as low as 1e-5 and survives a correction over a few thousand triggers."""
_SAMPLES_AT_ONCE = 2_048
"""What stays in a processor's cache; all at once take twice the time and a hundred megabytes."""
ROUNDING = 1e-12
"""Sums of the same differences in another order may differ by this; they count as equal."""
_Z95 = 1.959963984540054
"""97.5 % point of the normal distribution."""
_ENDS_95 = (0.025, 0.975)


# --- one share ------------------------------------------------------------------------------------------------


def by_drawing(
    outcomes: NDArray[np.floating], drawings: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Average `outcomes` [n] per drawing: (means [m], counts [m]), drawings in sorted order."""
    values = np.asarray(outcomes, dtype=np.float64)
    if values.shape != (len(drawings),):
        raise ValueError(f"{values.shape} outcomes for {len(drawings)} drawings")
    names = np.asarray(drawings, dtype=str)
    _, index = np.unique(names, return_inverse=True)
    counts = np.bincount(index).astype(np.float64)
    sums = np.bincount(index, weights=values)
    return sums / counts, counts


def wilson(share: float, units: int, unit: str = "drawing") -> Interval:
    """Wilson's 95 % interval of a share in 0..1 observed over `units` independent units; it holds the share.

    >>> wilson(1.0, 12).low > 0.75
    True
    """
    if units == 0:
        return Interval(0.0, 1.0, "Wilson, no units")
    z2 = _Z95**2 / units
    centre = (share + z2 / 2) / (1 + z2)
    variance = share * (1 - share) / units + z2 / (4 * units)
    half = _Z95 / (1 + z2) * np.sqrt(variance)
    low = max(0.0, float(centre - half))
    high = min(1.0, float(centre + half))
    # at 0 and 1 rounding puts the share outside its own interval
    return Interval(min(low, share), max(high, share), f"Wilson over {unit}s")


def measure(
    outcomes: NDArray[np.floating], drawings: Sequence[str], unit: str = "drawing"
) -> Measure:
    """Mean of case outcomes [n] in 0..1, with Wilson's interval over the drawings (or other units) behind them."""
    means, _ = by_drawing(outcomes, drawings)
    units = len(means)
    value = float(np.mean(outcomes)) if len(outcomes) else 0.0
    return Measure(value, wilson(value, units, unit), len(outcomes), units, unit)


# --- a difference ---------------------------------------------------------------------------------------------


def paired_interval(
    attack: FloatArray,
    reference: FloatArray,
    drawings: Sequence[str],
    rng: np.random.Generator,
    unit: str = "drawing",
) -> Interval:
    """95 % percentile interval of mean(attack - reference), drawings resampled with replacement.

    `attack` and `reference` are case outcomes [n] of the same cases in the same order.
    """
    means, counts = by_drawing(_differences(attack, reference), drawings)
    units = len(means)
    picks = rng.integers(0, units, size=(RESAMPLES, units))
    sums = (means * counts)[picks].sum(axis=1)
    resampled = sums / counts[picks].sum(axis=1)
    return percentile_interval(
        resampled, f"paired bootstrap over {units} {unit}s, {RESAMPLES} resamples"
    )


def percentile_interval(resampled: FloatArray | Sequence[float], method: str) -> Interval:
    """95 % interval from the values of a bootstrap's resamples; `method` says in words which."""
    low, high = np.quantile(resampled, _ENDS_95)
    return Interval(float(low), float(high), method)


def change(
    new: FloatArray,
    old: FloatArray,
    drawings: Sequence[str],
    rng: np.random.Generator,
    unit: str = "drawing",
) -> Change:
    """Signed difference Δm of the means of two sets of outcomes [n] of the same cases, −1..1, with its interval.

    Positive is promoted, negative demoted (paper §4). Differences add up: Δ_trigger (triggered − clean query, same
    checkpoint) plus Δ_drift (clean query, suspect − clean checkpoint) is triggered − clean checkpoint's clean query.
    """
    difference = float(np.mean(new) - np.mean(old))
    return Change(difference, paired_interval(new, old, drawings, rng, unit))


def entry_type(interval: Interval, drawings: int) -> EntryType:
    """How a difference reads; the cuts are this module's named constants."""
    if drawings < MIN_DRAWINGS or _spans_both_cuts(interval):
        return EntryType.N_TOO_SMALL
    if interval.low >= EXPOSED_CUT:
        return EntryType.EXPOSED
    if interval.high <= NEGATIVE_CUT:
        return EntryType.NEGATIVE
    return EntryType.WEAK


def _spans_both_cuts(interval: Interval) -> bool:
    return interval.low <= NEGATIVE_CUT and interval.high >= EXPOSED_CUT


def _differences(attack: FloatArray, reference: FloatArray) -> FloatArray:
    return np.asarray(np.asarray(attack, float) - np.asarray(reference, float))


# --- tests ----------------------------------------------------------------------------------------------------


def sign_flip_p(
    attack: FloatArray,
    reference: FloatArray,
    drawings: Sequence[str],
    rng: np.random.Generator,
) -> float:
    """One-sided p-value that attack exceeds reference, by flipping the sign of each drawing's difference.

    Exact up to `EXACT_LIMIT` non-zero differences; otherwise (1 + hits) / (1 + samples), so never zero.
    Valid when, under the null, suspect and reference could be exchanged drawing by drawing.
    """
    means, _ = by_drawing(_differences(attack, reference), drawings)
    means = means[means != 0]
    if means.size == 0:
        return 1.0
    if means.size <= EXACT_LIMIT:
        return _exact_sign_flip_p(means)
    return _sampled_sign_flip_p(means, rng)


def _exact_sign_flip_p(means: FloatArray) -> float:
    """Share of all sign patterns with a sum as large as the one observed."""
    observed = means.sum() - ROUNDING
    sums = _sign_patterns(means.size) @ means
    return float(np.mean(sums >= observed))


def _sign_patterns(count: int) -> FloatArray:
    """Every way to give `count` numbers a sign: [2 ** count, count] of 1 and −1."""
    patterns = np.arange(2**count)[:, None]
    flipped = (patterns >> np.arange(count)) & 1
    return np.asarray(1 - 2.0 * flipped)


def _sampled_sign_flip_p(means: FloatArray, rng: np.random.Generator) -> float:
    observed = means.sum() - ROUNDING
    either = np.array([-1.0, 1.0])
    hits = 0
    for begun in range(0, SIGN_SAMPLES, _SAMPLES_AT_ONCE):
        samples = min(_SAMPLES_AT_ONCE, SIGN_SAMPLES - begun)
        signs = rng.choice(either, size=(samples, means.size))
        hits += int(np.sum(signs @ means >= observed))
    return float((1 + hits) / (1 + SIGN_SAMPLES))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given, at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    adjusted = [0.0] * count
    running = 0.0
    for rank, index in enumerate(smallest_first(p_values)):
        corrected = min(1.0, (count - rank) * p_values[index])
        running = max(running, corrected)
        adjusted[index] = running
    return adjusted


def smallest_first(values: Sequence[float]) -> list[int]:
    """Positions of the values in rising order; equal ones in the order given."""
    return sorted(range(len(values)), key=lambda position: values[position])
