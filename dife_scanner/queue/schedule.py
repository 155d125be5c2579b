"""When to poll: apscheduler, which only sets a flag; what it reports about missed runs is passed on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

POLL = "poll"


class Schedule:
    """Calls `enqueue` at once and then every `interval` seconds, and `on_trouble` for every run that was not made."""

    def __init__(
        self, interval: float, enqueue: Callable[[], None], on_trouble: Callable[[str], None]
    ) -> None:
        from apscheduler import events
        from apscheduler.jobstores.memory import MemoryJobStore
        from apscheduler.schedulers.background import BackgroundScheduler

        self._trouble_texts = {
            events.EVENT_JOB_MISSED: "a poll was missed",
            events.EVENT_JOB_MAX_INSTANCES: "a poll was due while the one before was still being enqueued",
            events.EVENT_JOB_ERROR: "a poll could not be enqueued",
        }
        self._on_trouble = on_trouble
        self._scheduler = BackgroundScheduler(jobstores={"default": MemoryJobStore()}, timezone=UTC)
        self._scheduler.add_listener(self._listen, sum(self._trouble_texts))
        self._scheduler.add_job(
            enqueue,
            "interval",
            seconds=interval,
            id=POLL,
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def __enter__(self) -> Schedule:
        self._scheduler.start()
        return self

    def at_once(self) -> None:
        """Fire now, and count intervals from here: after the clock jumped nothing else is due when it should be."""
        self._scheduler.modify_job(POLL, next_run_time=datetime.now(UTC))

    def __exit__(self, *exit_: object) -> None:
        self._scheduler.shutdown(wait=False)

    def _listen(self, event: Any) -> None:
        text = self._trouble_texts[event.code]
        error = getattr(event, "exception", None)
        if error:
            text = f"{text}: {error}"
        self._on_trouble(text)
