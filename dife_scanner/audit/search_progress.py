"""What is told while searches run: which one, how far, what is found so far, how fast, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dife_scanner.discovery import Detector, Load, Task
from dife_scanner.discovery.cost import Rates
from dife_scanner.progress import Progress
from dife_scanner.records import Hypothesis
from dife_scanner.sentences.work_plan import found_text, left_text, rates_text

_SURE_SECONDS = 5.0
"""Of estimated work, after which what it really took corrects the estimate of what is left."""


class SearchProgress:
    """Turns the steps of searches into progress; nothing that is searched depends on it."""

    def __init__(
        self, progress: Progress, rates: Rates | None, task: Task, left: Sequence[Detector]
    ) -> None:
        self._progress = progress
        self._rates = rates
        self._phase = "searching without a base" if task.alone else "searching"
        self._estimates = _estimates(rates, task, left)
        self._behind = 0.0
        self._now = ""
        self._lifts: list[float] = []
        self._began = time.monotonic()

    def begin(self, detector: Detector, number: int, of: int) -> None:
        """A search begins, the one before it is over."""
        self._behind += self._estimates.pop(self._now, 0.0)
        self._now = detector.name
        self._progress(self._phase, number, of, self._note(detector.name, 0.0))

    def leave_out(self, detector: Detector) -> None:
        """A search is not made after all."""
        self._estimates.pop(detector.name, None)

    def within(self, what: str, done: int, of: int) -> None:
        """A step of the search that runs."""
        share = min(1.0, done / of) if of else 0.0
        self._progress(f"searching: {self._now}", done, of, self._note(what, share))

    def found(self, confirmed: Sequence[Hypothesis]) -> None:
        """What a search handed over, measured where it did not search."""
        self._lifts += [one.lift for one in confirmed]

    def end(self, of: int) -> None:
        """All searches are over."""
        self._progress(self._phase, of, of)

    def _note(self, what: str, share: float) -> str:
        """What is wanted most comes first: where there is little room, the end is cut."""
        parts = []
        if self._rates is not None:
            parts.append(left_text(self._seconds_left(share)))
        if self._lifts:
            parts.append(found_text(len(self._lifts), max(self._lifts)))
        if self._rates is not None:
            parts.append(rates_text(self._rates.per_image, self._rates.per_text))
        return " · ".join(filter(None, [*parts, what]))

    def _seconds_left(self, share: float) -> float:
        """What is left by estimate, corrected by how long the work behind really took."""
        ahead = sum(self._estimates.values())
        done = share * self._estimates.get(self._now, 0.0)
        behind = self._behind + done
        if behind < _SURE_SECONDS:
            return ahead - done
        return (ahead - done) * (time.monotonic() - self._began) / behind


def _estimates(rates: Rates | None, task: Task, left: Sequence[Detector]) -> dict[str, float]:
    """Seconds of each search that is left, by its name; none where nothing was measured."""
    if rates is None:
        return {}
    loads: dict[str, Load] = {one.name: one.load(task) for one in left}
    return {name: rates.seconds(load) for name, load in loads.items()}
