"""Reading a source further back than its newest changes, page by page, in several runs.

A hub lists newest changes first and knows no dates to start from. Its address of a next page names the last model
before it and no position, so it stays good for as long as anybody likes: reading goes on there after a restart. What
changes meanwhile moves to the top, where `poll` finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from dife_scanner.durable import clock
from dife_scanner.errors import BadToken, HubError, HubUnavailable
from dife_scanner.hub import listing
from dife_scanner.hub.client import MAX_PAGES, Hub
from dife_scanner.hub.deadline import Deadline
from dife_scanner.records import HubModel, Reach

SLICE_PAGES = 10
"""Read before what they hold is kept: at most 5,000 models are read again after a crash."""
SHARE = 0.5
"""Of the hub's window that reading back may use up; the rest is for looking at models and their files."""


def covers(reach: Reach, bound: datetime | None) -> bool:
    """Whether everything since `bound` was read; `None`: everything there is."""
    if reach.ended:
        return True
    return bound is not None and bool(reach.oldest) and reach.oldest <= listing.utc(bound)


@dataclass(frozen=True)
class Slice:
    """What some pages of one source held."""

    models: tuple[HubModel, ...]
    malformed: tuple[str, ...]
    newest: str
    """The latest change on the first page of a source that is read from the top, at most now; empty otherwise."""
    reach: Reach
    error: HubError | None = None
    """What ended the reading behind these pages, where something did."""


def read_back(
    hub: Hub, source: str, reach: Reach, bound: datetime | None, *, deadline: Deadline
) -> Slice:
    """Read up to `SLICE_PAGES` more of a source, going back to `bound` (`None`: to its end), while there is room.

    Raises what `Hub.pages` does where not even one page could be read. An address that the hub no longer takes is given
    up: the next slice begins at the top again.
    """
    models: list[HubModel] = []
    malformed: list[str] = []
    newest = ""
    from_the_top = not reach.next
    found = reach
    oldest = listing.utc(bound) if bound else ""
    trouble: HubError | None = None
    try:
        for page in hub.pages(source, bound, deadline=deadline, start=reach.next):
            models += [model for model in page.models if model.last_modified >= oldest]
            malformed += page.malformed
            if from_the_top and found is reach:
                newest = max((model.last_modified for model in page.models), default="")
            found = _further(found, page, oldest)
            many = found.pages - reach.pages >= SLICE_PAGES
            enough = many or covers(found, bound) or not has_room(hub)
            if enough and page.next:  # else it ends by itself, or says why it cannot go on
                break
    except BadToken:
        raise
    except HubError as error:
        if found is reach and (from_the_top or isinstance(error, HubUnavailable)):
            raise
        trouble = error
        if not isinstance(error, HubUnavailable):
            found = Reach()
    at = listing.utc(clock.moment())
    return Slice(tuple(models), tuple(malformed), min(newest, at), found, trouble)


def _further(reach: Reach, page: listing.Page, bound: str) -> Reach:
    """The reach with one more page in it, of which what is older than `bound` was not kept."""
    dates = [model.last_modified for model in page.models]
    pages = reach.pages + 1
    if page.older_than(bound):
        # Whoever wants to go back further later reads this page again.
        return replace(reach, oldest=bound, pages=pages)
    return replace(
        reach,
        next=page.next,
        # A page out of order says of its own newest model only that everything up to there was shown.
        oldest=min(dates) if page.ordered and dates else max(dates, default=reach.oldest),
        ended=not page.next or pages >= MAX_PAGES,
        pages=pages,
    )


def has_room(hub: Hub) -> bool:
    """Whether the hub's present window leaves room for reading back, as far as the hub says."""
    rate = hub.rate
    if rate is None or rate.bucket != "api" or not rate.quota:
        return True
    return rate.remaining > rate.quota * (1 - SHARE)


def is_narrow(hub: Hub, sources: int) -> bool:
    """Whether a window of the hub, as far as it says, does not hold two requests for each of so many sources."""
    rate = hub.rate
    return rate is not None and rate.bucket == "api" and 0 < (rate.quota or 0) < 2 * sources
