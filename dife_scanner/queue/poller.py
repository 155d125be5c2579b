"""One pass over the hub, and the requests of windows: both only enqueue."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.checkpoints import first_look
from dife_scanner.errors import DifeError, UnusableEnvironment
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.poll import SOURCES, PollResult, poll
from dife_scanner.queue import targets
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import HubModel, ModelRef
from dife_scanner.store import Store, jobs, polls, requests
from dife_scanner.store.requests import RequestKind

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

DISCOVERED = "new on the hub"
_BATCH = 200
"""Models recorded in one short transaction."""


@dataclass(frozen=True)
class PassResult:
    """What one pass did."""

    seen: int
    new: int
    malformed: int
    requests: int
    complete: bool
    problems: tuple[str, ...]
    retry_after: float | None = None

    @property
    def shortfall(self) -> str:
        """Why the pass is not complete, in words; empty where it is."""
        if self.complete:
            return ""
        first, *others = self.problems or ("not every source was read to its end",)
        return f"{first} (and {len(others)} more)" if others else first


def poll_pass(store: Store, work: Work, *, seconds: float | None = None) -> PassResult:
    """Read the listings down to what was read before and record every new revision; then advance the watermarks.

    Raises the hub's errors where no source could be read. A pass that is interrupted loses nothing: the watermarks
    stay, and revisions already recorded are not recorded twice.
    """
    settings = work.settings
    hub = hub_for(settings, settings.endpoint)

    def on_page(source: str, page: int, seen: int) -> None:
        polls.beat(
            store, "poller", os.getpid(), f"reading {source}, page {page}: {seen:,} models so far"
        )

    result = poll(
        hub,
        known=jobs.known(store, settings.endpoint),
        watermarks=polls.watermarks(store, settings.endpoint),
        overlap_seconds=settings.overlap_seconds,
        deadline=Deadline(seconds or settings.limits.pass_seconds),
        sources=settings.filters or SOURCES,
        progress=on_page,
    )
    record(store, settings.endpoint, result, token=hub.has_token)
    return PassResult(
        seen=result.seen,
        new=len(result.models),
        malformed=result.malformed,
        requests=result.requests,
        complete=result.complete,
        problems=result.problems,
        retry_after=result.retry_after,
    )


def record(store: Store, endpoint: str, result: PollResult, *, token: bool = False) -> None:
    """Record what a pass found: all models first; the watermarks last, and only after a complete pass.

    With a `token`, gated and private models are looked at before they are judged.
    """
    for start in range(0, len(result.models), _BATCH):
        with store.atomic("jobs.discover"):
            for model in result.models[start : start + _BATCH]:
                _discover(store, endpoint, model, token)
    watermarks = result.watermarks if result.complete else {}
    polls.complete_pass(
        store,
        endpoint,
        watermarks,
        result.seen,
        len(result.models),
        result.malformed,
        requests=result.requests,
        complete=result.complete,
        problems="; ".join(result.problems)[:2000],
    )


def _discover(store: Store, endpoint: str, model: HubModel, token: bool) -> None:
    manifest = first_look(model, token)
    reason = DISCOVERED
    if manifest.state.is_final:
        reason = manifest.reason
    jobs.discover(
        store,
        ModelRef(model.repo_id, model.sha),
        endpoint=endpoint,
        state=manifest.state,
        reason=reason,
        model=model,
        manifest=manifest,
    )


def serve_requests(store: Store, work: Work) -> list[str]:
    """Enqueue the scans that windows and other commands requested; returns what could not be, in words.

    Raises `UnusableEnvironment` once all others are served; requests that need a hub then wait.
    """
    settings = work.settings

    def make_hub() -> Hub:
        return hub_for(settings, settings.endpoint)

    problems = []
    unusable: UnusableEnvironment | None = None
    for request in requests.waiting(store):
        if request.kind is RequestKind.SCAN:
            try:
                targets.enqueue(store, request.target, settings.limits, make_hub)
            except UnusableEnvironment as error:
                unusable = error
                continue
            except DifeError as error:
                log.warning("a requested scan was not queued: %s", error.what)
                problems.append(error.what)
        requests.take(store, request.id)
    if unusable is not None:
        raise unusable
    return problems
