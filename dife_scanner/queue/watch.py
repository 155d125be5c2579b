"""The watcher: one per home. Supervises a poll pass, workers and the alert sender, each a process of its own.

It does no work itself, so nothing that hangs or dies can take it along: a pass past its wall-clock deadline is killed,
a worker that dies is started again, and every child ends with it, however it ends.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from filelock import FileLock, Timeout

from dife_scanner.durable.clock import later, now
from dife_scanner.errors import (
    AlreadyWatching,
    ClusterUnavailable,
    DifeError,
    DiskFull,
    StoreBusy,
    UnusableEnvironment,
)
from dife_scanner.queue import devices
from dife_scanner.queue.alert_sender import alerts_main
from dife_scanner.queue.children import (
    GAVE_UP,
    BriefChild,
    EndedPass,
    PassChild,
    SteadyChild,
    local_main,
    process_context,
    stop_all,
    work_main,
)
from dife_scanner.queue.hanging import longest_silence
from dife_scanner.queue.lease import gone
from dife_scanner.queue.poller import PassResult
from dife_scanner.queue.processes import start_child
from dife_scanner.queue.retention import LOOK_SECONDS, is_due, retention_main
from dife_scanner.queue.schedule import (
    BEAT,
    EXPIRY,
    LEASES,
    POLL,
    RECHECKS,
    RETENTION,
    Due,
    Regular,
    Schedule,
)
from dife_scanner.queue.stopping import GRACE_SECONDS, give_back, take_from_hung
from dife_scanner.queue.work import Work
from dife_scanner.records import Job, JobState
from dife_scanner.sentences.times import span_text
from dife_scanner.store import (
    Patience,
    Store,
    jobs,
    leases,
    open_store,
    polls,
    requests,
    triage,
)
from dife_scanner.store.job_rows import HELD
from dife_scanner.store.requests import RequestKind

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
BEAT_SECONDS = 10.0
RECHECK_SECONDS = 60.0
"""Between looks for what is to be looked at again; each is due a week after the last time."""
ONCE_PATIENCE_SECONDS = 30.0
"""`once` waits for a job that is due again within this, and leaves later ones to the next run."""
ONCE_ALERT_SECONDS = 60.0
HELD_SECONDS = 2.0
"""For how long nothing can be written before that is reported."""
FULL_SECONDS = 5.0
"""Between attempts while the disk is full."""
_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Executor:
    """What audits instead of workers on this machine: one child, which hands jobs on."""

    role: str
    """Of its signs of life."""
    name: str
    target: Callable[[Work], None]


class EventKind(StrEnum):
    """What happened while watching."""

    STARTED = "started"
    POLL_STARTED = "poll-started"
    POLL = "poll"
    POLL_FAILED = "poll-failed"
    REQUEST_FAILED = "request-failed"
    JOB = "job"
    PROGRESS = "progress"
    RESTARTED = "restarted"
    TROUBLE = "trouble"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Event:
    """Something a person or a script following the watcher may want to know."""

    kind: EventKind
    at: str
    text: str
    job: Job | None = None
    """For `job`: as it stood after this change."""
    data: dict[str, Any] = field(default_factory=dict)
    """Numbers of a pass, or the advice of an error."""


@dataclass(frozen=True)
class Summary:
    """The result of a run of the watcher."""

    passes: int
    """Passes that ended by themselves."""
    jobs: tuple[Job, ...]
    """Every job that changed while it ran, as it stands now."""
    waiting: int
    """Jobs left for later."""
    error: DifeError | None = None
    """Why the (last) pass failed."""
    seen: int = 0
    """Models that the (last) pass saw."""
    shortfall: str = ""
    """Why the (last) pass is not complete; empty where it is."""


def watch(
    work: Work,
    *,
    once: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: threading.Event | None = None,
    executor: Executor | None = None,
) -> Summary:
    """Watch until stopped (SIGTERM, SIGINT or `stop`); with `once`, one pass, all due jobs, due alerts, and return.

    Interval and number of workers are those of the settings; an `executor` takes the workers' place for models of the
    hub. Raises `AlreadyWatching` for a second one on this home, and the store's errors. A pass that fails is news to
    `on_event` and stands in the summary; it ends nothing.
    """
    stop = stop or threading.Event()
    with _opened(work) as store, _only_watcher(work), _stopped_by_signals(stop):
        return _Watcher(store, work, once, on_event, stop, executor).run()


def _opened(work: Work) -> Store:
    """The watcher's own handle: its loop goes on meanwhile, and waits for nobody who holds the database."""
    return open_store(work.home, patience=Patience(_PATIENCE_SECONDS, log.debug))


