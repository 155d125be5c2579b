"""The watcher's child processes: those that run all the time, and the one that makes a pass."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from dife_scanner import errors
from dife_scanner.durable import life
from dife_scanner.errors import DifeError, DiskFull, StoreBusy, unforeseen
from dife_scanner.progress import Progress, Step
from dife_scanner.queue import poller
from dife_scanner.queue.devices import bound_to
from dife_scanner.queue.hanging import Silence, new_count
from dife_scanner.queue.processes import (
    end_server_at_exit,
    end_with_parent,
    start_child,
    stop_event,
)
from dife_scanner.queue.stopping import GRACE_SECONDS
from dife_scanner.queue.work import Work
from dife_scanner.queue.worker import work_loop
from dife_scanner.records import Job
from dife_scanner.store import Patience, Store, open_store, polls

log = logging.getLogger(__name__)

BEAT_PROGRESS_SECONDS = 1.0
_BEAT_PATIENCE = Patience(0.2, log.info)
"""A sign of life is left out rather than waited for."""
PASS_GRACE_SECONDS = 30.0
"""A pass watches its own deadline; this long after it, it is killed."""
LONGEST_RESTART_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""A child that lived this long starts its count of restarts afresh."""


def process_context() -> Any:
    """Children come from a server process that has imported this module, which otherwise costs a second of CPU each."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    end_server_at_exit()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


GAVE_UP = 75
"""Exit code of a child that can do nothing for now; its last sign of life says why."""


class SteadyChild:
    """A child that is to run all the time; restarted, with a growing pause if it keeps dying."""

    def __init__(self, role: str, target: Callable[[Work], None], work: Work) -> None:
        self.role = role
        self.process: Any = None
        self.last_code: int | None = None
        self.last_exit = ""
        """How the process before this one ended, in words."""
        self._target = target
        self._work = work
        self._count = new_count()
        self._silence = Silence(self._count)
        self._restarts = 0
        self._started_at = 0.0
        self._not_before = 0.0

    def keep_running(self) -> bool:
        """Start the child where it does not run; `True` when that was a restart."""
        if self.process is not None:
            if self.process.is_alive():
                return False
            self._note_end()
        if time.monotonic() < self._not_before:
            return False
        is_restart = self._started_at > 0
        self.process = _started_counted(self.role, self._target, self._work, self._count)
        self._started_at = time.monotonic()
        self._silence = Silence(self._count)
        return is_restart

    @property
    def has_given_up(self) -> bool:
        """Whether it ended because it can do nothing for now, and was not started again yet."""
        return self.process is None and self.last_code == GAVE_UP

    @property
    def is_steady(self) -> bool:
        """Whether it has run for a while."""
        lived = time.monotonic() - self._started_at
        return self.process is not None and lived > STEADY_SECONDS

    def silent_seconds(self) -> float:
        """For how long it has given no sign of life; 0 where it does not run. To be asked in every turn."""
        if self.process is None or not self.process.is_alive():
            return 0.0
        return self._silence.look()

    def _note_end(self) -> None:
        self.process.join()
        code = self.process.exitcode
        self.last_code = code
        self.last_exit = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.process = None
        at = time.monotonic()
        self._restarts += 1
        if at - self._started_at > STEADY_SECONDS:
            self._restarts = 0
        self._not_before = at + min(LONGEST_RESTART_SECONDS, 0.5 * 2.0**self._restarts)


def _started_counted(role: str, target: Callable[[Work], None], work: Work, count: Any) -> Any:
    """A process that gives its signs of life in `count`. Raises `DiskFull` where none can be started."""
    process = process_context().Process(
        target=_counted_main, args=(target, work, count), name=f"dife-{role}"
    )
    start_child(process)
    return process


class BriefChild:
    """A child that does one thing and ends."""

    def __init__(self, role: str, target: Callable[[Work], None], work: Work) -> None:
        self.process: Any = None
        self._role = role
        self._target = target
        self._work = work
        self._count = new_count()
        self._silence = Silence(self._count)

    def start(self) -> None:
        """Start it; it must not run."""
        self.process = _started_counted(self._role, self._target, self._work, self._count)
        self._silence = Silence(self._count)

    @property
    def running(self) -> bool:
        """Whether it runs; an end is taken by asking."""
        if self.process is not None and not self.process.is_alive():
            self.process.join()
            self.process = None
        return self.process is not None

    def silent_seconds(self) -> float:
        """For how long it has given no sign of life. To be asked in every turn while it runs."""
        return self._silence.look()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()
        self.process = None


@dataclass(frozen=True)
class EndedPass:
    """The result of the child of one pass."""

    result: poller.PassResult | None = None
    """`None` where it failed, or only served requests."""
    error: DifeError | None = None
    problems: tuple[str, ...] = ()
    """Requests that could not be served, in words."""


class PassChild:
    """The child that makes one pass, with a wall-clock deadline."""

    def __init__(self, work: Work) -> None:
        self.process: Any = None
        self._work = work
        self._reader: Any = None
        self._deadline = 0.0

    @property
    def running(self) -> bool:
        """Whether a pass was started and its end was not taken yet."""
        return self.process is not None

    def start(self, polling: bool) -> None:
        """Serve the waiting requests and, where `polling`, read the listings."""
        context = process_context()
        self._reader, writer = context.Pipe(duplex=False)
        process = context.Process(
            target=pass_main,
            args=(self._work, polling, writer),
            name="dife-poller",
        )
        with writer:
            start_child(process)
        self.process = process
        self._deadline = (
            time.monotonic() + self._work.settings.limits.pass_seconds + PASS_GRACE_SECONDS
        )

    def ended(self) -> EndedPass | None:
        """Take the result of the pass; `None` while it runs."""
        if not self.process.is_alive():
            self.process.join()
            return self._close(self._read())
        if time.monotonic() < self._deadline:
            return None
        stop_all([self.process], grace=0)
        hung = errors.HubUnavailable("the pass hung past its deadline and was killed")
        return self._close(EndedPass(error=hung))

    def _close(self, ended: EndedPass) -> EndedPass:
        self._reader.close()
        self.process = None
        return ended

    def _read(self) -> EndedPass:
        try:
            document = json.loads(self._reader.recv_bytes())
        except (EOFError, OSError):
            what = f"the pass ended without a word (exit code {self.process.exitcode})"
            return EndedPass(error=DifeError(what, "it is tried again at the next interval"))
        problems = tuple(document["problems"])
        if document["error"]:
            kind, what, advice = document["error"]
            error_class = getattr(errors, kind, DifeError)
            return EndedPass(error=error_class(what, advice), problems=problems)
        fields = document["passed"]
        if fields is None:
            return EndedPass(problems=problems)
        fields["problems"] = tuple(fields["problems"])
        return EndedPass(poller.PassResult(**fields), problems=problems)


def stop_all(processes: Sequence[Any], grace: float = GRACE_SECONDS) -> list[Any]:
    """Ask, wait, kill; afterwards none of them runs. Returns those that had to be killed."""
    killed = []
    alive = [process for process in processes if process is not None and process.is_alive()]
    for process in alive:
        process.terminate()
    end = time.monotonic() + grace
    for process in alive:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
            killed.append(process)
    return killed


# --- inside the children --------------------------------------------------------------------------------------


def _counted_main(target: Callable[[Work], None], work: Work, count: Any) -> None:
    """Be a child that is seen to work."""
    life.count_in(count)
    target(work)


def work_main(work: Work, *, local: bool | None = None) -> None:
    """Be a worker; `local` as in `leases.claim`."""
    end_with_parent()
    with open_store(work.home, patience=_BEAT_PATIENCE) as store:

        def progress_for(job: Job) -> Progress:
            device = bound_to(work.settings)
            return Progress(_BeatProgress(store, "worker", str(job.ref), device))

        work_loop(work, stop_event(), progress_for=progress_for, local=local)


def local_main(work: Work) -> None:
    """Be a worker for checkpoints on this disk, beside an executor that takes all others."""
    disk = work.settings.disk.model_copy(update={"fetch_ahead": False})
    settings = work.settings.model_copy(update={"disk": disk})
    work_main(replace(work, settings=settings), local=True)


class _BeatProgress:
    """Progress as a sign of life, which the watcher, the window and `dife status` read; one a second at most."""

    def __init__(self, store: Store, role: str, about: str, device: str) -> None:
        self._store = store
        self._role = role
        self._about = about
        self._device = device
        self._phase = ""
        self._at = 0.0

    def __call__(self, step: Step) -> None:
        at = time.monotonic()
        if step.phase == self._phase and at - self._at < BEAT_PROGRESS_SECONDS:
            return
        self._phase = step.phase
        self._at = at
        share = f" {step.done:,} of {step.total:,}" if step.total else ""
        note = f"{self._about}: {step.phase}{share} {step.note}".rstrip()
        with suppress(DiskFull, StoreBusy):
            polls.beat(self._store, self._role, os.getpid(), note, self._device)


def pass_main(work: Work, polling: bool, writer: Any) -> None:
    """Make one pass, and send its result."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    document: dict[str, Any] = {"passed": None, "error": None, "problems": []}
    patience = Patience(work.settings.limits.pass_seconds, log.info)
    try:
        with open_store(work.home, patience=patience) as store:
            document["problems"] = poller.serve_requests(store, work)
            if polling:
                document["passed"] = asdict(poller.poll_pass(store, work))
    except DifeError as error:
        document["error"] = (type(error).__name__, error.what, error.advice)
    except Exception as error:
        log.exception("a pass failed")
        told = unforeseen(error)
        document["error"] = (type(told).__name__, told.what, told.advice)
    writer.send_bytes(json.dumps(document).encode())
