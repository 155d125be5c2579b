"""A worker of its own, without a watcher above it, that is asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from queue_kit import checkpoint_folder, work_for
from waiting import BUSY_SECONDS, until

from dife_scanner.errors import StoreBusy
from dife_scanner.queue import targets
from dife_scanner.queue.stopping import SHOW_CURSOR, run_until_stopped
from dife_scanner.queue.work import hub_for
from dife_scanner.store import Store, jobs, polls

HANGING = """
import sys, time
from pathlib import Path
from dife_scanner.queue import stopping
from dife_scanner.queue.lease import worker_name
from dife_scanner.queue.processes import stop_event
from dife_scanner.store import leases, open_store

def hang():
    with open_store(home) as store:
        leases.claim(store, worker_name(), 600.0)
    time.sleep(600)

home = Path(sys.argv[1])
stopping.GRACE_SECONDS = 0.2
stopping.run_until_stopped(home, hang, stop_event())
"""


def test_what_hangs_when_a_worker_is_asked_to_stop_costs_its_job_nothing(
    store: Store, tmp_path: Path
) -> None:
    """Nothing breaks off a look-up of a name that hangs in a library; a thread that sleeps ends as little. The terminal
    has its cursor again, which a line of progress hides.
    """
    settings = work_for(store.home).settings
    folder = checkpoint_folder(tmp_path / "model")
    asked = targets.enqueue(
        store, str(folder), settings.limits, lambda: hub_for(settings, settings.endpoint)
    )
    terminal, its_side = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", HANGING, str(store.home)], stderr=its_side)
    os.close(its_side)
    try:
        until(lambda: jobs.job(store, asked.id).worker, BUSY_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(BUSY_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    with os.fdopen(terminal, "rb", buffering=0) as shown:
        assert shown.read(65536).endswith(SHOW_CURSOR.encode())
    job = jobs.job(store, asked.id)
    assert (job.state.value, job.reason) == ("queued", "its worker was stopped")
    assert (job.attempts, job.deaths, job.lost_leases) == (0, 0, 0)


def test_what_the_work_ends_with_is_what_its_caller_gets(store: Store) -> None:
    done: list[str] = []
    run_until_stopped(store.home, lambda: done.append(threading.current_thread().name), stopped())
    assert done and done != [threading.current_thread().name]

    def fails() -> None:
        raise StoreBusy("the database is held", "try again")

    with pytest.raises(StoreBusy, match="is held"):
        run_until_stopped(store.home, fails, threading.Event())


def test_a_worker_of_its_own_ends_where_no_job_is_due_or_when_it_is_asked_to(store: Store) -> None:
    command = [sys.executable, "-m", "dife_scanner", "work", "--home", str(store.home)]
    idle = subprocess.run([*command, "--until-idle"], capture_output=True, timeout=BUSY_SECONDS)
    assert idle.returncode == 0, idle.stderr
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(
            lambda: [beat for beat in polls.beats(store) if beat.pid == process.pid], BUSY_SECONDS
        )
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=BUSY_SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, error


def stopped() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop
