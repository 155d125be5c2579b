"""Which concepts and styles of the wide probe set a base recognises among all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core.metrics import Floats
from dife_scanner.core.recognition import FEWEST_CLASSES, recognised, recognition
from dife_scanner.records import Recognition

FEWEST_CONCEPTS = 12
"""Qualified concepts below which no claim is made: there are not enough others to tell a target from."""
NO_RIVAL = -2.0
"""A score below every cosine: of a concept that nothing can be taken for."""


def among_all(
    scores: Floats,
    labels: NDArray[np.int64],
    names: Sequence[str],
    styles: Sequence[str],
    near: Mapping[str, Sequence[str]],
) -> Recognition:
    """Share of the pictures that are taken for their own concept among all `names` but those `near` to it.

    `scores` [n, c] of the pictures with every concept's prompt, `labels` [n] into `names`, `styles` [n]. A style's
    share is over recognised concepts: whether a base reads a hand is not told by things that it does not know.

    >>> scores = np.array([[0.5, 0.9, 0.1], [0.4, 0.2, 0.3]])
    >>> found = among_all(scores, np.array([0, 2]), ["cow", "ox", "cup"], ["ink", "ink"], {"cow": ["ox"]})
    >>> found.classes, found.styles
    ({'cow': 1.0, 'cup': 0.0}, {'ink': 1.0})
    """
    rivals = np.where(_near(names, near)[labels], NO_RIVAL, scores)
    shown = [names[label] for label in np.unique(labels)]
    by_concept = recognition(rivals, labels, names, only=shown).classes
    known = set(recognised(by_concept))
    rows = np.array([names[label] in known for label in labels], dtype=bool)
    by_style = dict.fromkeys(sorted(set(styles)), 0.0)
    if rows.any():
        told = [style for style, row in zip(styles, rows, strict=True) if row]
        only = [names[label] for label in np.unique(labels[rows])]
        by_style |= recognition(rivals[rows], labels[rows], names, told, only=only).styles
    return Recognition(by_concept, by_style)


def _near(names: Sequence[str], near: Mapping[str, Sequence[str]]) -> NDArray[np.bool_]:
    """[c, c]: whether the second name is near to the first."""
    place = {name: number for number, name in enumerate(names)}
    found = np.zeros((len(names), len(names)), dtype=bool)
    for name, others in near.items():
        for other in others:
            if name in place and other in place:
                found[place[name], place[other]] = True
    return found


def is_enough(found: Recognition, labelled: Sequence[str]) -> bool:
    """Whether a base recognises enough of the set, and of the `labelled` classes, for a claim to be made."""
    known = set(recognised(found.classes))
    return len(known) >= FEWEST_CONCEPTS and len(known & set(labelled)) >= FEWEST_CLASSES
