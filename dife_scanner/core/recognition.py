"""Which classes a checkpoint recognises without any trigger, and whether a claim about them can be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.core.metrics import Floats
from dife_scanner.records import Recognition

RECOGNISED = 0.5
"""Share of the held-out pictures of a class that have to be taken for it. A demonstration asks for the same share: of
pictures that are read as something else, a planted trigger moves too few to be seen (measured: a string planted for a
class read at .19 moved .38)."""
MOST_UNRECOGNISED = 0.1
"""Share of the labelled classes that a base may not recognise where it knows enough concepts beyond them. Targets are
then read against all concepts, and texts are compared without pictures, so that little hangs on one class; of a class
that is not recognised nothing is claimed."""
FEWEST_CLASSES = 2
"""Recognised classes below which nothing can be searched: a trigger turns one class into another."""


def recognition(
    scores: Floats,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    styles: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Recognition:
    """Share of the pictures that are taken for their own class, by class and by style.

    `scores` [n, c] of the pictures with every class prompt, `labels` [n]; `styles` [n] where they are known. Where not
    every class has a picture, `only` names those that have.

    >>> found = recognition(np.eye(2), np.array([0, 1]), ["cat", "dog"], ["ink", "ink"])
    >>> found.classes, found.styles
    ({'cat': 1.0, 'dog': 1.0}, {'ink': 1.0})
    """
    right = metrics.accuracy(scores, labels)
    names = np.array([class_names[label] for label in labels])
    by_class = _shares(right, names, only or class_names)
    by_style = _shares(right, np.array(styles), sorted(set(styles))) if styles else {}
    return Recognition(by_class, by_style)


def _shares(right: Floats, groups: NDArray[np.str_], order: Sequence[str]) -> dict[str, float]:
    names, places = np.unique(groups, return_inverse=True)
    # One pass over the pictures, however many groups there are.
    rows = np.argsort(places, kind="stable")
    ends = np.cumsum(np.bincount(places, minlength=len(names)))
    parts = np.split(right[rows], ends[:-1])
    by_name = dict(zip(names.tolist(), parts, strict=True))
    return {group: round(float(by_name[group].mean()), 6) for group in order}


def recognised(shares: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the classes, or styles, of which at least `RECOGNISED` of the pictures are."""
    return tuple(name for name, share in shares.items() if share >= RECOGNISED)


def lacking(shares: Mapping[str, float]) -> tuple[str, ...]:
    """The others, the least recognised first."""
    rest = [name for name, share in shares.items() if share < RECOGNISED]
    return tuple(sorted(rest, key=lambda name: shares[name]))


def is_searchable(found: Recognition) -> bool:
    """Whether enough classes are recognised for a search to find anything."""
    return len(recognised(found.classes)) >= FEWEST_CLASSES
