"""A search with the effort of a smaller budget than its audit's: what is made before it is left out altogether."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dife_scanner.discovery.interface import Detector, Load, SearchResult, Task
from dife_scanner.records import Budget, Channel


@dataclass(frozen=True)
class Lowered:
    """A detector at the effort of `budget`, whatever its task's is. Everything else of the task stays."""

    whole: Detector
    budget: Budget

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def channel(self) -> Channel:
        return self.whole.channel

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.whole.kinds

    def alone(self) -> Lowered | None:
        whole = self.whole.alone()
        return None if whole is None else replace(self, whole=whole)

    def applies(self, task: Task) -> bool:
        return self.whole.applies(self._of(task))

    def lacks(self, task: Task) -> str:
        return self.whole.lacks(self._of(task))

    def load(self, task: Task) -> Load:
        return self.whole.load(self._of(task))

    def search(self, task: Task) -> SearchResult:
        return self.whole.search(self._of(task))

    def _of(self, task: Task) -> Task:
        return replace(task, budget=self.budget)


def ways(detector: Detector, task: Task) -> tuple[Detector, ...]:
    """The efforts that a task leaves a detector, from the smallest on; the last is the detector itself.

    One that does not apply at a smaller budget cannot be lowered to it.
    """
    budgets = list(Budget)
    smaller = budgets[: budgets.index(task.budget)]
    lowered = [Lowered(detector, budget) for budget in smaller]
    return (*[one for one in lowered if one.applies(task)], detector)
