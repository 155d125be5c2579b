"""Where names lead in a text tower, and which of them mean the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dife_scanner.core.metrics import Bools, Floats
from dife_scanner.errors import MeasurementError

SAME_MEANING = 0.85
"""Cosine of two names' directions from the mean prompt above which they mean the same."""
_LEVELLED_BY = 64
"""Names whose prompts under a template say what all prompts under it share."""


def levelling(names: Sequence[str]) -> Sequence[str]:
    """Some of many names, evenly over all: the mean of their prompts is what all prompts under one template share."""
    return names[:: max(1, len(names) // _LEVELLED_BY)]


@dataclass(frozen=True)
class Directions:
    """Where each name's prompt leads from the mean of all prompts, in one text tower."""

    names: tuple[str, ...]
    rows: Floats
    """[c, d], of length one; zero for a prompt that is the mean itself."""

    @classmethod
    def of(cls, names: Sequence[str], prompts: Floats) -> Directions:
        """From the prompts [c, d] of many names: text embeddings share most of their direction, whatever they say."""
        apart = prompts - prompts.mean(axis=0)
        lengths = np.linalg.norm(apart, axis=1, keepdims=True)
        return cls(tuple(names), np.asarray(apart / np.maximum(lengths, 1e-6)))

    def cosine(self, first: str, second: str) -> float:
        """Of two names' directions, -1..1. Raises `MeasurementError` for a name that is not among them."""
        return float(self._row(first) @ self._row(second))

    def mean_the_same(self, first: str, second: str) -> bool:
        """Whether two names are one class."""
        return first == second or self.cosine(first, second) > SAME_MEANING

    def same_as(self, name: str) -> Bools:
        """Which names mean the same as one [c], itself among them."""
        same = self.rows @ self._row(name) > SAME_MEANING
        same[self.names.index(name)] = True
        return np.asarray(same)

    def nearest(self, name: str, among: Iterable[str]) -> list[str]:
        """Names by their cosine to `name`, the nearest first; of equal ones the first by name."""
        return sorted(among, key=lambda other: (-self.cosine(name, other), other))

    def _row(self, name: str) -> Floats:
        if name not in self.names:
            raise MeasurementError(f"no prompt of `{name}` was embedded")
        return np.asarray(self.rows[self.names.index(name)])
