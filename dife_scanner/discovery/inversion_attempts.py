"""Finished inversions, and the best of them for each target class."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from dife_scanner.discovery.pattern_families import PatternFamily
from dife_scanner.discovery.target_success import Successes
from dife_scanner.records import Trigger

if TYPE_CHECKING:
    from dife_scanner.discovery.pattern_families import Weights


@dataclass(frozen=True)
class Attempt:
    """One finished inversion, with its effect on the search half."""

    family: PatternFamily
    trigger: Trigger
    target: str
    """Name of a class of `success`."""
    effect: float
    """Success over the base's, -1..1."""
    full_size: Trigger
    """The trigger before it was made smaller."""
    success: Successes = field(compare=False, repr=False)
    """What its effect is measured by: the task's classes, or these and its target."""
    weights: Weights = field(default=(), compare=False, repr=False)
    """The free numbers of that one."""
    given_up: bool = False
    """Whether its inversion was hopeless and ended early: nothing may be found by it."""

    @property
    def column(self) -> int:
        """Number of the target among the classes of `success`."""
        return self.success[0].class_names.index(self.target)


def finished(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Those that were not given up."""
    return [attempt for attempt in attempts if not attempt.given_up]


class Targeted(Protocol):
    """What a search found for one target, with its effect on the search half."""

    @property
    def target(self) -> Hashable:
        """The class."""

    @property
    def effect(self) -> float:
        """Success over the base's, -1..1."""


Result = TypeVar("Result", bound=Targeted)


def best_of_each_target(attempts: Iterable[Result]) -> list[Result]:
    """The attempt with the largest effect on each target, largest first."""
    best: dict[Hashable, Result] = {}
    for attempt in sorted(attempts, key=lambda attempt: -attempt.effect):
        best.setdefault(attempt.target, attempt)
    return list(best.values())
