"""The watcher as a process, with its own children."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import waiting
from queue_kit import checkpoint, checkpoint_folder, work_for
from waiting import BUSY_SECONDS

from dife_scanner.durable import jumps
from dife_scanner.durable.clock import later
from dife_scanner.durable.disk import disk_full
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.queue import children, targets
from dife_scanner.queue import watch as watching
from dife_scanner.queue.stopping import GIVE_BACK_SECONDS, GRACE_SECONDS
from dife_scanner.queue.watch import Event, EventKind, watch
from dife_scanner.queue.work import hub_for
from dife_scanner.records import Job
from dife_scanner.store import Store, findings, jobs, models, polls, requests
from dife_scanner.store.requests import RequestKind

CERTIFICATE = Path(__file__).parents[1] / "assets" / "certificate-one.pem"
STOP_SECONDS = GRACE_SECONDS + GIVE_BACK_SECONDS
"""After which a watcher that was asked to stop has ended, and all its children with it."""
SCRIPT = Path(__file__).with_name("run_watcher.py")


def start(home: Path, endpoint: str, *flags: str, **environment: str) -> subprocess.Popen[str]:
    work_for(home)  # makes the probe folder
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(home), endpoint, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def until(condition: Callable[[], Any], seconds: float = waiting.WORK_SECONDS) -> Any:
    return waiting.until(condition, seconds)


def test_once_polls_audits_and_ends(store: Store, hub: LoopbackHub) -> None:
    for number, name in enumerate(("clip-bad", "clip-fine")):
        hub.add_repo(f"org/{name}", checkpoint(number), last_modified=later(-60))
    hub.add_repo("org/clip-gated", checkpoint(7), gated="manual", last_modified=later(-60))
    watcher = start(store.home, hub.endpoint, "--once", DIFE_TEST_WORKERS="2")
    out, err = watcher.communicate(timeout=120)
    assert (watcher.returncode, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    told = [event for event in events if event["kind"] not in ("job", "progress")]
    # On a machine that is busy enough, its own workers hold the database for longer than a watcher keeps silent.
    kinds = [event["kind"] for event in told if not re.search("waiting|free again", event["text"])]
    assert kinds == ["started", "poll-started", "poll", "stopped"]
    assert jobs.counts(store) == {"done": 2, "gated": 1}
    assert len(findings.findings(store)) == 1
    states = [event["job"]["state"] for event in events if event["kind"] == "job"]
    assert states.count("done") == 2 and states.count("queued") == 2
    assert {beat.role for beat in polls.beats(store)} >= {"watcher", "worker", "poller"}


def test_a_database_that_another_program_holds_is_waited_for(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    """Held in the middle of an audit, which ends only after that, so that no speed decides what is met."""
    hub.add_repo("org/clip-bad", checkpoint(), last_modified=later(-60))
    ended = tmp_path / "free"
    doubles = {
        "DIFE_TEST_AUDIT_UNTIL": str(ended),
        "DIFE_TEST_HELD_SECONDS": "0.2",
    }
    watcher = start(store.home, hub.endpoint, "--once", **doubles)
    until(lambda: jobs.counts(store).get("auditing"))
    other = sqlite3.connect(store.home / "dife.db", isolation_level=None, timeout=BUSY_SECONDS)
    other.execute("BEGIN IMMEDIATE")
    assert watcher.stdout is not None
    before = ""
    while "dife.db is held by another program; waiting" not in before:
        line = watcher.stdout.readline()
        assert line, "it ended while the database was held"
        before += line
    other.close()
    ended.touch()
    after, err = watcher.communicate(timeout=120)
    assert "Traceback" not in err
    assert watcher.returncode == 0
    events = [json.loads(line) for line in (before + after).splitlines()]
    told = [event["text"] for event in events if event["kind"] == "trouble"]
    # its own workers can hold it for a while as well, on a busy disk
    assert any("dife.db is held by another program; waiting" in text for text in told)
    assert any("free again" in text for text in told)
    assert "restarted" not in [event["kind"] for event in events]
    (job,) = jobs.jobs(store)
    assert (job.state.value, job.lost_leases) == ("done", 0)
    assert len(findings.findings(store)) == 1


def test_a_full_disk_is_told_of_once_and_waited_for(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Met by the watcher itself, which writes nothing but signs of life while nothing happens. The pass that it could
    not start is made as soon as there is room, and not an interval later.
    """
    attempts: list[bool] = []
    free, stop = threading.Event(), threading.Event()
    beat = polls.beat

    def beat_where_there_is_room(*given: Any) -> None:
        if not free.is_set():
            raise disk_full(store.home)
        beat(*given)

    start_child = children.start_child

    def start_where_there_is_room(process: Any) -> None:
        attempts.append(free.is_set())
        if not free.is_set():
            raise disk_full(store.home)
        start_child(process)

    monkeypatch.setattr(polls, "beat", beat_where_there_is_room)
    monkeypatch.setattr(children, "start_child", start_where_there_is_room)
    monkeypatch.setattr(watching, "FULL_SECONDS", 0.05)
    monkeypatch.setattr(watching, "_auditors", lambda work, executor: [])
    told: list[str] = []

    def tell(event: Event) -> None:
        if event.kind is EventKind.TROUBLE and "disk" in event.text:
            told.append(event.text)

    watcher = threading.Thread(
        target=watch,
        args=(work_for(store.home, hub.endpoint),),
        kwargs={"stop": stop, "on_event": tell},
    )
    watcher.start()
    try:
        until(lambda: attempts[3:])
        full = f"the disk that holds {store.home} is full; waiting"
        assert told == [full]
        free.set()
        until(lambda: told[-1:] == ["the disk has room again; going on"])
        until(lambda: [one for one in polls.beats(store) if one.role == "watcher"])
        until(lambda: polls.passes(store))
    finally:
        stop.set()
        watcher.join(BUSY_SECONDS)
    assert not watcher.is_alive() and told == [full, "the disk has room again; going on"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_folder_for_temporary_files_is_told_of_once_and_waited_for(
    store: Store, hub: LoopbackHub
) -> None:
    """No process can be started without a file or two in it."""
    # a socket lies in it, whose path may have some hundred letters
    folder = Path(tempfile.mkdtemp(prefix="dife-"))
    mount = ["mount", "-t", "tmpfs", "-o", "nr_inodes=2", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    hub.add_repo("org/clip", checkpoint(), last_modified=later(-60))
    full = {"TMPDIR": str(folder), "DIFE_TEST_FULL_SECONDS": "0.1"}
    watcher = start(store.home, hub.endpoint, "--once", **full)
    told = []
    try:
        for line in watcher.stdout or ():
            event = json.loads(line)
            if event["kind"] == "trouble":
                told.append(event["text"])
                if len(told) == 1:
                    subprocess.run(["mount", "-o", "remount,nr_inodes=9999", folder], check=True)
        _, words = watcher.communicate(timeout=60)
    finally:
        watcher.kill()
        watcher.communicate()
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
    assert watcher.returncode == 0, words
    assert len(told) == 2 and "folder for temporary files is full" in told[0], told
    assert told[1] == "the disk has room again; going on"
    assert [job.state.value for job in jobs.jobs(store)] == ["done"]


def test_a_paused_queue_is_read_into_and_not_worked_on(store: Store, hub: LoopbackHub) -> None:
    """What is asked of the queue is served before anything is taken, and `--once` ends though a job waits."""
    hub.add_repo("org/clip-bad", checkpoint(), last_modified=later(-60))
    requests.request_queue(store, RequestKind.PAUSE, actor="ada")
    watcher = start(store.home, hub.endpoint, "--once")
    watcher.communicate(timeout=120)
    assert watcher.returncode == 0
    assert jobs.counts(store) == {"queued": 1}
    paused = requests.paused_by(store)
    assert paused is not None and paused.actor == "ada"


def test_a_hub_that_is_down_ends_once_with_words(store: Store) -> None:
    watcher = start(store.home, "http://127.0.0.1:9", "--once")
    out, _ = watcher.communicate(timeout=120)
    assert watcher.returncode == 3
    (failed,) = [
        event for line in out.splitlines() if (event := json.loads(line))["kind"] == "poll-failed"
    ]
    assert "cannot be reached" in failed["text"]


def test_a_watcher_lives_without_its_certificates_and_goes_on_once_they_are_there(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add_repo("org/clip", checkpoint(), last_modified=later(-60))
    work = work_for(store.home, hub.endpoint)
    targets.enqueue(
        store, "org/clip", work.settings.limits, lambda: hub_for(work.settings, hub.endpoint)
    )
    bundle = tmp_path / "late.pem"
    watcher = start(store.home, hub.endpoint, SSL_CERT_FILE=str(bundle))
    try:
        until(lambda: [beat for beat in polls.beats(store) if beat.note.startswith("waiting: the")])
        until(lambda: [beat for beat in polls.beats(store) if beat.note.startswith("failed: the")])
        until(
            lambda: jobs.counts(store) == {"queued": 1}
        )  # a worker that tries takes it for a moment
        shutil.copy(CERTIFICATE, bundle)
        until(lambda: jobs.counts(store) == {"done": 1})
        until(lambda: [one for one in polls.passes(store) if one.complete])
    finally:
        watcher.send_signal(signal.SIGTERM)
        out, _ = watcher.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    told = [event["text"] for event in events if event["kind"] in ("poll-failed", "progress")]
    assert any(f"SSL_CERT_FILE names {bundle}" in text for text in told)
    assert "restarted" not in [event["kind"] for event in events]


def test_watching_restarts_workers_refuses_a_second_watcher_and_stops_on_request(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip-sleeps", checkpoint(), last_modified=later(-60))
    watcher = start(store.home, hub.endpoint, DIFE_TEST_WORKERS="2")
    try:
        (held,) = until(lambda: [job for job in jobs.jobs(store) if job.state.value == "auditing"])
        second = start(store.home, hub.endpoint)
        _, words = second.communicate(timeout=60)
        assert second.returncode == 3 and "another watcher holds" in words

        worker_pid = int((held.worker or "").split(":")[1])
        audit = until(lambda: _audit_children(worker_pid))
        os.kill(worker_pid, signal.SIGKILL)
        until(lambda: not any(psutil.pid_exists(pid) for pid in audit))
        again = until(
            lambda: [
                j
                for j in jobs.jobs(store)
                if j.state.value == "auditing" and j.worker != held.worker
            ]
        )
        assert (again[0].lost_leases, again[0].deaths) == (1, 0)

        hub.add_repo("org/clip-new", checkpoint(3))
        until(lambda: models.model_rows(store, filter="repo:org/clip-new state:done"))
        children = psutil.Process(watcher.pid).children(recursive=True)
        watcher.send_signal(signal.SIGTERM)
        out, _ = watcher.communicate(timeout=60)
        assert watcher.returncode == 0
        until(lambda: not [child for child in children if child.is_running()], 10)
        assert jobs.job(store, held.id).state.value == "queued"
        kinds = [json.loads(line)["kind"] for line in out.splitlines()]
        assert "restarted" in kinds and kinds[-1] == "stopped" and kinds.count("poll") >= 2
    finally:
        watcher.kill()
        watcher.communicate()


def test_a_watcher_that_is_to_stop_ends_in_the_middle_of_a_pass_an_audit_and_a_download(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    """No worker has to be killed for it, which would count as a loss: each gives its job back."""
    hub.add_repo("org/clip", checkpoint(), last_modified=later(-60))
    work = work_for(store.home, hub.endpoint)
    for target in (str(checkpoint_folder(tmp_path / "clip-sleeps")), "org/clip"):
        targets.enqueue(
            store, target, work.settings.limits, lambda: hub_for(work.settings, hub.endpoint)
        )
    hub.inject(faults.hang(faults.LISTING, times=None))
    hub.inject(faults.hang("GET /repos/lfs/", skip=1, times=None))  # lets the header pass
    watcher = start(store.home, hub.endpoint, DIFE_LIMITS__REQUEST_SECONDS="3600")
    try:
        until(lambda: jobs.counts(store) == {"auditing": 1, "downloading": 1})
        until(lambda: hub.seen(faults.LISTING) and hub.seen("GET /repos/lfs/")[1:])
        children = psutil.Process(watcher.pid).children(recursive=True)
        watcher.send_signal(signal.SIGTERM)
        out, err = watcher.communicate(timeout=STOP_SECONDS + BUSY_SECONDS)
    finally:
        watcher.kill()
        watcher.communicate()
    assert (watcher.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["kind"] == "stopped"
    until(lambda: not [child for child in children if child.is_running()], BUSY_SECONDS)
    for job in jobs.jobs(store):
        assert (job.state.value, job.reason) == ("queued", "its worker was stopped")
        assert (job.attempts, job.deaths, job.lost_leases) == (0, 0, 0)
    assert polls.watermarks(store, hub.endpoint) == {} and store.integrity() == []
    assert STOP_SECONDS < 10, "what hangs all the same is killed before"


def test_a_suspended_worker_is_ended_and_at_the_end_it_counts_nothing_against_the_job(
    store: Store, hub: LoopbackHub
) -> None:
    """Nothing breaks off a look-up of a name that hangs in a library; a process that is stopped ends as little.

    While the watcher runs the worker is missed, and its job counts a death. At the end, in the middle of a pass, it is
    ended after its grace.
    """
    hub.add_repo("org/clip-sleeps", checkpoint(), last_modified=later(-60))
    doubles = {"DIFE_TEST_GRACE_SECONDS": "0.5", "DIFE_TEST_HUNG_SECONDS": "4"}
    watcher = start(store.home, hub.endpoint, **doubles)
    try:
        (held,) = until(lambda: [job for job in jobs.jobs(store) if job.state.value == "auditing"])
        first = _suspended_worker(held)
        (again,) = until(
            lambda: [
                job for job in jobs.jobs(store) if job.deaths and job.state.value == "auditing"
            ]
        )
        assert not first.is_running() and again.worker != held.worker
        hub.inject(faults.hang(faults.LISTING, times=None))
        passes = len(hub.seen(faults.LISTING))
        until(lambda: len(hub.seen(faults.LISTING)) > passes)
        second = _suspended_worker(again)
        watcher.send_signal(signal.SIGTERM)
        out, _ = watcher.communicate(timeout=STOP_SECONDS + BUSY_SECONDS)
    finally:
        watcher.kill()
        watcher.communicate()
    assert watcher.returncode == 0 and not second.is_running()
    events = [json.loads(line) for line in out.splitlines()]
    assert events[-1]["kind"] == "stopped"
    told = [event["text"] for event in events if event["kind"] == "trouble"]
    assert any(f"a worker process ({first.pid}) hung" in text for text in told)
    job = jobs.job(store, held.id)
    assert (job.state.value, job.reason) == ("queued", "its worker was stopped")
    assert (job.attempts, job.deaths, job.lost_leases) == (0, 1, 0)


def _suspended_worker(job: Job) -> psutil.Process:
    """The process that holds the job, which from now on does nothing."""
    worker = psutil.Process(int((job.worker or "").split(":")[1]))
    worker.suspend()
    return worker


def _audit_children(worker_pid: int) -> list[int]:
    """The audit child is a child of the worker's fork server."""
    below = psutil.Process(worker_pid).children(recursive=True)
    return [child.pid for child in below if child.parent() and child.parent().pid != worker_pid]


def test_a_pass_that_hangs_is_killed_and_the_next_one_works(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended in the middle of a listing, so that it does not see its own deadline either."""
    hub.add_repo("org/clip", checkpoint(), last_modified=later(-60))
    work = work_for(store.home, hub.endpoint)
    hub.inject(faults.hang(faults.LISTING, times=1))
    passing = children.PassChild(work)
    with monkeypatch.context() as patch:
        # killed a second after it began
        patch.setattr(children, "PASS_GRACE_SECONDS", 1.0 - work.settings.limits.pass_seconds)
        passing.start(True)
    process = passing.process
    try:
        until(lambda: hub.seen(faults.LISTING))
        psutil.Process(process.pid).suspend()
        ended = until(passing.ended, BUSY_SECONDS)
        assert not psutil.pid_exists(process.pid)
    finally:
        process.kill()
    assert ended.error is not None
    assert ended.error.what == "the pass hung past its deadline and was killed"
    assert not passing.running and polls.watermarks(store, hub.endpoint) == {}
    passing.start(True)
    again = until(passing.ended)
    assert again.error is None and again.result.seen == 1
    assert polls.watermarks(store, hub.endpoint)


@pytest.mark.parametrize(("hours", "way"), [(5, "on by 300 minutes"), (-5, "back by 300 minutes")])
def test_a_watcher_whose_machine_slept_or_whose_clock_was_set_polls_at_once(
    hours: float, way: str, store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, told = threading.Event(), [""]
    apart = [0.0]
    real = time.time
    monkeypatch.setattr(jumps.time, "time", lambda: real() + apart[0])

    def tell(event: Event) -> None:
        told.append(event.text)
        if event.kind is EventKind.POLL and not apart[0]:
            apart[0] = 3600.0 * hours
        elif event.kind is EventKind.POLL:
            stop.set()

    summary = watch(work_for(store.home, hub.endpoint), on_event=tell, stop=stop)
    assert summary.passes == 2  # the interval is half an hour
    assert any(f"the clock went {way}" in text for text in told)


def test_a_refused_scan_does_not_wait_for_torch_to_load(tmp_path: Path) -> None:
    """Whoever reads the output of `dife scan` through a pipe sees its end when the scan ends."""
    script = "import sys; from dife_scanner.queue import child\nchild.warm_up(('slow_to_import',))\nprint('done')\n"
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(120)")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "done\n" and time.monotonic() - began < 60