@contextmanager
def _only_watcher(work: Work) -> Iterator[None]:
    try:
        with FileLock(work.home / "watch.lock").acquire(timeout=0):
            yield
    except Timeout:
        raise AlreadyWatching(
            f"another watcher holds {work.home}",
            "stop it first (`dife status` shows it), or use another --home",
        ) from None


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {}
    for number in wanted:
        before[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _auditors(work: Work, executor: Executor | None) -> list[SteadyChild]:
    """The children that take jobs, each bound to a device; checkpoints on this disk never leave it."""
    if executor is None:
        found = devices.of_workers(work.settings)
        return [SteadyChild("worker", work_main, _bound(work, one, len(found))) for one in found]
    elsewhere = SteadyChild(executor.role, executor.target, work)
    return [elsewhere, SteadyChild("worker", local_main, work)]


def _bound(work: Work, device: str, workers: int) -> Work:
    """The work of one of so many workers, on its device."""
    settings = work.settings.model_copy(update={"device": device, "workers": workers})
    return replace(work, settings=settings)


def _seconds(work: Work) -> dict[str, float]:
    """What a watcher looks at, and how often."""
    return {
        POLL: work.settings.interval_seconds,
        RECHECKS: RECHECK_SECONDS,
        RETENTION: LOOK_SECONDS,
        LEASES: BEAT_SECONDS,
        EXPIRY: BEAT_SECONDS,
        BEAT: BEAT_SECONDS,
    }


class _Watcher:
    """One run of the watcher."""

    def __init__(
        self,
        store: Store,
        work: Work,
        once: bool,
        on_event: Callable[[Event], None],
        stop: threading.Event,
        executor: Executor | None,
    ) -> None:
        self._store = store
        self._work = work
        self._once = once
        self._on_event = on_event
        self._stop = stop
        self._due = Due(_seconds(work))
        self._retention = BriefChild("retention", retention_main, work)
        self._troubles: list[str] = []
        self._pass = PassChild(work)
        self._executor = executor
        self._steady = _auditors(work, executor)
        self._workers = len(self._steady)
        if work.channels and not once:
            self._steady.append(SteadyChild("alerts", alerts_main, work))
        self._first_event = jobs.last_event(store)
        self._last_event = self._first_event
        self._passes = 0
        self._error: DifeError | None = None
        self._result: PassResult | None = None
        self._held_since: float | None = None
        """Since when nothing could be written; `None` where the last attempt could."""
        self._held = False
        """Whether that was reported."""
        self._full = False
        """Whether it was reported that the disk is full, and not yet that it has room again."""
        self._longest_silence = longest_silence(work.settings.limits.checkpoint_bytes)
        """Seconds."""
        self._began = now()
        self._given_up: dict[str, str] = {}
        """By role of a child that could do nothing, why."""
        self._notes: dict[int, str] = {}
        """By process, the last note it sent."""

    def run(self) -> Summary:
        """Watch until stopped, or until there is nothing left to do."""
        endpoint = self._work.settings.endpoint
        auditors = f"{self._workers} worker(s)"
        if self._executor:
            auditors = self._executor.name
        self._report(EventKind.STARTED, f"watching {endpoint} with {auditors}")
        try:
            with Schedule(self._regular(), self._troubles.append) as schedule:
                self._loop(schedule)
            if self._once:
                self._deliver_once()
                self._retain_once()
        finally:
            steady = [child.process for child in self._steady]
            killed = stop_all([*steady, self._pass.process, self._retention.process], GRACE_SECONDS)
            give_back(self._store, [process.pid for process in killed])
            self._report_jobs()
        self._report(EventKind.STOPPED, "stopped")
        return self._summary()

    def _regular(self) -> list[Regular]:
        """What comes due again and again; with `once` a pass is due once, and retention at the end."""
        regular = list(self._due.regular)
        if self._once:
            self._due.want(POLL, RECHECKS)
            regular = [one for one in regular if one.name not in (POLL, RETENTION)]
        return regular

    def _loop(self, schedule: Schedule) -> None:
        while not self._stop.is_set():
            try:
                self._tend_schedule(schedule)
                self._turn()
                if self._once and self._drained():
                    return
            except DiskFull as error:
                self._report_full(error)
                self._stop.wait(FULL_SECONDS)
            except StoreBusy as error:
                self._report_held(error)
            self._stop.wait(TICK_SECONDS)

    def _turn(self) -> None:
        for child in self._steady:
            if child.silent_seconds() > self._longest_silence:
                self._end_hung(child)
            if child.keep_running():
                self._report_restart(child)
        for problem in requests.serve_queue(self._store):
            self._report(EventKind.REQUEST_FAILED, problem)
        self._tend_pass()
        self._tend_retention()
        self._report_jobs()
        self._report_progress()
        self._report_troubles()
        self._do_due()

    def _do_due(self) -> None:
        """What is due, and takes the watcher itself no time."""
        if self._due.take(BEAT):
            polls.beat(self._store, "watcher", os.getpid(), self._note())
            self._report_free()
        if self._due.take(LEASES):
            leases.requeue_lost(self._store, gone=gone)
        if self._due.take(RECHECKS):
            leases.queue_rechecks(self._store)
        if self._due.take(EXPIRY):
            triage.expire(self._store)

    def _note(self) -> str:
        """What the watcher does, and which of its children could do nothing when it was started last."""
        told = ["polling" if self._pass.running else "watching"]
        for child in self._steady:
            if child.is_steady:
                self._given_up.pop(child.role, None)
        told += self._given_up.values()
        return "; ".join(told)

    def _tend_schedule(self, schedule: Schedule) -> None:
        """Say so where the machine slept or its clock was set, after which everything is due."""
        jump = schedule.tend()
        if not jump:
            return
        way = "on" if jump > 0 else "back"
        text = f"the clock went {way} by {abs(jump) / 60:.0f} minutes at once"
        self._report(EventKind.TROUBLE, f"{text}; the hub is read now")

    def _report_restart(self, child: SteadyChild) -> None:
        if child.last_code == GAVE_UP:
            self._given_up[child.role] = self._last_words(child)
            self._report(EventKind.TROUBLE, f"{self._given_up[child.role]}; trying again")
            return
        text = f"a {child.role} process ended ({child.last_exit}) and was started again"
        self._report(EventKind.RESTARTED, text)

    def _end_hung(self, child: SteadyChild) -> None:
        """End a child that hangs. Its jobs first: whoever takes a lost lease takes no account of why it was lost."""
        pid = child.process.pid
        reason = f"its {child.role} process hung"
        held: list[Job] = []
        with suppress(DiskFull, StoreBusy):  # then whoever works next finds a lost lease
            held = take_from_hung(self._store, pid, reason)
        child.process.kill()
        child.process.join()
        text = _hung(child.role, pid, self._longest_silence)
        if held:
            text = f"{text}; it held {', '.join(str(job.ref) for job in held)}"
        self._report(EventKind.TROUBLE, text)

    def _last_words(self, child: SteadyChild) -> str:
        for beat in polls.beats(self._store):
            if beat.role == child.role:
                return beat.note
        return f"a {child.role} process ended ({child.last_exit})"

    # --- retention ------------------------------------------------------------------------------------------------

    def _tend_retention(self) -> None:
        """Take the end of the process that removes what is old, or start one where a day has passed."""
        if self._retention.running:
            if self._retention.silent_seconds() > self._longest_silence:
                self._end_hung_retention()
        elif self._due.take(RETENTION) and is_due(self._work.home):
            try:
                self._retention.start()
            except DiskFull:
                self._due.want(RETENTION)
                raise

    def _end_hung_retention(self) -> None:
        """What it did not remove yet is removed at the next look."""
        hung = _hung("retention", self._retention.process.pid, self._longest_silence)
        self._retention.kill()
        self._report(EventKind.TROUBLE, f"{hung}; it is tried again in an hour")

    def _retain_once(self) -> None:
        self._due.want(RETENTION)
        self._tend_retention()
        while self._retention.running and not self._stop.wait(TICK_SECONDS):
            self._tend_retention()

    # --- passes ---------------------------------------------------------------------------------------------------

    def _tend_pass(self) -> None:
        """Take the end of a running pass, or start one where it is due."""
        if self._pass.running:
            ended = self._pass.ended()
            if ended is not None:
                self._take_pass(ended)
            return
        asked_for = requests.waiting(self._store)
        if isinstance(self._error, UnusableEnvironment):
            asked_for = []  # they wait for the next pass: nothing has changed until then
        poll_asked_for = any(request.kind is RequestKind.POLL for request in asked_for)
        polling = self._due.take(POLL) or poll_asked_for
        if not polling and not asked_for:
            return
        try:
            self._pass.start(polling)
        except DiskFull:
            if polling:
                self._due.want(POLL)
            raise
        if polling:
            self._report(
                EventKind.POLL_STARTED, f"reading the listings of {self._work.settings.endpoint}"
            )

    def _take_pass(self, ended: EndedPass) -> None:
        for problem in ended.problems:
            self._report(EventKind.REQUEST_FAILED, problem)
        if ended.error is not None:
            self._error = ended.error
            self._passes += 1
            self._report(EventKind.POLL_FAILED, ended.error.what, {"advice": ended.error.advice})
            polls.beat(self._store, "poller", os.getpid(), f"failed: {ended.error.what}")
        elif ended.result is not None:
            self._error = None
            self._passes += 1
            self._result = result = ended.result
            text = f"{result.seen} models seen, {result.new} new, {result.malformed} malformed"
            if result.shortfall:
                text = f"{text}; not complete: {result.shortfall}"
            self._report(EventKind.POLL, text, asdict(result))
            polls.beat(self._store, "poller", os.getpid(), text)

    # --- once -----------------------------------------------------------------------------------------------------

    def _drained(self) -> bool:
        """Whether the pass is over and no job is in work or due soon."""
        if self._pass.running or self._due.waits(POLL) or not self._passes:
            return False
        for child in self._steady:
            if child.has_given_up:
                self._error = ClusterUnavailable(self._last_words(child), "run it again later")
                return True
        if jobs.jobs(self._store, states=HELD, limit=1):
            return False
        if isinstance(self._error, UnusableEnvironment):
            return True  # what waits cannot be taken from here
        if requests.paused_by(self._store):
            return True
        due = jobs.next_due(self._store)
        return due is None or due > later(ONCE_PATIENCE_SECONDS)

    def _deliver_once(self) -> None:
        if not self._work.channels or self._stop.is_set():
            return
        sender = process_context().Process(
            target=alerts_main, args=(self._work, True), name="dife-alerts"
        )
        start_child(sender)
        sender.join(ONCE_ALERT_SECONDS)
        if sender.is_alive():
            text = "alerts are still waiting for a channel that does not answer; they stay in the outbox"
            self._report(EventKind.TROUBLE, text)
        stop_all([sender])

    def _summary(self) -> Summary:
        events = jobs.events_after(self._store, self._first_event)
        changed = dict.fromkeys(job_id for _, job_id, _ in events)
        waiting = 0
        for state, count in jobs.counts(self._store).items():
            if not JobState(state).is_final:
                waiting += count
        return Summary(
            passes=self._passes,
            jobs=tuple(jobs.job(self._store, job_id) for job_id in changed),
            waiting=waiting,
            error=self._error,
            seen=self._result.seen if self._result else 0,
            shortfall=self._result.shortfall if self._result else "",
        )

    # --- reporting ------------------------------------------------------------------------------------------------

    def _report_jobs(self) -> None:
        """Report every change of a job's state since the last time."""
        for number, job_id, event in jobs.events_after(self._store, self._last_event):
            self._last_event = number
            self._on_event(_job_event(self._store, job_id, event))

    def _report_progress(self) -> None:
        """Pass on what poller and workers are doing, when it changed."""
        for beat in polls.beats(self._store):
            is_ours = beat.role in ("worker", "poller", "driver") and beat.at > self._began
            if is_ours and self._notes.get(beat.pid) != beat.note:
                self._notes[beat.pid] = beat.note
                self._on_event(Event(EventKind.PROGRESS, beat.at, beat.note))

    def _report_troubles(self) -> None:
        """Pass on what the schedule, in its own thread, could not do."""
        for trouble in self._troubles[:]:
            self._troubles.remove(trouble)
            self._report(EventKind.TROUBLE, trouble)
            polls.beat(self._store, "schedule", os.getpid(), trouble)

    def _report_held(self, error: StoreBusy) -> None:
        """Say once that nothing can be written; everybody waits until it can.

        Not at once: on a busy machine its own workers write for a while.
        """
        self._due.want(BEAT)
        if self._held_since is None:
            self._held_since = time.monotonic()
        waited = time.monotonic() - self._held_since
        if not self._held and waited >= HELD_SECONDS:
            self._held = True
            self._report(EventKind.TROUBLE, f"{error.what}; waiting", {"advice": error.advice})

    def _report_full(self, error: DiskFull) -> None:
        """Say once that the disk is full; everybody waits until there is room."""
        log.info("%s", error.what)
        self._due.want(BEAT)
        if not self._full:
            self._full = True
            self._report(EventKind.TROUBLE, f"{error.what}; waiting", {"advice": error.advice})

    def _report_free(self) -> None:
        """Say that a sign of life could be written again, where it was said that nothing could."""
        self._held_since = None
        if self._full:
            self._full = False
            self._report(EventKind.TROUBLE, "the disk has room again; going on")
        if self._held:
            self._held = False
            self._report(EventKind.TROUBLE, "the database is free again; going on")

    def _report(self, kind: EventKind, text: str, data: dict[str, Any] | None = None) -> None:
        self._on_event(Event(kind, now(), text, data=data or {}))


def _hung(role: str, pid: int, seconds: float) -> str:
    return (
        f"a {role} process ({pid}) hung: it gave no sign of life for {span_text(seconds)},"
        " and was ended"
    )


def _job_event(store: Store, job_id: int, event: jobs.JobEvent) -> Event:
    """A change of a job, with the job as it stood then."""
    job = replace(
        jobs.job(store, job_id), state=event.state, reason=event.reason, updated_at=event.at
    )
    return Event(EventKind.JOB, event.at, f"{job.ref}: {event.state.value}", job)
