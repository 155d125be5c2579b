"""Finished inversions, and the best of them for each target class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from dife_scanner.discovery.pattern_families import PatternFamily
from dife_scanner.records import Trigger

if TYPE_CHECKING:
    from dife_scanner.discovery.pattern_families import Weights


@dataclass(frozen=True)
class Attempt:
    """One finished inversion, with its effect on the search half."""

    family: PatternFamily
    trigger: Trigger
    target: int
    effect: float
    """Success over the base's, -1..1."""
    full_size: Trigger
    """The trigger before it was made smaller."""
    weights: Weights = field(default=(), compare=False, repr=False)
    """The free numbers of that one."""


class Targeted(Protocol):
    """What a search found for one target, with its effect on the search half."""

    @property
    def target(self) -> int:
        """Number of the class."""

    @property
    def effect(self) -> float:
        """Success over the base's, -1..1."""


Result = TypeVar("Result", bound=Targeted)


def best_of_each_target(attempts: Iterable[Result]) -> list[Result]:
    """The attempt with the largest effect on each target, largest first."""
    best: dict[int, Result] = {}
    for attempt in sorted(attempts, key=lambda attempt: -attempt.effect):
        best.setdefault(attempt.target, attempt)
    return list(best.values())
