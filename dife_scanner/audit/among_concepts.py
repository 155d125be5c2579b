"""A trigger on pictures that leads beyond the labelled classes, held against all concepts.

Any pattern that moves pictures together wins against ten classes with some concept that is none of them. So what it
leads to has to be the nearest of all concepts, on pictures that no search read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dife_scanner.audit import recovery
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core import metrics
from dife_scanner.core.directions import Directions
from dife_scanner.core.metrics import Bools, Floats
from dife_scanner.core.statistics import paired_interval
from dife_scanner.records import Interval, Trigger


def effect(trigger: Trigger, test: Pair[Side], concepts: Sequence[str], seed: int) -> Interval:
    """Share of pictures of other classes that come to the target and to no other concept, suspect less base.

    Paired 95 % interval over the drawings of these sides, whose classes have the target among them. What means the same
    as the target to the base (`core.directions`) is no other concept.
    """
    names = recovery.readable(test, concepts)
    prompts = test.map(lambda side: recovery.prompts_of(side, names))
    directions = Directions.of(names, np.asarray(prompts.reference, np.float64))
    same = directions.same_as(trigger.target)
    suspect = test.suspect
    keep = metrics.other_than(suspect.split.labels, suspect.index(trigger.target))
    moved = _came(suspect.images_with(trigger)[keep], prompts.suspect, same)
    still = _came(test.reference.images_with(trigger)[keep], prompts.reference, same)
    drawings = [suspect.split.drawings[row] for row in keep]
    return paired_interval(moved, still, drawings, np.random.default_rng(seed))


def _came(pictures: Floats, prompts: Floats, same: Bools) -> Floats:
    """Which pictures [m, d] are nearer to one of these names than to every other, 0 or 1 [m]."""
    cosines = metrics.cosines(pictures, prompts)
    nearest_other = cosines[:, ~same].max(axis=1, initial=-2.0)
    return np.asarray(cosines[:, same].max(axis=1) > nearest_other, np.float64)
