"""What fetched weights may take of the disk, who waits for room, and what is fetched ahead or again."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from queue_kit import WEIGHTS, checkpoint, work_for

from dife_scanner.checkpoints import cache_folder
from dife_scanner.durable import fetched
from dife_scanner.durable.fetched import disk_use
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.queue import ahead, cleanup, worker
from dife_scanner.queue.lease import gone, worker_name
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.work import Work
from dife_scanner.records import Job, JobState
from dife_scanner.store import Store, jobs, leases, open_store

SIZE = len(checkpoint()[WEIGHTS])
WEIGHT_REQUESTS = "GET /repos/lfs/"


def discovered(store: Store, work: Work) -> list[Job]:
    """What a pass found, oldest first."""
    poll_pass(store, work)
    return sorted(jobs.jobs(store), key=lambda job: job.id)


def fetched_ahead(store: Store, work: Work) -> Job:
    """The job that is due next, fetched while nothing is audited."""
    name = worker_name(ahead.ROLE)
    job = leases.claim_ahead(store, name, 60.0, busy=0)
    assert job is not None
    return worker.process(store, job, work, worker=name, ahead=True)


# --- quota and floor ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        ({"quota_bytes": 400_000}, "of the 400.0 kB that they may"),
        ({"free_bytes": 1 << 60}, "of them stay free"),
    ],
)
def test_a_job_without_room_waits_with_a_reason_and_asks_the_hub_once(
    disk: dict[str, int], words: str, store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint, disk=disk, start="fork")
    (job,) = discovered(store, work)
    job = worker.process(store, job, work)
    assert (job.state, job.attempts) == (JobState.PAUSED, 0) and job.next_check_at
    assert job.reason.startswith("disk: org/clip@") and words in job.reason
    asked = len(hub.seen())
    assert worker.process(store, job, work).state is JobState.PAUSED
    assert len(hub.seen()) == asked
    done = worker.process(store, job, work_for(store.home, hub.endpoint, start="fork"))
    assert done.state is JobState.DONE


def test_the_oldest_weights_make_room_and_are_fetched_again(store: Store, hub: LoopbackHub) -> None:
    for number in range(3):
        hub.add_repo(f"org/clip-{number}", checkpoint(number))
    work = work_for(store.home, hub.endpoint, disk={"quota_bytes": int(2.5 * SIZE)}, start="fork")
    first, second, third = discovered(store, work)
    for number, job in enumerate((first, second)):
        assert fetched_ahead(store, work).reason == "fetched; waits for a worker"
        folder = cache_folder(store.home, job.ref)
        for file in folder.iterdir():
            os.utime(file, (number, number))
        leases.claim_job(store, job.id, "somebody", 60.0)
        leases.pause(store, job.id, "somebody", "for later", 3600.0)
    assert 2 * SIZE < disk_use(store.home, 1, 1).fetched < 2.5 * SIZE
    assert "disk: " in fetched_ahead(store, work).reason, "nothing goes for what has time"
    assert worker.process(store, third, work).state is JobState.DONE
    left = [cache_folder(store.home, job.ref).exists() for job in (first, second, third)]
    assert left == [False, True, False]
    assert worker.process(store, first, work).state is JobState.DONE


def test_what_was_fetched_goes_with_its_job_however_it_ends(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint, start="fork")
    (job,) = discovered(store, work)
    assert fetched_ahead(store, work).state is JobState.QUEUED
    cleanup.remove_ended_downloads(store)
    assert disk_use(store.home, 1, 1).fetched > SIZE
    jobs.cancel(store, job.id)
    cleanup.remove_ended_downloads(store)
    assert disk_use(store.home, 1, 1).fetched == 0


# --- once and ahead -------------------------------------------------------------------------------------------


def test_a_download_that_is_killed_goes_on_in_another_process(home: Path, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(home, hub.endpoint, start="fork")
    with open_store(home) as store:
        (job,) = discovered(store, work)
    hub.inject(faults.drip("/repos/lfs/", piece=SIZE // 4, pause=0.3, skip=1, times=1))
    pid = os.fork()
    if not pid:
        with open_store(home) as store:
            worker.process(store, job, work)
        os._exit(0)
    try:
        while not _part_size(home, job) > 0:
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            time.sleep(0.01)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    arrived = _part_size(home, job)
    with open_store(home) as store:
        cleanup.remove_leftovers(store)
        (lost,) = leases.requeue_lost(store, gone=gone)
        assert worker.process(store, lost, work).state is JobState.DONE
    assert hub.seen(WEIGHT_REQUESTS)[-1].range == f"bytes={arrived}-"
    assert 0 < arrived < SIZE


def _part_size(home: Path, job: Job) -> int:
    parts = cache_folder(home, job.ref).glob(".*safetensors*.part")
    return sum(part.stat().st_size for part in parts)


def test_the_next_checkpoint_arrives_while_one_is_audited_and_nothing_is_fetched_twice(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "LOOK_SECONDS", 0.02)
    monkeypatch.setenv("DIFE_TEST_AUDIT_SECONDS", "1.0")
    for number in range(2):
        hub.add_repo(f"org/clip-{number}", checkpoint(number))
    work = work_for(store.home, hub.endpoint)
    first, second = discovered(store, work)
    worker.work_loop(work, threading.Event(), until_idle=True)
    assert [jobs.job(store, job.id).state for job in (first, second)] == [JobState.DONE] * 2
    steps = [(event.state.value, event.reason) for event in jobs.events(store, second.id)]
    assert [state for state, _ in steps] == [
        "queued",
        "downloading",
        "queued",
        "downloading",
        "auditing",
        "done",
    ]
    assert steps[2][1] == "fetched; waits for a worker"
    audited = jobs.events(store, first.id)[-1].at
    assert jobs.events(store, second.id)[2].at < audited
    whole = [request for request in hub.seen(WEIGHT_REQUESTS) if not request.range]
    assert len(whole) == 2


def test_one_job_is_fetched_ahead_and_only_while_all_workers_are_busy(
    store: Store, hub: LoopbackHub
) -> None:
    for number in range(3):
        hub.add_repo(f"org/clip-{number}", checkpoint(number))
    work = work_for(store.home, hub.endpoint, start="fork")
    _, second, _ = discovered(store, work)

    def claimed(busy: int) -> Job | None:
        return leases.claim_ahead(store, "ahead", 60.0, busy)

    assert claimed(1) is None
    assert leases.claim(store, "worker", 60.0) is not None and claimed(2) is None
    held = claimed(1)
    assert held is not None and held.id == second.id and claimed(1) is None
    leases.release(store, second.id, "ahead", "fetched")
    assert claimed(1) is None, "one waits already"
    taken = leases.claim(store, "worker", 60.0)
    assert taken is not None and taken.id == second.id and claimed(1) is not None


def test_a_job_that_is_cancelled_while_it_is_fetched_ahead_stays_so(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint, start="fork", lease_seconds=0.2)
    (job,) = discovered(store, work)
    hub.inject(faults.drip("/repos/lfs/", piece=SIZE // 20, pause=0.05, skip=1, times=1))
    cancel = threading.Timer(0.3, _cancelled, (store.home, job.id))
    cancel.start()
    assert fetched_ahead(store, work).state is JobState.CANCELLED
    cancel.join()
    assert not cache_folder(store.home, job.ref).exists()


def _cancelled(home: Path, job_id: int) -> None:
    with open_store(home) as store:
        jobs.cancel(store, job_id)


def test_what_another_worker_removes_while_it_is_measured_counts_nothing(tmp_path: Path) -> None:
    """In 582 kills it once ended a job as failed."""
    gone, left = tmp_path / "cache" / "hub" / "org--gone", tmp_path / "cache" / "hub" / "org--left"
    (left / "1").mkdir(parents=True)
    (left / "1" / "weights").write_bytes(b"1234")
    gone.symlink_to(tmp_path / "nowhere")
    assert [(one.path, one.size) for one in fetched.fetched_folders(tmp_path)] == [(left / "1", 4)]
    assert fetched._measured(tmp_path / "nowhere").size == 0
