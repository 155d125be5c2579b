"""The watcher: one per home. Supervises a poll pass, workers and the alert sender, each a process of its own.

It does no work itself, so nothing that hangs or dies can take it along: a pass past its wall-clock deadline is killed,
a worker that dies is started again, and every child ends with it, however it ends.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from filelock import FileLock, Timeout

from dife_scanner import errors
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import AlreadyWatching, DifeError, DiskFull
from dife_scanner.progress import Progress, Step
from dife_scanner.queue import poller
from dife_scanner.queue.lease import gone
from dife_scanner.queue.processes import end_server_at_exit, end_with_parent, stop_event
from dife_scanner.queue.schedule import Schedule
from dife_scanner.queue.worker import Work, work_loop
from dife_scanner.records import Job, JobState
from dife_scanner.store import Store, jobs, open_store, polls, requests

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
BEAT_SECONDS = 10.0
TOLD_SECONDS = 1.0
ONCE_PATIENCE_SECONDS = 30.0
"""`once` waits for a job that is due again within this, and leaves later ones to the next run."""
ALERT_SECONDS = 2.0
ONCE_ALERT_SECONDS = 60.0
GRACE_SECONDS = 10.0
"""Between asking a child to stop and killing it."""
PASS_GRACE_SECONDS = 30.0
"""A pass watches its own deadline; this long after it, it is killed."""
LONGEST_RESTART_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""A child that lived this long starts its count of restarts afresh."""


@dataclass(frozen=True)
class Event:
    """Something a person or a script following the watcher may want to know."""

    kind: str
    """`started`, `poll-started`, `poll`, `poll-failed`, `request-failed`, `job`, `progress`, `restarted`, `trouble`,
    `stopped`."""
    at: str
    text: str
    job: Job | None = None
    """For `job`: as it stood after this change."""
    data: dict[str, Any] = field(default_factory=dict)
    """Numbers of a pass, or the advice of an error."""


@dataclass(frozen=True)
class Summary:
    """What a run of the watcher came to."""

    passes: int
    """Passes that ended by themselves."""
    jobs: tuple[Job, ...]
    """Every job that changed while it ran, as it stands now."""
    waiting: int
    """Jobs left for later."""
    error: DifeError | None = None
    """Why the (last) pass failed."""


