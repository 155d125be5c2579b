"""Carry alerts from the outbox to their channels: at least once, and none is ever lost.

A row leaves the outbox only after its channel accepted it, so a crash in between costs at most a second copy, with the
same Message-ID. A channel that does not take an alert gets it again after a growing pause; after `ATTEMPTS` attempts
over about three days the row is put aside as dead, stays listed, and `dife alerts retry` starts it afresh.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from dife_scanner.alerts import planning
from dife_scanner.alerts.calendar import after, quiet_until
from dife_scanner.alerts.channels import AlertChannel
from dife_scanner.alerts.messages import Message, Picture, message, trial
from dife_scanner.durable.clock import now as this_moment
from dife_scanner.errors import AlertFailed, DifeError
from dife_scanner.records import Alert, Notice, Thread
from dife_scanner.settings import Alerts
from dife_scanner.store import Store, outbox

log = logging.getLogger(__name__)

ATTEMPTS = 20
FIRST_PAUSE = 60.0
"""Seconds; doubled with each attempt."""
LONGEST_PAUSE = 6 * 3600.0
_AT_ONCE = Alerts(group_seconds=0)
"""Rules where nobody says otherwise: nothing waits for others."""

Draw = Callable[[Notice], Picture | None]
"""Draws what a finding was measured to do; `None` where there is nothing to draw. It raises nothing."""

_END_OF_TIME = "9999-12-31T23:59:59.999999+00:00"


@dataclass(frozen=True)
class Delivered:
    """What one pass did, in alerts."""

    sent: int = 0
    failed: int = 0
    """Will be tried again."""
    dead: int = 0
    """Put aside in this pass."""
    unrouted: int = 0
    """Due on a channel that is not configured; left as they are."""


def deliver(
    store: Store,
    channels: Sequence[AlertChannel],
    now: str,
    *,
    rules: Alerts = _AT_ONCE,
    draw: Draw = lambda about: None,
    rng: random.Random | None = None,
) -> Delivered:
    """Plan what came, and send what is due at `now`.

    Returns once every channel has nothing due, failed once, or required a pause. Each sends in a thread of its own, one
    message at a time, so a dead one does not delay the others.
    """
    waiting = outbox.pending(store, _END_OF_TIME)
    planning.plan(store, waiting, rules, now)
    due = outbox.pending(store, now)
    if not due:
        return Delivered()
    total = Delivered(unrouted=_count_unrouted(due, channels))
    paused = outbox.paused(store, now)
    quiet = bool(quiet_until(rules, now))
    routes = []
    for channel in channels:
        if channel.name not in paused:
            routes.append(_Route(channel, rules, quiet, rng or random.Random()))
    with ThreadPoolExecutor(max_workers=max(1, len(routes)), thread_name_prefix="alerts") as pool:
        running: dict[Future[Thread | None], tuple[_Route, list[Alert]]] = {}

        def start(route: _Route) -> None:
            batch = route.next_batch(store, now)
            if batch:
                written = _written(store, route.channel, batch, draw)
                sending = pool.submit(route.channel.send, written)
                running[sending] = (route, batch)

        for route in routes:
            start(route)
        while running:
            ended = wait(running, return_when=FIRST_COMPLETED).done
            for sending in ended:
                route, batch = running.pop(sending)
                total = _sum(total, route.record_result(store, batch, sending, now))
                if route.open:
                    start(route)
    return total


def test_message(channel: AlertChannel) -> None:
    """Send a message that says it is a test. Raises `AlertFailed` or `SettingsError` where it is not accepted."""
    channel.send(trial(channel.name, this_moment()))


def _together(due: Sequence[Alert]) -> list[Alert]:
    """The oldest alert, and those that it is sent together with."""
    if not due or due[0].batch == planning.ALONE:
        return list(due[:1])
    return [alert for alert in due if alert.batch == due[0].batch]


def _count_unrouted(due: Sequence[Alert], channels: Sequence[AlertChannel]) -> int:
    names = {channel.name for channel in channels}
    return sum(alert.channel not in names for alert in due)


def _sum(a: Delivered, b: Delivered) -> Delivered:
    return replace(
        a,
        sent=a.sent + b.sent,
        failed=a.failed + b.failed,
        dead=a.dead + b.dead,
    )


def _written(store: Store, channel: AlertChannel, batch: Sequence[Alert], draw: Draw) -> Message:
    """A batch as the channel is given it: with a picture where it can show one, and the thread that it goes on with."""
    about = batch[0].about
    if len(batch) > 1 or not isinstance(about, Notice):
        written = message(batch)
    else:
        picture = draw(about) if channel.takes_pictures else None
        thread = outbox.thread_of(store, channel.name, about.ref.repo_id)
        written = replace(message(batch, picture), thread=thread)
    everywhere = set(batch[0].taken).intersection(*(alert.taken for alert in batch))
    return replace(written, taken=tuple(sorted(everywhere)))


class _Route:
    """One channel during one pass."""

    def __init__(
        self, channel: AlertChannel, rules: Alerts, quiet: bool, rng: random.Random
    ) -> None:
        self.channel = channel
        self.open = True
        """Cleared by the first failure of the pass."""
        self._rules = rules
        self._quiet = quiet
        self._rng = rng
        self._works = False

    def next_batch(self, store: Store, now: str) -> list[Alert]:
        """What is urgent first, one by one; then the oldest batch due, or everything waiting where that is a storm.

        A backlog counts as one, due or not, as soon as the channel has shown that it works again.
        """
        waiting = []
        for alert in outbox.pending(store, _END_OF_TIME):
            if alert.channel == self.channel.name:
                waiting.append(alert)
        due = [alert for alert in waiting if alert.due_at <= now]
        urgent = [alert for alert in due if alert.batch in planning.EAGER]
        if urgent or self._quiet:
            return urgent[:1]
        soon = []
        for alert in waiting:
            if alert.attempts or alert.batch.startswith(planning.SINGLE):
                soon.append(alert)
        is_storm = sum(alert.due_at <= now for alert in soon) > self._rules.storm
        is_backlog = self._works and len(soon) > self._rules.storm
        if is_storm or is_backlog:
            return soon
        return _together(due)

    def record_result(
        self, store: Store, batch: list[Alert], sending: Future[Thread | None], now: str
    ) -> Delivered:
        """Write down how `sending` ended."""
        try:
            thread = sending.result()
        except DifeError as error:
            return self._failed(store, batch, error, now)
        except (
            Exception
        ) as error:  # a message we cannot compose must not hold up the others, nor get lost
            log.exception("alert %s could not be sent through %s", batch[0].id, self.channel.name)
            return self._failed(
                store, batch, DifeError(f"internal error: {type(error).__name__}"), now
            )
        with store.atomic("outbox.sent"):
            about = batch[0].about
            if thread is not None and isinstance(about, Notice):
                outbox.keep_thread(store, self.channel.name, about.ref.repo_id, thread)
            for alert in batch:
                outbox.tell_what_was_decided_meanwhile(store, alert)
                outbox.sent(store, alert.id, now)
        self._works = True
        return Delivered(sent=len(batch))

    def _failed(self, store: Store, batch: list[Alert], error: DifeError, now: str) -> Delivered:
        self.open = False
        log.warning("alerts through %s are delayed: %s", self.channel.name, error.what)
        asked_for = 0.0
        taken: tuple[str, ...] = ()
        if isinstance(error, AlertFailed):
            asked_for = min(error.retry_after or 0.0, LONGEST_PAUSE)
            taken = error.taken
        if asked_for:
            outbox.pause(store, self.channel.name, after(now, asked_for))
        failed = 0
        dead = 0
        chance = self._rng.random()  # one for all, so that a batch stays together
        for alert in batch:
            if alert.due_at > now:
                continue  # was sent along in a digest; its own attempt is still ahead
            if (alert.attempts + 1) % ATTEMPTS == 0:
                outbox.dead(store, alert.id, error.what)
                dead += 1
            else:
                retry_at = after(now, max(pause(alert.attempts, chance), asked_for))
                have_it = {*alert.taken, *taken}
                outbox.failed(store, alert.id, error.what, retry_at, tuple(have_it))
                failed += 1
        return Delivered(failed=failed, dead=dead)


def pause(attempts: int, chance: float) -> float:
    """Seconds to wait after one more failure: doubling, a fifth longer by `chance` at most; afresh when revived."""
    doubled = FIRST_PAUSE * 2.0 ** (attempts % ATTEMPTS)
    return min(doubled, LONGEST_PAUSE) * (1 + chance / 5)
