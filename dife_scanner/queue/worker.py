"""One job from claimed to its final state, and the loop that takes one after the other.

look at the hub -> fetch -> private copy -> inspect -> (same identity?) -> audit in a child -> save, all or nothing
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial

from dife_scanner import checkpoints
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import (
    DifeError,
    DiskFull,
    HomeUnwritable,
    StoreBusy,
    StoreCorrupt,
    UnusableEnvironment,
)
from dife_scanner.hub.session import session
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import batch
from dife_scanner.queue.ahead import FetchAhead
from dife_scanner.queue.cleanup import remove_ended_downloads, remove_leftovers
from dife_scanner.queue.devices import bound_to
from dife_scanner.queue.failures import record_failure
from dife_scanner.queue.job_run import JobRun, remove_folder
from dife_scanner.queue.lease import Lease, gone, worker_name
from dife_scanner.queue.schedule import BEAT, CLEANUP, Due, Schedule
from dife_scanner.queue.stopping import STOPPED
from dife_scanner.queue.work import Work
from dife_scanner.records import Job
from dife_scanner.store import LeaseLost, Patience, Store, jobs, leases, open_store, polls
from dife_scanner.store.job_rows import HELD

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
BEAT_SECONDS = 10.0
ENVIRONMENT_SECONDS = 2.0
"""Between looks at an environment that allows no connection."""


class Stopping(Exception):
    """This worker was asked to stop."""


def process(
    store: Store,
    job: Job,
    work: Work,
    progress: Progress = SILENT,
    *,
    worker: str = "",
    stop: threading.Event | None = None,
    ahead: bool = False,
) -> Job:
    """Do `job` (waiting, or claimed by `worker`) and return it as it stands then; with `ahead` only look and fetch.

    Whatever goes wrong with the checkpoint or the hub becomes a state with a reason; only trouble with the home
    itself is raised: `HomeUnwritable`, `StoreBusy`, and `DiskFull` when not even that can be written; and
    `UnusableEnvironment`, after which the job waits as before. A job that somebody else holds, or that has ended, is
    returned as it is.
    """
    worker = worker or worker_name()
    claimed: Job | None = job
    if job.worker != worker:
        leases.requeue_lost(store, gone=gone)
        claimed = leases.claim_job(store, job.id, worker, work.lease_seconds)
    if claimed is None:
        return jobs.job(store, job.id)
    with Lease(work.home, claimed.id, worker, work.lease_seconds) as lease:
        run = JobRun(store, claimed, work, worker, progress, _check(lease, stop))
        steps = run.fetch_ahead if ahead else run
        try:
            done = _run_or_record_failure(steps, store, claimed, work, worker)
        except LeaseLost as lost:
            log.info("%s", lost.what)
            done = jobs.job(store, claimed.id)
        except UnusableEnvironment as error:
            leases.release(store, claimed.id, worker, error.what)
            raise
        except Stopping:
            done = leases.release(store, claimed.id, worker, STOPPED)
        finally:
            remove_folder(run.folder)
    if done.state.is_final and not done.ref.local:
        checkpoints.forget(work.home, done.ref)
    return done


def _run_or_record_failure(
    steps: Callable[[], Job], store: Store, job: Job, work: Work, worker: str
) -> Job:
    """Take the steps of a job; an error that is about the job, not about this worker or the home, decides its state."""
    rng = random.Random(work.seed)
    try:
        return steps()
    except (LeaseLost, Stopping, HomeUnwritable, StoreBusy, StoreCorrupt, UnusableEnvironment):
        raise
    except Exception as error:
        return record_failure(store, job, worker, error, work.channels, rng)


def run_to_end(
    store: Store,
    job: Job,
    work: Work,
    progress: Progress = SILENT,
    *,
    patience_seconds: float = 30.0,
) -> Job:
    """`process`, again for as long as the job only has to wait a moment; what `dife scan` does."""
    end = later(patience_seconds)
    while True:
        job = process(store, job, work, progress)
        due = job.next_check_at
        waits_too_long = due is not None and due > end
        if job.state.is_final or job.worker or waits_too_long:
            return job
        while due and now() < due:
            progress("waiting", note=job.reason)
            time.sleep(0.2)


def _check(lease: Lease, stop: threading.Event | None) -> Callable[[], None]:
    """What a job calls now and then: it raises `LeaseLost` or `Stopping` where the job must not go on."""

    def check() -> None:
        lease.check()
        if stop is not None and stop.is_set():
            raise Stopping

    return check


# --- one after the other --------------------------------------------------------------------------------------


def work_loop(
    work: Work,
    stop: threading.Event,
    *,
    until_idle: bool = False,
    local: bool | None = None,
    progress_for: Callable[[Job], Progress] = lambda job: SILENT,
    on_done: Callable[[Job], None] = lambda job: None,
) -> None:
    """Take jobs until `stop` is set (or, with `until_idle`, until none is due); `local` as in `leases.claim`.

    Where the environment allows no connection, jobs are left in the queue until it does; with `until_idle` it raises
    `UnusableEnvironment`.
    """
    worker = worker_name()
    due = Due({CLEANUP: BEAT_SECONDS, BEAT: BEAT_SECONDS})
    due.want(CLEANUP, BEAT)
    patience = Patience(math.inf, stopped=stop.is_set)
    fetcher = FetchAhead(work, partial(_fetch_ahead, work))
    schedule = Schedule(due.regular, log.warning)
    with open_store(work.home, patience=patience) as store, fetcher, schedule:
        remove_leftovers(store)
        leases.queue_rechecks(store)
        while not stop.is_set():
            try:
                schedule.tend()
                if due.take(BEAT):
                    _beat(store, work, "waiting for jobs")
                if due.take(CLEANUP):
                    remove_ended_downloads(store)
                leases.requeue_lost(store, gone=gone)
                one_comes_back = fetcher.fetching
                job = leases.claim(store, worker, work.lease_seconds, local=local)
                if job is not None:
                    done = process(store, job, work, progress_for(job), worker=worker, stop=stop)
                    on_done(done)
                    batch.correct_when_full(store)
                    continue
                batch.correct_when_idle(store)
                if until_idle and not one_comes_back:
                    return
                stop.wait(IDLE_SECONDS)
            except (DiskFull, StoreBusy) as error:
                _wait_until_writable(store, work, worker, error, stop)
            except UnusableEnvironment as error:
                if until_idle:
                    raise
                _wait_for_environment(store, work, error, stop)


def _fetch_ahead(work: Work, store: Store, job: Job, worker: str, stop: threading.Event) -> Job:
    return process(store, job, work, worker=worker, stop=stop, ahead=True)


def _beat(store: Store, work: Work, note: str) -> None:
    polls.beat(store, "worker", os.getpid(), note, bound_to(work.settings))


def _wait_until_writable(
    store: Store, work: Work, worker: str, error: DifeError, stop: threading.Event
) -> None:
    """Nothing can be written: keep trying to put the job in hand back, so that it is not taken for lost."""
    log.warning("%s; waiting", error.what)
    while not stop.wait(5.0):
        try:
            for job in jobs.jobs(store, states=HELD):
                if job.worker == worker:
                    leases.pause(store, job.id, worker, error.what, 10.0)
            _beat(store, work, f"waited: {error.what}")
            return
        except (DiskFull, LeaseLost, StoreBusy) as again:
            log.info("%s", again.what)


def _wait_for_environment(
    store: Store, work: Work, error: UnusableEnvironment, stop: threading.Event
) -> None:
    """No connection can be made from here: say so, and try again. A file that a variable names may come back."""
    log.warning("%s", error.what)
    while True:
        with contextlib.suppress(DiskFull):
            _beat(store, work, f"waiting: {error.what}")
        if stop.wait(ENVIRONMENT_SECONDS):
            return
        try:
            session()
            return
        except UnusableEnvironment as again:
            error = again
