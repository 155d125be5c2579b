"""When something is due: apscheduler, which only sets flags; what it reports about missed runs is passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

POLL = "a poll"


@dataclass(frozen=True)
class Regular:
    """Something that is due at once and then every `seconds`."""

    name: str
    """With its article, such as `a poll`: for sentences."""
    seconds: float
    enqueue: Callable[[], None]


class Schedule:
    """Calls `enqueue` of each when it is due, and `on_trouble` for every run that was not made."""

    def __init__(self, regular: Sequence[Regular], on_trouble: Callable[[str], None]) -> None:
        from apscheduler import events
        from apscheduler.jobstores.memory import MemoryJobStore
        from apscheduler.schedulers.background import BackgroundScheduler

        self._trouble_texts = {
            events.EVENT_JOB_MISSED: "was missed",
            events.EVENT_JOB_MAX_INSTANCES: "was due while the one before was still being enqueued",
            events.EVENT_JOB_ERROR: "could not be enqueued",
        }
        self._on_trouble = on_trouble
        self._scheduler = BackgroundScheduler(jobstores={"default": MemoryJobStore()}, timezone=UTC)
        self._scheduler.add_listener(self._listen, sum(self._trouble_texts))
        for one in regular:
            self._scheduler.add_job(
                one.enqueue,
                "interval",
                seconds=one.seconds,
                id=one.name,
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
        text = f"{event.job_id} {self._trouble_texts[event.code]}"
        error = getattr(event, "exception", None)
        if error:
            text = f"{text}: {error}"
        self._on_trouble(text)
