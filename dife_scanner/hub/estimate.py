"""How much a hub holds within a scope, from the first page of each source: one request for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dife_scanner.errors import BadToken, HubError
from dife_scanner.hub import listing, query
from dife_scanner.hub.client import Hub
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.listing import Page
from dife_scanner.hub.poll import Plan
from dife_scanner.records import HubModel

FIRST_CLIP = datetime(2021, 1, 5, tzinfo=UTC)
"""When CLIP was published: nothing that is looked for is older."""
_SHORTEST_SPAN = 3600.0
"""Seconds. The newest models of a page may all be of one push."""


@dataclass(frozen=True)
class Extent:
    """What some sources hold since some time."""

    models: int
    """Distinct repositories."""
    requests: int
    """To read the listings."""
    exact: bool
    """Every source showed all of it on its first page; otherwise the pace of its newest models stands for earlier."""


def first_pages(hub: Hub, sources: Sequence[str], deadline: Deadline) -> dict[str, Page]:
    """The first page of each source that the hub shows. Raises what `Hub.pages` does where it shows none at all."""
    found: dict[str, Page] = {}
    failure: HubError | None = None
    for source in sources:
        try:
            found[source] = next(iter(hub.pages(source, deadline=deadline)))
        except BadToken:
            raise
        except HubError as error:
            failure = error
            if hub.answers == 0 or deadline.passed:
                break
    if failure is not None and not found:
        raise failure
    return found


def extent(pages: Mapping[str, Page], bound: datetime | None, now: datetime) -> Extent:
    """What the sources with these first pages hold since `bound`; `None`: all there is."""
    since = max(bound or FIRST_CLIP, FIRST_CLIP)
    listed = 0.0
    requests = 0
    exact = True
    for page in pages.values():
        shown = _within(page, since)
        estimated = float(shown)
        if page.next and not page.older_than(listing.utc(since)):
            estimated = max(estimated, _at_its_pace(page, since, now))
            exact = False
        listed += estimated
        requests += max(1, math.ceil(estimated / query.PAGE_SIZE))
    every = [page_model for page in pages.values() for page_model in page.models]
    distinct = len({model.repo_id for model in every}) / max(1, len(every))
    if exact:
        return Extent(len(sample(pages, since)), requests, exact=True)
    return Extent(round(listed * distinct), requests, exact=False)


def sample(pages: Mapping[str, Page], bound: datetime | None) -> tuple[HubModel, ...]:
    """The repositories on these pages that changed since `bound`, each once."""
    oldest = listing.utc(bound) if bound else ""
    found: dict[str, HubModel] = {}
    for page in pages.values():
        for model in page.models:
            if model.last_modified >= oldest:
                found.setdefault(model.repo_id, model)
    return tuple(found.values())


def scaled(plan: Plan, models: int) -> Plan:
    """The plan of a sample as one of `models` models of the same kind."""
    if plan.models == 0 or plan.models == models:
        return plan
    factor = models / plan.models
    states = {state: round(amount * factor) for state, amount in plan.states.items()}
    return replace(
        plan,
        models=models,
        auditable=round(plan.auditable * factor),
        states=states,
        bytes=round(plan.bytes * factor),
        requests=round(plan.requests * factor),
        hours=plan.hours * factor,
        exact=False,
    )


def _within(page: Page, since: datetime) -> int:
    oldest = listing.utc(since)
    return sum(model.last_modified >= oldest for model in page.models)


def _at_its_pace(page: Page, since: datetime, now: datetime) -> float:
    """How many models there would be since then if earlier ones came as often as those on the page."""
    dates = sorted(model.last_modified for model in page.models)
    if not dates:
        return 0.0
    shown = (now - datetime.fromisoformat(dates[0])).total_seconds()
    asked_for = (now - since).total_seconds()
    return len(dates) * asked_for / max(shown, _SHORTEST_SPAN)
