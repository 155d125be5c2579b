"""The end of a process that was asked to stop: it has some seconds, and what it holds waits again, whatever hangs.

Nothing breaks off a look-up of a name that hangs in the system's library, so neither a worker nor the watcher above it
can count on coming back from one.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from dife_scanner.errors import DiskFull, StoreBusy
from dife_scanner.queue.lease import is_of_process, is_part
from dife_scanner.records import Job
from dife_scanner.store import LeaseLost, Patience, Store, jobs, leases, open_store
from dife_scanner.store.job_rows import HELD

log = logging.getLogger(__name__)

GRACE_SECONDS = 8.0
"""Between asking a process to stop and ending it by force: whatever is asked to stop ends within ten."""
GIVE_BACK_SECONDS = 1.5
"""For how long giving back is tried what a killed process held."""
STOPPED = "its worker was stopped"
"""Why a job waits again that was in work."""
SHOW_CURSOR = "\x1b[?25h"
"""What every terminal understands (DECTCEM)."""
_TICK_SECONDS = 0.2


def give_back(store: Store, pids: Collection[int]) -> None:
    """Queue again what these processes of this machine hold: being stopped is no fault of a job.

    Where it cannot be written within `GIVE_BACK_SECONDS`, whoever works next finds a lost lease.
    """
    end = time.monotonic() + GIVE_BACK_SECONDS
    while pids:
        try:
            for job in jobs.jobs(store, states=HELD):
                worker = job.worker or ""
                if any(is_of_process(worker, pid) for pid in pids):
                    leases.release(store, job.id, worker, STOPPED)
            return
        except (DiskFull, LeaseLost, StoreBusy) as error:
            log.info("not given back yet: %s", error.what)
            if time.monotonic() > end:
                return
            time.sleep(_TICK_SECONDS)


def take_from_hung(store: Store, pid: int, reason: str) -> list[Job]:
    """Take away what this process of this machine holds, which hangs; returns the jobs as they stand now.

    Nothing tells whether the job in work made it hang, so that counts as a death: a checkpoint that does would hang one
    worker after another. What is fetched ahead, or was sent to a cluster, waits again as it was.
    """
    taken = []
    for job in jobs.jobs(store, states=HELD):
        worker = job.worker or ""
        if is_of_process(worker, pid):
            take = leases.release if is_part(worker) else leases.record_death
            with suppress(LeaseLost):
                taken.append(take(store, job.id, worker, reason))
    return taken


def run_until_stopped(home: Path, loop: Callable[[], None], stop: threading.Event) -> None:
    """Run `loop`, which ends after `stop` is set, in a thread; raises what it raises.

    Where it has not ended `GRACE_SECONDS` after that, its jobs are given back and this process ends at once, with
    exit code 0.
    """
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(loop)
        while not running.done() and not stop.is_set():
            wait([running], timeout=_TICK_SECONDS)
        _end_by_force_if_it_hangs(home, running)
        running.result()


def _end_by_force_if_it_hangs(home: Path, running: Future[None]) -> None:
    wait([running], timeout=GRACE_SECONDS)
    if running.done():
        return
    log.warning("something hangs; ending without it")
    try:
        with open_store(home, patience=Patience(GIVE_BACK_SECONDS)) as store:
            give_back(store, [os.getpid()])
    finally:
        _show_cursor()
        os._exit(0)  # leaving in order would wait for the thread that hangs


def _show_cursor() -> None:
    """Show the cursor of the terminal, which whoever draws progress hides until it ends in order."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream.isatty():
                stream.write(SHOW_CURSOR)
                stream.flush()
