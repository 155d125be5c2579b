"""A child that hangs: seen by its parent though its threads go on, ended, and started again."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from queue_kit import (
    checkpoint_folder,
    hangs_beside_its_lease,
    sleeps_for_ever,
    work_for,
    works_without_end,
)
from waiting import WORK_SECONDS, until

from dife_scanner.durable import life
from dife_scanner.models import intake
from dife_scanner.queue import hanging
from dife_scanner.queue import watch as watching
from dife_scanner.queue.children import SteadyChild
from dife_scanner.queue.hanging import Silence
from dife_scanner.queue.watch import Event, EventKind, watch
from dife_scanner.queue.work import Work
from dife_scanner.records import Job, JobState, ModelRef
from dife_scanner.settings import Limits
from dife_scanner.store import Store, jobs


def test_a_worker_that_hangs_beside_its_lease_is_ended_and_its_job_counts_a_death(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is renewed for ever, so nothing else would take the job from it. A worker that works is left alone,
    and so is the job that was only fetched ahead. Retention that hangs beside them is ended as well.
    """
    held = [_queued(store, ModelRef(f"org/{name}", "a" * 40)).id for name in ("one", "two")]
    monkeypatch.setattr(watching, "longest_silence", lambda _: 3.0)
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.5)
    children: list[SteadyChild] = []

    def auditors(work: Work, executor: object) -> list[SteadyChild]:
        for target in (hangs_beside_its_lease, works_without_end):
            children.append(SteadyChild("worker", target, work))
        return children

    monkeypatch.setattr(watching, "_auditors", auditors)
    monkeypatch.setattr(watching, "retention_main", sleeps_for_ever)
    told: list[str] = []
    stop = threading.Event()

    def tell(event: Event) -> None:
        if event.kind is EventKind.TROUBLE and "hung" in event.text:
            told.append(event.text)
            if len(told) == 2:
                stop.set()

    watcher = threading.Thread(
        target=watch,
        args=(work_for(store.home, "http://127.0.0.1:9"),),
        kwargs={"stop": stop, "on_event": tell},
    )
    watcher.start()
    try:
        hung, steady = until(lambda: _pids(children), WORK_SECONDS)
        until(lambda: len(told) >= 2, WORK_SECONDS)
    finally:
        stop.set()
        watcher.join(WORK_SECONDS)
    text, retention = sorted(told, key=lambda text: "retention" in text)
    assert "a retention process" in retention and "hung" in retention
    assert retention.endswith("and was ended; it is tried again in an hour")
    assert f"a worker process ({hung}) hung: it gave no sign of life for 3 s, and was ended" in text
    assert "org/one" in text and "org/two" in text and hung != steady
    assert not psutil.pid_exists(hung)
    in_work, ahead = (jobs.job(store, one) for one in held)
    assert in_work.reason.endswith("trying once more: its worker process hung")
    assert (in_work.state, in_work.deaths, in_work.lost_leases) == (JobState.QUEUED, 1, 0)
    assert (ahead.state, ahead.deaths, ahead.lost_leases) == (JobState.QUEUED, 0, 0)


def test_only_the_time_in_which_the_parent_itself_ran_counts_as_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a night in which machine or watcher were suspended, no child has hung all night."""
    at = [1000.0]
    monkeypatch.setattr(hanging.time, "monotonic", lambda: at[0])
    count = SimpleNamespace(value=0)
    silence = Silence(count)
    for _ in range(20):
        at[0] += 1.0
        silence.look()
    assert silence.look() == 20.0
    at[0] += 8 * 3600.0
    assert silence.look() == 20.0 + hanging.LONGEST_LOOK_SECONDS
    count.value += 1
    assert silence.look() == 0.0


def test_waiting_and_asking_are_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    count = hanging.new_count()
    monkeypatch.setattr(life, "_counts", [])
    stop = hanging.StopEvent()
    assert not stop.is_set() and count.value == 0  # nobody watches
    life.count_in(count)
    assert not stop.is_set() and not stop.wait(0.0)
    assert count.value == 2
    stop.set()
    assert stop.wait(WORK_SECONDS)


def test_copying_a_checkpoint_is_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However large it is: nobody takes a worker that copies for one that hangs."""
    monkeypatch.setattr(life, "_counts", [])
    monkeypatch.setattr(intake, "_CHUNK", 64 * 1024)
    files = {file.name: file for file in checkpoint_folder(tmp_path / "model").iterdir()}
    size = sum(file.stat().st_size for file in files.values())
    count = hanging.new_count()
    life.count_in(count)
    intake.stage(files, {}, tmp_path / "copy", Limits())
    assert count.value >= size // (64 * 1024)


def test_a_large_checkpoint_may_keep_a_worker_silent_for_longer() -> None:
    small, large = (hanging.longest_silence(gib * 1024**3) for gib in (1, 20))
    assert 600 < small < 900 and 2400 < large < 2500


def _queued(store: Store, ref: ModelRef) -> Job:
    return jobs.discover(
        store, ref, endpoint="http://127.0.0.1:9", state=JobState.QUEUED, reason=""
    )


def _pids(children: list[SteadyChild]) -> list[int]:
    """Of both, once both were started."""
    pids = [child.process.pid for child in children if child.process is not None]
    return pids if len(pids) == 2 and all(pids) else []