def watch(
    work: Work,
    *,
    once: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Summary:
    """Watch until stopped (SIGTERM, SIGINT or `stop`); with `once`, one pass, all due jobs, due alerts, and return.

    Interval and number of workers are those of the settings. Raises `AlreadyWatching` for a second one on this home,
    and the store's errors. A pass that fails is news to `on_event` and stands in the summary; it ends nothing.
    """
    stop = stop or threading.Event()
    with open_store(work.home) as store, _lock(work), _signals(stop):
        return _Watcher(store, work, once, on_event, stop).run()


@contextmanager
def _lock(work: Work) -> Iterator[None]:
    try:
        with FileLock(work.home / "watch.lock").acquire(timeout=0):
            yield
    except Timeout:
        raise AlreadyWatching(
            f"another watcher holds {work.home}", "stop it first (`dife status` shows it), or use another --home"
        ) from None


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watcher:
    def __init__(
        self, store: Store, work: Work, once: bool, on_event: Callable[[Event], None], stop: threading.Event
    ) -> None:
        self._store, self._work, self._once, self._tell, self._stop = store, work, once, on_event, stop
        self._poll_due = threading.Event()
        self._troubles: list[str] = []
        self._pass = _Pass(work)
        self._workers = [_Slot("worker", _work_main, work) for _ in range(work.settings.workers)]
        self._sender = None if once or not work.channels else _Slot("alerts", _alerts_main, work)
        self._event = jobs.last_event(store)
        self._first_event = self._event
        self._passes = 0
        self._error: DifeError | None = None
        self._beat_at = 0.0
        self._began = now()
        self._notes: dict[int, str] = {}

    def run(self) -> Summary:
        self._say("started", f"watching {self._work.settings.endpoint} with {len(self._workers)} worker(s)")
        try:
            if self._once:
                self._poll_due.set()
                self._loop()
                self._deliver_once()
            else:
                with Schedule(self._work.settings.interval_seconds, self._poll_due.set, self._troubles.append):
                    self._loop()
        finally:
            _stop_all([slot.process for slot in self._slots()] + [self._pass.process])
            self._follow()
        self._say("stopped", "stopped")
        return self._summary()

    def _slots(self) -> list[_Slot]:
        return [*self._workers, *([self._sender] if self._sender else [])]

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
                if self._once and self._drained():
                    return
            except DiskFull as error:
                log.warning("%s", error.what)
                self._stop.wait(5.0)
            self._stop.wait(TICK_SECONDS)

    def _turn(self) -> None:
        for slot in self._slots():
            if slot.tend():
                self._say("restarted", f"a {slot.role} process ended ({slot.last_exit}) and was started again")
        self._tend_pass()
        self._follow()
        self._tell_progress()
        for trouble in self._troubles[:]:
            self._troubles.remove(trouble)
            self._say("trouble", trouble)
            polls.beat(self._store, "schedule", os.getpid(), trouble)
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + BEAT_SECONDS
            polls.beat(self._store, "watcher", os.getpid(), "polling" if self._pass.running else "watching")
            jobs.requeue_lost(self._store, gone=gone)

    # --- passes ---------------------------------------------------------------------------------------------------

    def _tend_pass(self) -> None:
        if self._pass.running:
            ended = self._pass.ended()
            if ended is not None:
                self._take_pass(ended)
            return
        wanted = requests.waiting(self._store)
        polling = self._poll_due.is_set() or any(request.kind == "poll" for request in wanted)
        if not polling and not wanted:
            return
        self._poll_due.clear()
        self._pass.start(polling)
        if polling:
            self._say("poll-started", f"reading the listings of {self._work.settings.endpoint}")

    def _take_pass(self, ended: _Ended) -> None:
        for problem in ended.problems:
            self._say("request-failed", problem)
        if ended.error is not None:
            self._error = ended.error
            self._passes += 1
            self._say("poll-failed", ended.error.what, {"advice": ended.error.advice})
            polls.beat(self._store, "poller", os.getpid(), f"failed: {ended.error.what}")
        elif ended.passed is not None:
            self._error = None
            self._passes += 1
            passed = ended.passed
            text = f"{passed.seen} models seen, {passed.new} new, {passed.malformed} malformed"
            self._say("poll", text + ("" if passed.complete else "; not complete"), asdict(passed))
            polls.beat(self._store, "poller", os.getpid(), text)

    # --- once -----------------------------------------------------------------------------------------------------

    def _drained(self) -> bool:
        if self._pass.running or self._poll_due.is_set() or not self._passes:
            return False
        if jobs.jobs(self._store, states=(JobState.DOWNLOADING, JobState.AUDITING), limit=1):
            return False
        due = jobs.next_due(self._store)
        return due is None or due > later(ONCE_PATIENCE_SECONDS)

    def _deliver_once(self) -> None:
        if not self._work.channels or self._stop.is_set():
            return
        sender = _context().Process(target=_alerts_main, args=(self._work, True), name="dife-alerts")
        sender.start()
        sender.join(ONCE_ALERT_SECONDS)
        if sender.is_alive():
            self._say("trouble", "alerts are still waiting for a channel that does not answer; they stay in the outbox")
        _stop_all([sender])

    def _summary(self) -> Summary:
        changed = dict.fromkeys(job_id for _, job_id, _ in jobs.events_after(self._store, self._first_event))
        waiting = jobs.counts(self._store)
        return Summary(
            passes=self._passes,
            jobs=tuple(jobs.job(self._store, job_id) for job_id in changed),
            waiting=sum(count for state, count in waiting.items() if not JobState(state).is_final),
            error=self._error,
        )

    # --- telling --------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Tell of every change of a job's state since the last time."""
        for number, job_id, event in jobs.events_after(self._store, self._event):
            self._event = number
            self._tell(_job_event(self._store, job_id, event))

    def _tell_progress(self) -> None:
        """Pass on what poller and workers are doing, when it changed."""
        for beat in polls.beats(self._store):
            if beat.role in ("worker", "poller") and beat.at > self._began and self._notes.get(beat.pid) != beat.note:
                self._notes[beat.pid] = beat.note
                self._tell(Event("progress", beat.at, beat.note))

    def _say(self, kind: str, text: str, data: dict[str, Any] | None = None) -> None:
        self._tell(Event(kind, now(), text, data=data or {}))


def _job_event(store: Store, job_id: int, event: jobs.JobEvent) -> Event:
    job = replace(jobs.job(store, job_id), state=event.state, reason=event.reason, updated_at=event.at)
    return Event("job", event.at, f"{job.ref}: {event.state.value}", job)


# --- children -------------------------------------------------------------------------------------------------


def _context() -> Any:
    """Children come from a server process that has imported this module, which otherwise costs a second of CPU each."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    end_server_at_exit()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class _Slot:
    """A place for one child that is to run all the time; restarted, with a growing pause if it keeps dying."""

    def __init__(self, role: str, target: Callable[[Work], None], work: Work) -> None:
        self.role = role
        self.process: Any = None
        self.last_exit = ""
        self._target, self._work = target, work
        self._restarts, self._started_at, self._not_before = 0, 0.0, 0.0

    def tend(self) -> bool:
        """Start the child where it does not run; `True` when that was a restart."""
        if self.process is not None:
            if self.process.is_alive():
                return False
            self._bury()
        if time.monotonic() < self._not_before:
            return False
        restart = self._started_at > 0
        self.process = _context().Process(target=self._target, args=(self._work,), name=f"dife-{self.role}")
        self.process.start()
        self._started_at = time.monotonic()
        return restart

    def _bury(self) -> None:
        self.process.join()
        code = self.process.exitcode
        self.last_exit = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.process = None
        lived = time.monotonic() - self._started_at
        self._restarts = 0 if lived > STEADY_SECONDS else self._restarts + 1
        self._not_before = time.monotonic() + min(LONGEST_RESTART_SECONDS, 0.5 * 2.0**self._restarts)


@dataclass(frozen=True)
class _Ended:
    passed: poller.Passed | None = None
    error: DifeError | None = None
    problems: tuple[str, ...] = ()


class _Pass:
    """The child that makes one pass, with a wall-clock deadline."""

    def __init__(self, work: Work) -> None:
        self.process: Any = None
        self._work = work
        self._reader: Any = None
        self._deadline = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None

    def start(self, polling: bool) -> None:
        context = _context()
        self._reader, writer = context.Pipe(duplex=False)
        self.process = context.Process(target=_pass_main, args=(self._work, polling, writer), name="dife-poller")
        self.process.start()
        writer.close()
        self._deadline = time.monotonic() + self._work.settings.limits.pass_seconds + PASS_GRACE_SECONDS

    def ended(self) -> _Ended | None:
        """What it came to; `None` while it runs."""
        if self.process.is_alive():
            if time.monotonic() < self._deadline:
                return None
            _stop_all([self.process], grace=0)
            return self._over(_Ended(error=errors.HubUnavailable("the pass hung past its deadline and was killed")))
        self.process.join()
        return self._over(self._read())

    def _over(self, ended: _Ended) -> _Ended:
        self._reader.close()
        self.process = None
        return ended

    def _read(self) -> _Ended:
        try:
            document = json.loads(self._reader.recv_bytes())
        except (EOFError, OSError):
            words = f"the pass ended without a word (exit code {self.process.exitcode})"
            return _Ended(error=DifeError(words, "it is tried again at the next interval"))
        problems = tuple(document["problems"])
        if document["error"]:
            kind, what, advice = document["error"]
            return _Ended(error=getattr(errors, kind, DifeError)(what, advice), problems=problems)
        passed = document["passed"]
        if passed is None:
            return _Ended(problems=problems)
        return _Ended(poller.Passed(**{**passed, "problems": tuple(passed["problems"])}), problems=problems)


def _stop_all(processes: list[Any], grace: float = GRACE_SECONDS) -> None:
    """Ask, wait, kill; afterwards none of them runs."""
    alive = [process for process in processes if process is not None and process.is_alive()]
    for process in alive:
        process.terminate()
    end = time.monotonic() + grace
    for process in alive:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


# --- inside the children --------------------------------------------------------------------------------------


def _work_main(work: Work) -> None:
    end_with_parent()
    with open_store(work.home) as store:
        work_loop(work, stop_event(), progress_for=lambda job: Progress(_Told(store, "worker", str(job.ref))))


class _Told:
    """Progress as a sign of life, which the watcher, the window and `dife status` read; one a second at most."""

    def __init__(self, store: Store, role: str, about: str) -> None:
        self._store, self._role, self._about = store, role, about
        self._phase, self._at = "", 0.0

    def __call__(self, step: Step) -> None:
        at = time.monotonic()
        if step.phase == self._phase and at - self._at < TOLD_SECONDS:
            return
        self._phase, self._at = step.phase, at
        share = f" {step.done:,} of {step.total:,}" if step.total else ""
        with suppress(DiskFull):
            polls.beat(self._store, self._role, os.getpid(), f"{self._about}: {step.phase}{share} {step.note}".rstrip())


def _pass_main(work: Work, polling: bool, writer: Any) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    document: dict[str, Any] = {"passed": None, "error": None, "problems": []}
    try:
        with open_store(work.home) as store:
            document["problems"] = poller.serve_requests(store, work)
            if polling:
                document["passed"] = asdict(poller.poll_pass(store, work))
    except DifeError as error:
        document["error"] = (type(error).__name__, error.what, error.advice)
    writer.send_bytes(json.dumps(document).encode())


def _alerts_main(work: Work, once: bool = False) -> None:
    from dife_scanner.alerts import configured, deliver

    end_with_parent()
    stop = stop_event()
    channels = configured(work.settings)
    with open_store(work.home) as store:
        while not stop.is_set():
            with suppress(DiskFull):
                deliver(store, channels, now())
                polls.beat(store, "alerts", os.getpid(), "waiting for alerts")
            if once:
                return
            stop.wait(ALERT_SECONDS)
