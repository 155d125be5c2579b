"""What is known to go wrong with apscheduler, one test each, and that what is due does not depend on it."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from apscheduler.jobstores.memory import MemoryJobStore
from packaging.requirements import Requirement
from queue_kit import work_for
from waiting import BUSY_SECONDS, until

from dife_scanner.durable import jumps
from dife_scanner.durable.clock import later
from dife_scanner.queue import watch as watching
from dife_scanner.queue.schedule import BEAT, POLL, Due, Regular, Schedule
from dife_scanner.queue.watch import watch
from dife_scanner.records import JobState, ModelRef
from dife_scanner.store import Store, job_rows, jobs, leases, polls


def test_the_schedule_fires_at_once_and_tells_of_trouble() -> None:
    fired: list[float] = []
    troubles: list[str] = []

    def enqueue() -> None:
        fired.append(time.monotonic())
        if len(fired) == 2:
            raise RuntimeError("no")

    with Schedule([Regular("a poll", 3600, enqueue)], troubles.append):
        until(lambda: fired, 10)
    fired.clear()
    with Schedule([Regular("a poll", 0.2, enqueue)], troubles.append):
        until(lambda: len(fired) > 2 and troubles, 10)
    assert troubles == ["a poll could not be enqueued: no"]


def test_a_run_that_was_missed_is_told_of_and_later_ones_are_made() -> None:
    """No run of ours is dropped for being late; should a version drop one all the same, the watcher says so."""
    fired: list[float] = []
    troubles: list[str] = []
    with Schedule([Regular(POLL, 3600, lambda: fired.append(0))], troubles.append) as schedule:
        until(lambda: fired, BUSY_SECONDS)
        late = datetime.now(UTC) - timedelta(hours=5, minutes=30)
        schedule._scheduler.modify_job(POLL, misfire_grace_time=1, next_run_time=late)
        until(lambda: troubles, BUSY_SECONDS)
        assert troubles[0] == f"{POLL} was missed" and len(fired) == 1
        schedule.at_once()
        until(lambda: len(fired) == 2, BUSY_SECONDS)


def test_a_schedule_fires_once_for_all_that_a_machine_slept_through() -> None:
    """`misfire_grace_time` would drop it, and without `coalesce` each missed run would be made."""
    fired: list[float] = []
    with Schedule([Regular(POLL, 3600, lambda: fired.append(0))], pytest.fail) as schedule:
        until(lambda: fired, BUSY_SECONDS)
        asleep = datetime.now(UTC) - timedelta(hours=5)
        schedule._scheduler.modify_job(POLL, next_run_time=asleep)
        until(lambda: len(fired) == 2, BUSY_SECONDS)
        (job,) = schedule._scheduler.get_jobs()
        assert job.next_run_time > datetime.now(UTC)  # and the next one is an interval later
        assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (True, 1, None)
        assert job.trigger.jitter is None, "one-sided, it would add up"
        schedule.at_once()
        until(lambda: len(fired) == 3, BUSY_SECONDS)


def test_a_run_that_hangs_is_told_of_and_does_not_stop_later_ones() -> None:
    release, fired, troubles = threading.Event(), [0], [""]

    def hang() -> None:
        fired[0] += 1
        release.wait(BUSY_SECONDS)

    with Schedule([Regular(POLL, 0.2, hang)], lambda text: troubles.append(text)):
        until(lambda: any("still being enqueued" in text for text in troubles), BUSY_SECONDS)
        release.set()
        until(lambda: fired[0] >= 2, BUSY_SECONDS)


def test_everything_is_due_at_once_and_taken_once() -> None:
    """An interval of apscheduler first ends after itself; here each is due when the process starts."""
    due = Due({POLL: 3600.0, BEAT: 3600.0})
    with Schedule(due.regular, pytest.fail):
        until(lambda: due.waits(POLL) and due.waits(BEAT))
        assert due.take(POLL) and not due.take(POLL) and due.take(BEAT)
    due.want(BEAT)
    assert due.take(BEAT) and not due.waits(POLL)


@pytest.mark.parametrize("hours", [5.0, -5.0])
def test_after_a_clock_that_was_set_everything_is_due(
    hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments that were waited for by the old clock lie hours ahead by the new one, or a sleep away."""
    due = Due({POLL: 3600.0, BEAT: 3600.0})
    with Schedule(due.regular, pytest.fail) as schedule:
        until(lambda: due.take(POLL))
        until(lambda: due.take(BEAT))
        assert schedule.tend() == 0.0
        real = time.time
        monkeypatch.setattr(jumps.time, "time", lambda: real() + 3600 * hours)
        assert schedule.tend() == pytest.approx(3600 * hours, abs=BUSY_SECONDS)
        until(lambda: due.take(POLL))
        until(lambda: due.take(BEAT))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_schedule_whose_thread_ends_is_told_of_and_started_again() -> None:
    """Nothing else would notice: what it should wake just sleeps on."""
    troubles: list[str] = []
    due = Due({POLL: 3600.0})
    with Schedule(due.regular, troubles.append) as schedule:
        until(lambda: due.take(POLL))
        broken = schedule._scheduler
        broken._process_jobs = None  # calling it ends the thread
        broken.wakeup()
        until(lambda: not broken._thread.is_alive())
        schedule.tend()
        assert troubles == ["the schedule stopped and was started again"]
        until(lambda: due.take(POLL))


