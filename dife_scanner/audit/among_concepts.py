"""A trigger on pictures that leads beyond the labelled classes, held against all concepts.

Any pattern that moves pictures together wins against ten classes with some concept that is none of them. So what it
leads to has to be the nearest of all concepts, on pictures that no search read. A prompt learner is taught against a
few classes alone: what it turns pictures to has to be among the nearest (`NEAR_UNDER_LEARNER`), and not in the base.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dife_scanner.audit import recovery
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core import metrics
from dife_scanner.core.directions import Directions
from dife_scanner.core.metrics import Bools, Floats, Indices
from dife_scanner.core.statistics import paired_interval
from dife_scanner.records import Channel, Interval, Trigger

NEAR_UNDER_LEARNER = 0.05
"""Share of all concepts that count as near. Measured of a learner taught *banana*: of 20 pictures with a found pattern
18 have it among the nearest 5 % of 1,392, 15 among 2 % and 10 among 1 %; in the base it is nowhere nearer than the
421st."""
MOST_UNDER_LEARNER = 20
"""Drawings that all concepts are read for where each picture has a context of its own; one picture of each."""


def effect(trigger: Trigger, test: Pair[Side], concepts: Sequence[str], seed: int) -> Interval:
    """Share of pictures of other classes that come to the target and to no other concept, suspect less base.

    Of a prompt mechanism: that have the target among the nearest concepts. Paired 95 % interval over the drawings of
    these sides, whose classes have the target among them. What means the same as the target to the base
    (`core.directions`) is no other concept. What a trigger writes stands in the prompts of all of them.
    """
    written = recovery.written_concepts(trigger, test, concepts)
    names = tuple(written)
    prompts = test.map(lambda side: side.encoder.encode_texts(list(written.values())))
    clean = recovery.prompts_of(test.reference, names)
    directions = Directions.of(names, np.asarray(clean, np.float64))
    same = directions.same_as(trigger.target)
    suspect = test.suspect
    keep = metrics.other_than(suspect.split.labels, suspect.index(trigger.target))
    rng = np.random.default_rng(seed)
    if trigger.channel is Channel.PROMPT:
        keep = _one_of_each_drawing(suspect, keep, rng)
        in_suspect = suspect.scores_under_learner(
            trigger, suspect.images_with(trigger)[keep], names
        )
        came = _is_near
    else:
        in_suspect = metrics.cosines(suspect.images_with(trigger)[keep], prompts.suspect)
        came = _is_nearest
    in_base = metrics.cosines(test.reference.images_with(trigger)[keep], prompts.reference)
    drawings = [suspect.split.drawings[row] for row in keep]
    return paired_interval(came(in_suspect, same), came(in_base, same), drawings, rng)


def _one_of_each_drawing(side: Side, keep: Indices, rng: np.random.Generator) -> Indices:
    """One picture of each of at most `MOST_UNDER_LEARNER` drawings, drawn by lot."""
    first: dict[str, int] = {}
    for row in rng.permutation(keep).tolist():
        first.setdefault(side.split.drawings[row], row)
    return np.sort(list(first.values())[:MOST_UNDER_LEARNER])


def _is_nearest(cosines: Floats, same: Bools) -> Floats:
    """Which pictures are nearer to one of these names than to every other, of cosines [m, c], 0 or 1 [m]."""
    nearest_other = cosines[:, ~same].max(axis=1, initial=-2.0)
    return np.asarray(cosines[:, same].max(axis=1) > nearest_other, np.float64)


def _is_near(cosines: Floats, same: Bools) -> Floats:
    """Which pictures have one of these names among the nearest of all, of cosines [m, c], 0 or 1 [m]."""
    near = metrics.among_nearest(cosines, NEAR_UNDER_LEARNER)[:, same]
    return np.asarray(near.any(axis=1), np.float64)
