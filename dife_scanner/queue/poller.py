"""One pass over the hub, and the requests of windows: both only enqueue."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dife_scanner.baselines.verifying import look_again
from dife_scanner.checkpoints import first_look
from dife_scanner.durable import clock
from dife_scanner.errors import BadToken, DifeError, HubError, LimitExceeded, UnusableEnvironment
from dife_scanner.hub import history, scopes
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.history import covers, has_room, is_narrow
from dife_scanner.hub.poll import longest_wait, poll
from dife_scanner.queue import in_use, targets
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import HubModel, ModelRef, Reach
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs, polls, requests, watchlist
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
    """Look up the models in use, read the listings down to what was read before, and go on reading further back.

    Raises the hub's errors where nothing could be read. A pass that is interrupted loses little: what a watermark or a
    reach says was read is recorded before it, and revisions already recorded are not recorded twice.
    """
    settings = work.settings
    hub = hub_for(settings, settings.endpoint)
    found = _Pass(store, hub, settings, Deadline(seconds or settings.limits.pass_seconds))
    found.look_up()
    found.read_listings()
    found.look_at_bases(work.channels)
    return found.end()


class _Pass:
    """One pass: what it has done so far, kept in the store step by step."""

    def __init__(self, store: Store, hub: Hub, settings: Settings, deadline: Deadline) -> None:
        self._store = store
        self._hub = hub
        self._settings = settings
        self._deadline = deadline
        self._requests_before = hub.requests
        self._seen: set[str] = set()
        self._new = 0
        self._looked = 0
        self._malformed = 0
        self._problems: list[str] = []
        self._errors: list[HubError | LimitExceeded] = []
        self._read = False
        """Whether any part of the pass brought something, were it only that there is nothing."""
        self._watermarks: dict[str, str] = {}
        self._sources: tuple[str, ...] = ()
        self._left_out = False
        """Whether a source that is not read to its end was not asked for in this pass."""
        self._in_use: dict[str, str] = {}
        """By repository, where it is used."""

    # --- the models in use --------------------------------------------------------------------------------------

    def look_up(self) -> None:
        """Queue the models in use, and learn from them which sources to read."""
        looked = in_use.look_up(
            self._store,
            self._hub,
            self._settings,
            self._deadline,
            lambda name: self._tell(f"looking up {name}, which is in use"),
        )
        self._looked = looked.seen
        self._new += looked.new
        self._problems += looked.problems
        if looked.error is not None:
            self._errors.append(looked.error)
        watched = watchlist.watched(self._store, self._hub.endpoint)
        for one in watched:
            self._in_use[one.found_as or one.wanted.repo_id] = one.wanted.place
        scope = self._settings.watch.in_force
        self._sources = scopes.sources(scope, self._settings.filters, watched)
        self._read = looked.seen > 0 or (not self._sources and looked.error is None)

    # --- the listings -------------------------------------------------------------------------------------------

    def read_listings(self) -> None:
        """Read what is new, then further back; each source in its turn, so that none is left out for ever.

        Where a window of the hub does not hold a request or two for each, what is new would take all of it every time:
        then reading back comes first, with the share of the window that it has.
        """
        if is_narrow(self._hub, len(self._sources)):
            self.read_back(narrow=True)
            if self._may_go_on():
                self.read_heads()
            return
        self.read_heads()
        self.read_back()

    def read_heads(self) -> None:
        """Read what changed since the last time, of the sources that were read before."""
        watermarks = polls.watermarks(self._store, self._hub.endpoint)
        heads, _ = polls.turns(self._store, self._hub.endpoint)
        before = [source for source in self._sources if source in watermarks]
        before.sort(key=lambda source: heads[source])
        if not before:
            return

        def on_page(source: str, page: int, seen: int) -> None:
            self._tell(f"reading {source}, page {page}: {seen:,} models so far")

        result = poll(
            self._hub,
            known=self._known(),
            watermarks=watermarks,
            overlap_seconds=self._settings.overlap_seconds,
            deadline=self._deadline,
            sources=before,
            progress=on_page,
        )
        self._read = True
        self._record(result.models)
        self._seen.update(result.repositories)
        self._malformed += result.malformed
        self._problems += result.problems
        self._errors += result.errors
        # One that was cut off had its turn all the same.
        self._watermarks = {source: watermarks[source] for source in result.tried}
        self._watermarks |= result.watermarks

    def read_back(self, *, narrow: bool = False) -> None:
        """Go on reading each source further back, to where the settings say.

        Time, the hub's window and whoever waits for this process with a request of their own end it for now. In a
        narrow window a source that was never read is left for the next one as well, where there is no room.
        """
        bound = self._settings.watch.back_to(clock.moment())
        reaches = polls.reaches(self._store, self._hub.endpoint)
        _, backs = polls.turns(self._store, self._hub.endpoint)
        for source in sorted(self._sources, key=lambda source: backs.get(source, "")):
            reach = reaches.get(source, Reach())
            if covers(reach, bound):
                continue
            if not self._may_go_on() or (narrow and not has_room(self._hub)):
                self._problems.append(_so_far(source, reach))
                self._left_out = True
                continue
            self._read_source_back(source, reach, bound)

    def _may_go_on(self) -> bool:
        """Whether the last error, if any, was of one source alone."""
        if self._deadline.passed or (self._errors and self._hub.answers == 0):
            return False
        return all(getattr(error, "retry_after", None) is None for error in self._errors)

    def _read_source_back(self, source: str, reach: Reach, bound: datetime | None) -> None:
        while not covers(reach, bound):
            if reach.next and (not has_room(self._hub) or requests.waiting(self._store)):
                self._problems.append(_so_far(source, reach))
                return
            self._tell(f"reading {source} back{_to(reach)}: {len(self._seen):,} models so far")
            try:
                found = history.read_back(self._hub, source, reach, bound, deadline=self._deadline)
            except BadToken:
                raise
            except (HubError, LimitExceeded) as error:
                self._failed(source, error)
                return
            self._read = True
            self._record_slice(source, found, begun=bool(reach.next))
            if found.error is not None:
                self._failed(source, found.error)
                return
            reach = found.reach

    def _record_slice(self, source: str, found: history.Slice, *, begun: bool) -> None:
        known = self._known()
        self._record([model for model in found.models if known.get(model.repo_id) != model.sha])
        self._seen.update(model.repo_id for model in found.models)
        self._malformed += len(found.malformed)
        for reason, amount in sorted(Counter(found.malformed).items()):
            self._problems.append(f"{amount} × {reason}")
        # One that shows nothing yet is read from the top each time: it costs a request, and what comes first is found.
        reach = found.reach if begun or found.newest else Reach()
        polls.keep_reach(self._store, self._hub.endpoint, source, reach, found.newest)

    def _failed(self, source: str, error: HubError | LimitExceeded) -> None:
        self._errors.append(error)
        self._problems.append(f"{source}: {error.what}")

    # --- clean bases --------------------------------------------------------------------------------------------

    def look_at_bases(self, channels: Sequence[str]) -> None:
        """Notice that the repository of a clean base changed, though no audit needs the base now."""
        if self._may_go_on():
            look_again(self._store, self._hub, channels, self._deadline)

    # --- keeping ------------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, str]:
        return jobs.known(self._store, self._hub.endpoint)

    def _record(self, models: Sequence[HubModel]) -> None:
        """Record new revisions. With a token, gated and private models are looked at before they are judged."""
        self._new += len(models)
        for start in range(0, len(models), _BATCH):
            with self._store.atomic("jobs.discover"):
                for model in models[start : start + _BATCH]:
                    self._discover(model)

    def _discover(self, model: HubModel) -> None:
        manifest = first_look(model, self._hub.has_token)
        reason = DISCOVERED
        if manifest.state.is_final:
            reason = manifest.reason
        jobs.discover(
            self._store,
            ModelRef(model.repo_id, model.sha),
            endpoint=self._hub.endpoint,
            state=manifest.state,
            reason=reason,
            model=model,
            manifest=manifest,
            in_use=self._in_use.get(model.repo_id, ""),
        )

    def _tell(self, note: str) -> None:
        polls.beat(self._store, "poller", os.getpid(), note)

    def end(self) -> PassResult:
        """The result, which is kept too. Raises what kept the pass from reading anything at all."""
        if self._errors and not self._read:
            raise self._errors[0]
        bound = self._settings.watch.back_to(clock.moment())
        complete = not self._errors and not self._left_out and self._is_read(bound)
        result = PassResult(
            seen=len(self._seen) + self._looked,
            new=self._new,
            malformed=self._malformed,
            requests=self._hub.requests - self._requests_before,
            complete=complete,
            problems=tuple(self._problems),
            retry_after=longest_wait(self._errors),
        )
        polls.complete_pass(
            self._store,
            self._hub.endpoint,
            self._watermarks,
            result.seen,
            result.new,
            result.malformed,
            requests=result.requests,
            complete=complete,
            problems="; ".join(result.problems)[:2000],
        )
        return result

    def _is_read(self, bound: datetime | None) -> bool:
        """Whether no source is left to be read further back; one that shows nothing is none."""
        reaches = polls.reaches(self._store, self._hub.endpoint)
        watermarks = polls.watermarks(self._store, self._hub.endpoint)
        for source in self._sources:
            if source in watermarks and not covers(reaches.get(source, Reach()), bound):
                return False
        return True


def _so_far(source: str, reach: Reach) -> str:
    """How far a source was read that is not read to its end."""
    return f"{source}: read back{_to(reach)} so far, the next pass goes on"


def _to(reach: Reach) -> str:
    return f" to {reach.oldest[:10]}" if reach.oldest else ""


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
