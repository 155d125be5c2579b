"""A watcher whose executor can do nothing for now: an unreachable cluster, or one where no node is fit."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from queue_kit import checkpoint, work_for
from waiting import BUSY_SECONDS, until

from dife_scanner.cluster import ray_cluster, ray_driver
from dife_scanner.durable.clock import later
from dife_scanner.errors import ClusterUnavailable
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue import watch as watching
from dife_scanner.queue.children import GAVE_UP
from dife_scanner.queue.watch import Event, EventKind, Executor, watch
from dife_scanner.queue.work import Work
from dife_scanner.records import JobState
from dife_scanner.settings import Cluster
from dife_scanner.store import Store, jobs, open_store, polls

WHY = "no node of the cluster can audit: node one does not have the reference mine"


def gives_up(work: Work) -> None:
    """A driver that finds no fit node."""
    with open_store(work.home) as store:
        polls.beat(store, ray_driver.ROLE, os.getpid(), WHY)
    sys.exit(GAVE_UP)


UNFIT = Executor(ray_driver.ROLE, "a cluster", gives_up)


def test_once_ends_with_what_the_executor_said_and_the_job_waits(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", checkpoint(1), last_modified=later(-60))
    summary = watch(work_for(store.home, hub.endpoint), once=True, executor=UNFIT)
    assert isinstance(summary.error, ClusterUnavailable) and WHY in summary.error.what
    assert summary.error.exit_code == 3
    (job,) = jobs.jobs(store)
    assert job.state is JobState.QUEUED and (job.attempts, job.lost_leases) == (0, 0)


def test_status_says_why_while_the_executor_is_tried_again(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BEAT_SECONDS", 0.2)
    events: list[Event] = []
    stop = threading.Event()
    running = threading.Thread(
        target=watch,
        args=(work_for(store.home, hub.endpoint),),
        kwargs={"on_event": events.append, "stop": stop, "executor": UNFIT},
    )
    running.start()
    try:
        until(
            lambda: [
                one for one in polls.beats(store) if one.role == "watcher" and WHY in one.note
            ],
            BUSY_SECONDS,
        )
    finally:
        stop.set()
        running.join()
    told = [event.text for event in events if event.kind is EventKind.TROUBLE]
    assert told and WHY in told[0] and told[0].endswith("trying again")


class Small:
    """Ray, as far as its nodes are looked at: one that lives and has little memory."""

    def nodes(self) -> list[dict[str, object]]:
        resources = {"CPU": 2.0, "memory": 512.0 * 1024**2}
        return [{"Alive": True, "NodeID": "one", "Resources": resources}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}


def test_a_cluster_whose_nodes_are_too_small_is_one_that_cannot_audit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_ray", Small)
    cluster = ray_cluster.Cluster(Cluster(memory_mib=4096))
    driver = ray_driver.Driver(store, work_for(Path(store.home)), cluster)
    with pytest.raises(ClusterUnavailable) as raised:
        driver.turn()
    assert "no node of the cluster can hold an audit" in raised.value.what
    assert "memory 4,096 MiB of at most 512 MiB" in raised.value.what
