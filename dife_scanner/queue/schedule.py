"""When something is due: apscheduler, which only sets flags; what it says of runs that were not made is passed on.

It keeps nothing. What there is to do stands in the home, mostly in its database, so a process that is killed loses no
run: the next one looks at everything at once. A process that has something to do now and then has a schedule of its
own, as whoever is killed while holding a flag that two processes share would hold up the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dife_scanner.durable.jumps import Jumps

POLL = "a poll"
RECHECKS = "a look for re-checks"
RETENTION = "a look for retention"
LEASES = "a look for lost leases"
EXPIRY = "a look for decisions that end"
BEAT = "a sign of life"
ALERTS = "a look for alerts and digests"
NEWS = "a look for news and the daily report"
SWITCH = "a call to the dead man's switch"
CLEANUP = "a clean-up"
RENEWALS = "a renewal of leases"


@dataclass(frozen=True)
class Regular:
    """Something that is due at once and then every `seconds`."""

    name: str
    """With its article, such as `a poll`: for sentences."""
    seconds: float
    enqueue: Callable[[], None]


class Due:
    """What has come due and was not taken yet; how often it came due meanwhile does not count."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._flags = {name: threading.Event() for name in seconds}
        self._seconds = dict(seconds)

    @property
    def regular(self) -> tuple[Regular, ...]:
        """For a `Schedule`."""
        return tuple(
            Regular(name, seconds, self._flags[name].set) for name, seconds in self._seconds.items()
        )

    def want(self, *names: str) -> None:
        """Let these be due now."""
        for name in names:
            self._flags[name].set()

    def waits(self, name: str) -> bool:
        """Whether it is due."""
        return self._flags[name].is_set()

    def take(self, name: str) -> bool:
        """Whether it is due; from now on it is not."""
        if not self._flags[name].is_set():
            return False
        self._flags[name].clear()
        return True


class Schedule:
    """Calls `enqueue` of each when it is due, and `on_trouble` for every run that was not made."""

    def __init__(self, regular: Sequence[Regular], on_trouble: Callable[[str], None]) -> None:
        self._regular = tuple(regular)
        self._on_trouble = on_trouble
        self._jumps = Jumps()
        self._scheduler = self._made()

    def _made(self) -> Any:
        from apscheduler import events
        from apscheduler.jobstores.memory import MemoryJobStore
        from apscheduler.schedulers.background import BackgroundScheduler

        self._trouble_texts = {
            events.EVENT_JOB_MISSED: "was missed",
            events.EVENT_JOB_MAX_INSTANCES: "was due while the one before was still being enqueued",
            events.EVENT_JOB_ERROR: "could not be enqueued",
        }
        # In UTC no hour is left out or comes twice.
        made = BackgroundScheduler(jobstores={"default": MemoryJobStore()}, timezone=UTC)
        made.add_listener(self._listen, sum(self._trouble_texts))
        for one in self._regular:
            made.add_job(
                one.enqueue,
                "interval",
                seconds=one.seconds,
                id=one.name,
                next_run_time=datetime.now(UTC),
                misfire_grace_time=None,
                coalesce=True,
                max_instances=1,
            )
        return made

    def __enter__(self) -> Schedule:
        self._scheduler.start()
        return self

    def __exit__(self, *exit_: object) -> None:
        self._scheduler.shutdown(wait=False)

    def tend(self) -> float:
        """Keep it right, called now and then; returns seconds by which the clock jumped since the last time, mostly 0.

        Where the machine slept or its clock was set, everything is due now: the schedule waits by a clock that stood
        still, for moments of one that was set.
        """
        if not self._scheduler._thread.is_alive():
            self._on_trouble("the schedule stopped and was started again")
            with suppress(Exception):  # it is broken already
                self._scheduler.shutdown(wait=False)
            self._scheduler = self._made()
            self._scheduler.start()
        jump = self._jumps.seconds()
        if jump:
            self.at_once()
        return jump

    def at_once(self) -> None:
        """Let everything be due now, and count intervals from here."""
        for one in self._regular:
            self._scheduler.modify_job(one.name, next_run_time=datetime.now(UTC))

    def _listen(self, event: Any) -> None:
        text = f"{event.job_id} {self._trouble_texts[event.code]}"
        error = getattr(event, "exception", None)
        if error:
            text = f"{text}: {error}"
        self._on_trouble(text)