def test_no_interval_stalls_or_doubles_where_summer_time_begins_or_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the zone of the machine some versions wait an hour at one of these two moments, or do not go on."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        schedule = Schedule([Regular(BEAT, 10.0, lambda: None)], pytest.fail)
        (job,) = schedule._scheduler.get_jobs() or [
            entry for entry, *_ in schedule._scheduler._pending_jobs
        ]
        zone = schedule._scheduler.timezone
        job.trigger.timezone = zone
        for change in ("2027-03-28T00:59:55", "2027-10-31T00:59:55"):
            at = datetime.fromisoformat(change).replace(tzinfo=UTC)
            for moment in (at, at + timedelta(minutes=1)):
                assert at.astimezone().utcoffset() and not moment.astimezone(zone).utcoffset()
            job.trigger.start_date = at
            for _ in range(3):
                following = job.trigger.get_next_fire_time(at, at)
                assert following.timestamp() - at.timestamp() == 10.0
                at = following
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_version_is_one_without_the_stall_and_none_before_its_release() -> None:
    """3.11.3 repairs sub-minute intervals where summer time begins; of 4 there are only previews."""
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    (written,) = re.findall(r'"(apscheduler[<>=][^"]*)"', pyproject.read_text())
    allowed = Requirement(written).specifier
    assert "3.11.3" in allowed and "3.11.2" not in allowed
    assert not allowed.contains("4.0.0a6", prereleases=True)
    assert version("apscheduler") in allowed


def test_nothing_is_kept_in_a_store_of_jobs() -> None:
    """Such a store pickles what it calls, and would tell the next process what is due beside the database."""
    with Schedule([Regular(POLL, 3600, threading.Event().set)], pytest.fail) as schedule:
        (kept,) = schedule._scheduler._jobstores.values()
        assert isinstance(kept, MemoryJobStore)


def test_what_came_due_while_nothing_ran_is_done_by_the_next_watcher(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due stands in the database: whoever was killed before lost nothing by it. The sign of life is
    written whenever the schedule says so, so that one that stands still is seen from outside.
    """
    monkeypatch.setattr(job_rows, "RECHECK_SECONDS", -1.0)
    ref = ModelRef("org/gated", "a" * 40)
    gated = jobs.discover(store, ref, endpoint="hub", state=JobState.GATED, reason="ask")
    monkeypatch.undo()
    taken = jobs.discover(
        store, ModelRef("org/held", "a" * 40), endpoint="hub", state=JobState.QUEUED, reason=""
    )
    leases.claim_job(store, taken.id, "elsewhere:1:1.00", -60.0)
    monkeypatch.setattr(watching, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(watching, "_auditors", lambda work, executor: [])
    stop = threading.Event()
    work = work_for(store.home, "http://127.0.0.1:9")
    watcher = threading.Thread(target=watch, args=(work,), kwargs={"stop": stop})
    watcher.start()
    try:
        until(lambda: jobs.job(store, gated.id).state is JobState.QUEUED)
        until(lambda: jobs.job(store, taken.id).lost_leases == 1)
        first = until(lambda: [beat.at for beat in polls.beats(store) if beat.role == "watcher"])
        until(
            lambda: [
                1 for beat in polls.beats(store) if beat.role == "watcher" and beat.at > first[0]
            ]
        )
    finally:
        stop.set()
        watcher.join(BUSY_SECONDS)
    assert not watcher.is_alive()
    assert (jobs.job(store, gated.id).next_check_at or "") < later(1)
    assert jobs.counts(store) == {"queued": 2}
