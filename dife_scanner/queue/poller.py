"""One pass over the hub, and what windows asked for: both only enqueue."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from dife_scanner.checkpoints import first_look
from dife_scanner.errors import DifeError
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.poll import SOURCES, PollResult, poll
from dife_scanner.queue import targets
from dife_scanner.queue.worker import Work, hub_for
from dife_scanner.records import HubModel, ModelRef
from dife_scanner.store import Store, jobs, polls, requests

log = logging.getLogger(__name__)

DISCOVERED = "new on the hub"
_BATCH = 200
"""Models recorded in one short transaction."""


@dataclass(frozen=True)
class Passed:
    """What one pass did."""

    seen: int
    new: int
    malformed: int
    requests: int
    complete: bool
    problems: tuple[str, ...]
    retry_after: float | None = None


def poll_pass(store: Store, work: Work, *, seconds: float | None = None) -> Passed:
    """Read the listings down to what was read before and record every new revision; then advance the watermarks.

    Raises the hub's errors where no source could be read. A pass that is interrupted loses nothing: the watermarks
    stay, and revisions already recorded are not recorded twice.
    """
    settings = work.settings
    hub = hub_for(settings, settings.endpoint)
    result = poll(
        hub,
        known=jobs.known(store, settings.endpoint),
        watermarks=polls.watermarks(store, settings.endpoint),
        overlap_seconds=settings.overlap_seconds,
        deadline=Deadline(seconds or settings.limits.pass_seconds),
        sources=settings.filters or SOURCES,
        progress=lambda source, page, seen: polls.beat(
            store, "poller", os.getpid(), f"reading {source}, page {page}: {seen:,} models so far"
        ),
    )
    record(store, settings.endpoint, result, token=hub.has_token)
    return Passed(
        seen=result.seen,
        new=len(result.models),
        malformed=result.malformed,
        requests=result.requests,
        complete=result.complete,
        problems=result.problems,
        retry_after=result.retry_after,
    )


def record(store: Store, endpoint: str, result: PollResult, *, token: bool = False) -> None:
    """All models first; the watermarks last, and only after a complete pass.

    With a `token`, gated and private models are looked at before they are judged.
    """
    for start in range(0, len(result.models), _BATCH):
        with store.atomic("jobs.discover"):
            for model in result.models[start : start + _BATCH]:
                _discover(store, endpoint, model, token)
    polls.complete_pass(
        store,
        endpoint,
        result.watermarks if result.complete else {},
        result.seen,
        len(result.models),
        result.malformed,
        requests=result.requests,
        complete=result.complete,
        problems="; ".join(result.problems)[:2000],
    )


def _discover(store: Store, endpoint: str, model: HubModel, token: bool) -> None:
    found = first_look(model, token)
    jobs.discover(
        store,
        ModelRef(model.repo_id, model.sha),
        endpoint=endpoint,
        state=found.state,
        reason=found.reason if found.state.is_final else DISCOVERED,
        model=model,
        manifest=found,
    )


def serve_requests(store: Store, work: Work) -> list[str]:
    """Enqueue what windows and other commands asked to scan; returns what could not be, in words."""
    settings = work.settings
    problems = []
    for request in requests.waiting(store):
        if request.kind == "scan":
            try:
                targets.enqueue(store, request.target, settings.limits, lambda: hub_for(settings, settings.endpoint))
            except DifeError as error:
                log.warning("the scan somebody asked for was not queued: %s", error.what)
                problems.append(error.what)
        requests.take(store, request.id)
    return problems
