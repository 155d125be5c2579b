"""Pictures that come together at one point of an embedding space, whether any concept lies there or not.

What a pattern makes of clean pictures is compared with where these are: the point is a class of its own among theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dife_scanner.core import metrics
from dife_scanner.core.metrics import Floats, Labels

_SHORTEST = 1e-6
"""Least length that is divided by."""


@dataclass(frozen=True)
class OnePoint:
    """Where triggered pictures come together in one image tower, and where clean pictures of each class are."""

    level: Floats
    """What clean pictures share [d]: their mean. It is taken off everything, or it would hide what they differ in."""
    places: Floats
    """Unit directions from it [c + 1, d]: of each class, then of the point."""

    @classmethod
    def of(cls, clean: Floats, labels: Labels, triggered: Floats) -> OnePoint:
        """From clean pictures [n, d] with their classes [n], c of them, and triggered ones [m, d]."""
        level = clean.mean(axis=0)
        places = [clean[labels == label].mean(axis=0) for label in np.unique(labels)]
        places.append(triggered.mean(axis=0))
        return cls(level, _unit(np.stack(places) - level))

    def cosines(self, pictures: Floats) -> Floats:
        """Of pictures [n, d] with the place of each class and the point, which is the last, [n, c + 1]."""
        return metrics.cosines(_unit(pictures - self.level), self.places)

    def came(self, pictures: Floats) -> Floats:
        """Which pictures [n, d] are as near to the point as to any class, 0 or 1 [n].

        Where the point lies at a class, pictures of that class are there too: so come what a base makes of pictures
        that are hidden whole.
        """
        cosines = self.cosines(pictures)
        return np.asarray(cosines[:, -1] >= cosines[:, :-1].max(axis=1), np.float64)


def _unit(rows: Floats) -> Floats:
    rows = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, _SHORTEST))
