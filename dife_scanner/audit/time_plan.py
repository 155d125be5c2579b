"""Which searches an audit's time is for, and with what effort: decided before the first of them, from what passes take
here. No clock decides anything afterwards. `docs/any-time.md` has the picture.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dife_scanner import discovery
from dife_scanner.audit import faults, reverse_search, search
from dife_scanner.audit.request import Grant
from dife_scanner.audit.search import Options, Prospect
from dife_scanner.audit.stages import Stage
from dife_scanner.core import checks
from dife_scanner.core.recognition import is_searchable
from dife_scanner.discovery import Detector, Load, Lowered, cost
from dife_scanner.discovery.cost import Rates
from dife_scanner.records import Budget, Channel, PlannedSearch, WorkPlan

FOUND = {
    "texts": 75 / 143,
    "patch": 62 / 143,
    "faint": 49 / 76,
    "warp and colour": 0 / 76,
    "joint": 18 / 21,
    "prompt learner": 12 / 12,
}
"""Share of the benchmark's attacks that each search finds where it runs, as `benchmarks/found_by_search.py` counts it
over the committed rows. Over the seconds that a search takes here it is what that search finds per second."""
MARGIN = 1.5
"""By how much an estimate may exceed the limit of every audit: it is no more than an estimate, and a high one. What
somebody granted by hand it may not exceed."""
MEASURING = {Budget.QUICK: 4_000, Budget.DEFAULT: 7_000, Budget.DEEP: 42_000}
"""Pictures that checks, diagnosis and profile of a finding encode in both models (docs/benchmarks.md), about …"""
KEPT_FREE = 0.25
"""… for which at most this share of the time is kept."""


@dataclass(frozen=True)
class Planned:
    """A stage whose request says which searches run."""

    stage: Stage
    rates: Rates | None = None
    """What passes take here, where that was measured."""


def planned(stage: Stage, options: Options) -> Planned:
    """Decide which searches the time is for. All of them where it is enough, where nothing bounds it, and where nothing
    can be measured.
    """
    grant = stage.request.grant
    if grant is None or stage.request.replays or not options.plan.detectors:
        return Planned(stage)
    try:
        if stage.request.reference is not None and not is_searchable(stage.recognition):
            return Planned(stage)
        work, rates = _Choice(stage, options, grant).made()
    except Exception as error:  # searches can do without
        faults.reason(error, "plan of the searches")
        return Planned(stage)
    return Planned(replace(stage, request=stage.request.with_work(work)), rates)


class _Choice:
    """What is chosen from, and for how long."""

    def __init__(self, stage: Stage, options: Options, grant: Grant) -> None:
        self._stage = stage
        self._options = options
        self._grant = grant
        self._what = _prospect(stage, options)
        self._applying = self._what.applying
        everything = sum(map(self._load, self._applying), start=Load(0, 0))
        self._rates = cost.rates(everything, self._what.task)

    def made(self) -> tuple[WorkPlan | None, Rates]:
        """The plan, `None` where everything fits and nothing went before; second, what passes take."""
        finished = [one for one in self._applying if self._is_finished(one)]
        left = [one for one in self._applying if one not in finished]
        chosen = self._fitting(left, self._allowed())
        runs = [*finished, *chosen]
        not_reached = self._not_reached(left, chosen)
        reverse = self._reverse_fits(runs, whole=not not_reached)
        work = WorkPlan(
            seconds=self._grant.before + self._grant.seconds,
            searches=self._as_planned(runs),
            not_reached=self._as_planned(not_reached),
            reverse=reverse,
            seconds_per_image=self._rates.per_image,
            seconds_per_text=self._rates.per_text,
            after=self._grant.after,
        )
        return (work if work.is_cut or work.after else None), self._rates

    def _allowed(self) -> float:
        """Seconds that searches may take by estimate."""
        gone = time.monotonic() - self._stage.began
        if not self._grant.by_hand:
            return MARGIN * (self._grant.seconds - gone)
        measuring = MEASURING[self._options.plan.budget] * self._rates.per_image
        return self._grant.seconds - gone - min(measuring, KEPT_FREE * self._grant.seconds)

    def _fitting(self, left: Sequence[Detector], allowed: float) -> list[Detector]:
        """Those that fit, in the order of what they find per second; one that does not leaves room for a later one.

        None is left out for another's larger effort: first each has its least, then the most that there is time for.
        """
        chosen: list[Detector] = []
        for one in self._in_order(left):
            least = self._ways(one)[0]
            if self._is_finished(least) or self._seconds_left([*chosen, least]) <= allowed:
                chosen.append(least)
        for place, least in enumerate(chosen):
            others = [*chosen[:place], *chosen[place + 1 :]]
            for way in self._ways(_whole(least))[1:]:
                if self._seconds_left([*others, way]) <= allowed:
                    chosen[place] = way
        return chosen

    def _ways(self, detector: Detector) -> tuple[Detector, ...]:
        """The efforts that it may still be made with, from the least on: none below one that it has finished with."""
        every = discovery.ways(detector, self._what.task)
        finished = [place for place, way in enumerate(every) if self._is_finished(way)]
        return every[max(finished, default=0) :]

    def _not_reached(self, left: Sequence[Detector], chosen: Sequence[Detector]) -> list[Detector]:
        """Those that do not run, then those that run with a smaller effort."""
        unreached = [one for one in self._in_order(left) if one not in chosen]
        run = {one.name for one in chosen}
        unreached.sort(key=lambda one: one.name in run)
        return unreached

    def _in_order(self, detectors: Sequence[Detector]) -> list[Detector]:
        """What finds most per second first; each channel's best before any channel's second."""
        by_rate = sorted(detectors, key=self._seconds_per_find)
        ranked = []
        seen: list[Channel] = []
        for one in by_rate:
            ranked.append((seen.count(one.channel), one))
            seen.append(one.channel)
        ranked.sort(key=lambda pair: pair[0])
        return [one for _, one in ranked]

    def _seconds_per_find(self, detector: Detector) -> float:
        share = FOUND.get(detector.name, 0.0)
        least = discovery.ways(detector, self._what.task)[0]
        return self._seconds([least]) / share if share else float("inf")

    def _seconds(self, detectors: Sequence[Detector]) -> float:
        return sum(self._rates.seconds(self._load(one)) for one in detectors)

    def _seconds_left(self, detectors: Sequence[Detector]) -> float:
        """What has finished before costs nothing."""
        return self._seconds([one for one in detectors if not self._is_finished(one)])

    def _is_finished(self, detector: Detector) -> bool:
        return search.is_finished(detector, self._options)

    def _load(self, detector: Detector) -> Load:
        return detector.load(self._what.task)

    def _reverse_fits(self, runs: Sequence[Detector], *, whole: bool) -> bool:
        """Whether a reverse search by the same searches fits as well, where one may become due.

        Where every search fits into the limit of every audit, what is left of that decides when it is due.
        """
        if self._what.task.alone or (whole and not self._grant.by_hand):
            return True
        if reverse_search.accuracy_lost(self._stage.splits.test) < checks.ACCURACY_LOST:
            return True
        the_other_way = replace(self._options, reverse=True)
        again = [
            one
            for one in runs
            if one.channel in reverse_search.CHANNELS and not search.is_finished(one, the_other_way)
        ]
        return self._seconds_left(runs) + self._seconds(again) <= self._allowed()

    def _as_planned(self, detectors: Sequence[Detector]) -> tuple[PlannedSearch, ...]:
        planned = []
        for one in detectors:
            load = self._load(one)
            effort = one.budget if isinstance(one, Lowered) else None
            planned.append(PlannedSearch(one.name, load.images, load.texts, effort))
        return tuple(planned)


def _whole(detector: Detector) -> Detector:
    """The search with the effort of its audit's budget."""
    return detector.whole if isinstance(detector, Lowered) else detector


def _prospect(stage: Stage, options: Options) -> Prospect:
    """What there is to search, with a base or without."""
    if stage.request.reference is None:
        return search.prospect_alone(stage.encoders.suspect, stage.splits.train.suspect, options)
    return search.prospect(stage.encoders, stage.splits, options)
