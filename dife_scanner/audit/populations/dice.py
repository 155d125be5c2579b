"""Random choices that come out the same on every machine and every Python: only `random.Random.random` is used."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of choices that depends on what it is made for, as `str` writes that, and on nothing else.

    >>> Dice("scene", 0).below(1000) == Dice("scene", 0).below(1000)
    True
    """

    def __init__(self, *purpose: object) -> None:
        key = "\0".join(map(str, purpose))
        digest = sha256(key.encode()).digest()
        seed = int.from_bytes(digest[:16], "big")
        self._random = Random(seed).random

    def below(self, count: int) -> int:
        """A whole number in 0 .. count - 1."""
        return int(self._random() * count)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def chance(self, share: float) -> bool:
        """True in `share` of all throws."""
        return self._random() < share

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options, sorted by one random key each."""
        # `Random.shuffle` may change between Python versions; a sort by keys does not.
        keys = [self._random() for _ in options]
        order = sorted(range(len(options)), key=keys.__getitem__)
        return [options[place] for place in order]
