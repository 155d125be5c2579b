"""What turns one list of keys into the next, as runs of rows that go and come; without Qt."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

MOST_RUNS = 60
"""Runs that are told one by one; of more, views are told once that the whole list was laid out anew."""
_MANY_TIMES = 8
"""A list so many times as long as the other is another list: to compare 100,000 keys with 200 takes 20 ms."""
_FEW = 1000
"""Keys that are compared whatever the other list has."""


@dataclass(frozen=True)
class Steps:
    """First rows go, then what is left takes its new order, then rows come."""

    new: array[int]
    gone: tuple[tuple[int, int], ...] = ()
    """First and last row of each run, the last run first, so that the places of the others stay true."""
    reordered: bool = False
    come: tuple[tuple[int, int], ...] = ()
    """First and last row of each run, in the new list, the first run first."""
    other: bool = False
    """Whether it is another list, of which nothing is told in runs."""

    @property
    def at_once(self) -> bool:
        """Whether there are too many runs to tell them one by one."""
        return self.other or self.reordered or len(self.gone) + len(self.come) > MOST_RUNS

    def __bool__(self) -> bool:
        return bool(self.gone or self.come or self.reordered or self.other)


def steps(old: array[int], new: array[int]) -> Steps:
    """Compare two lists in which no key stands twice. Equal beginnings and ends cost next to nothing."""
    begin = _equal_beginning(old, new)
    end = _equal_end(old, new, begin)
    before, after = old[begin : len(old) - end], new[begin : len(new) - end]
    shorter, longer = sorted((len(before), len(after)))
    if not shorter:
        return Steps(new, _one_run(begin, len(before)), come=_one_run(begin, len(after)))
    if longer > max(_MANY_TIMES * shorter, _FEW):
        return Steps(new, other=True)
    stays, known = set(after), set(before)
    left = [key for key in before if key in stays]
    found = [key for key in after if key in known]
    gone = runs([at for at, key in enumerate(before, begin) if key not in stays])
    come = runs([at for at, key in enumerate(after, begin) if key not in known])
    return Steps(new, tuple(reversed(gone)), left != found, tuple(come))


def _one_run(first: int, count: int) -> tuple[tuple[int, int], ...]:
    return ((first, first + count - 1),) if count else ()


def runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring places together, as first and last; `places` go up."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place - 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _equal_beginning(old: array[int], new: array[int]) -> int:
    """How many keys both begin with, found by halving: bytes are compared many at once."""
    first, second = memoryview(old).cast("B"), memoryview(new).cast("B")
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low * 8 : middle * 8] == second[low * 8 : middle * 8]:
            low = middle
        else:
            high = middle - 1
    return low


def _equal_end(old: array[int], new: array[int], begin: int) -> int:
    """How many keys both end with, beside those that they begin with."""
    first, second = memoryview(old).cast("B"), memoryview(new).cast("B")
    low, high = 0, min(len(old), len(new)) - begin
    while low < high:
        middle = (low + high + 1) // 2
        same = first[len(first) - middle * 8 : len(first) - low * 8]
        if same == second[len(second) - middle * 8 : len(second) - low * 8]:
            low = middle
        else:
            high = middle - 1
    return low
