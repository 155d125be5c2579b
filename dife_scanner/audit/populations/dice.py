"""Random choices that come out the same on every machine and every Python: only `random.Random.random` is used."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of choices that depends on what it is made for and on nothing else.

    >>> Dice("scene", 0).below(1000) == Dice("scene", 0).below(1000)
    True
    """

    def __init__(self, *purpose: object) -> None:
        key = "\0".join(str(part) for part in purpose)
        self._random = Random(int.from_bytes(sha256(key.encode()).digest()[:16], "big")).random

    def below(self, count: int) -> int:
        """0 .. count - 1."""
        return int(self._random() * count)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def chance(self, share: float) -> bool:
        return self._random() < share

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        keys = [self._random() for _ in options]
        return [options[i] for i in sorted(range(len(options)), key=keys.__getitem__)]
