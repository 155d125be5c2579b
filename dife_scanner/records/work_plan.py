"""Which searches an audit's time was for, in passes."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.vocabulary import Budget


@dataclass(frozen=True)
class PlannedSearch:
    """One search of a plan, with about what it takes."""

    detector: str
    images: int
    """Forward passes of one picture; a way back counts as one …"""
    texts: int
    """… and of one text."""
    effort: Budget | None = None
    """The smaller budget whose effort it makes, as the time is too short for that of the audit's own; `None`: the
    audit's own."""


@dataclass(frozen=True)
class WorkPlan:
    """What an audit does in the time that it was granted, decided before its first search. `docs/any-time.md`."""

    seconds: float
    """Granted, together with what the audits were that it goes on from."""
    searches: tuple[PlannedSearch, ...] = ()
    """Those that run, in this order."""
    not_reached: tuple[PlannedSearch, ...] = ()
    """Those that the time is too short for, in the order in which more time goes to them; of one that runs with a
    smaller effort, what it would be with the audit's own."""
    reverse: bool = True
    """Whether a reverse search runs where one is due."""
    seconds_per_image: float = 0.0
    """Of a pass, as it was measured (`discovery/cost.py`); 0 where none of that kind is planned …"""
    seconds_per_text: float = 0.0
    """… and of one text."""
    after: str = ""
    """Id of the audit that it goes on from."""

    @property
    def is_cut(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.not_reached) or not self.reverse

    @property
    def depth(self) -> tuple[tuple[PlannedSearch, ...], bool]:
        """What of the plan decides what an audit comes to."""
        return self.searches, self.reverse

    def seconds_of(self, search: PlannedSearch) -> float:
        """About how long a search takes at the rates of this plan."""
        return search.images * self.seconds_per_image + search.texts * self.seconds_per_text
