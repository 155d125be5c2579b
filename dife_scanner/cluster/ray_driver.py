"""The driver: sends due jobs to a Ray cluster, keeps their leases, and commits what comes back; one process.

Results are committed here alone, by compare-and-set on the token of the lease (`driver.commit`). A driver that dies
leaves jobs under its name; as it is gone for certain, the next one takes them up at once.
"""

from __future__ import annotations

import logging
import math
import os
import random
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dife_scanner.cluster import driver, ray_node
from dife_scanner.cluster.ray_cluster import Cluster, NodeLost, TaskFailed
from dife_scanner.cluster.tasks import Task, UnfitNode, conditions_here, read_result
from dife_scanner.errors import ClusterUnavailable, DifeError, DiskFull, StoreBusy, UsageError
from dife_scanner.queue.child import ChildDied
from dife_scanner.queue.children import GAVE_UP
from dife_scanner.queue.failures import record_failure
from dife_scanner.queue.lease import gone, worker_name
from dife_scanner.queue.outcome import ChildBug
from dife_scanner.queue.processes import end_with_parent, stop_event
from dife_scanner.queue.schedule import BEAT, RENEWALS, Due, Schedule
from dife_scanner.queue.work import Work
from dife_scanner.records import Job, ModelRef
from dife_scanner.store import LeaseLost, Patience, Store, leases, open_store, polls
from dife_scanner.store.codec import to_json

log = logging.getLogger(__name__)

ROLE = "driver"
WAIT_SECONDS = 0.5
"""For an answer, before leases and the queue are looked at again."""
BEAT_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 300.0
"""After which a node that was not fit is asked again."""
FULL_SECONDS = 5.0


@dataclass(frozen=True)
class Flight:
    """A task that was sent."""

    job: Job
    task: Task


def ray_main(work: Work) -> None:
    """Be the driver, as a child of a watcher. Ends with `GAVE_UP` where the cluster cannot do anything."""
    end_with_parent()
    try:
        with Cluster(work.settings.cluster) as cluster:
            stop = stop_event()  # after connecting: Ray sets a handler of its own
            patience = Patience(math.inf, stopped=stop.is_set)
            with open_store(work.home, patience=patience) as store:
                Driver(store, work, cluster).run(stop)
    except ClusterUnavailable as error:
        with open_store(work.home) as store:
            polls.beat(store, ROLE, os.getpid(), f"{error.what}; {error.advice}")
        sys.exit(GAVE_UP)


class Driver:
    """What one driver has sent, and what it knows of the nodes."""

    def __init__(self, store: Store, work: Work, cluster: Cluster) -> None:
        self._store = store
        self._work = work
        self._cluster = cluster
        self._flights: dict[Any, Flight] = {}
        self._looks: dict[Any, str] = {}
        """Answers that are waited for, and the node of each."""
        self._fit: set[str] = set()
        self._unfit: dict[str, tuple[str, float]] = {}
        """By node, why it is not fit, and when it is asked again."""
        self._names: dict[str, str] = {}
        self._due = Due({BEAT: BEAT_SECONDS, RENEWALS: work.lease_seconds / 4})
        self._due.want(BEAT, RENEWALS)

    def run(self, stop: threading.Event, until: Callable[[], bool] = lambda: False) -> None:
        """Send and commit until stopped, or `until()`; then give all jobs back. Raises `ClusterUnavailable`."""
        try:
            with self.schedule() as schedule:
                while not stop.is_set() and not until():
                    try:
                        schedule.tend()
                        self.turn()
                    except (DiskFull, StoreBusy) as error:
                        log.warning("%s; waiting", error.what)
                        stop.wait(FULL_SECONDS)
        finally:
            self._give_back()

    def schedule(self) -> Schedule:
        """What wakes its signs of life and its renewals; turns are to be taken within it."""
        return Schedule(self._due.regular, log.warning)

    def turn(self) -> None:
        """One round: nodes, what is due, what has come, leases."""
        leases.requeue_lost(self._store, gone=gone)
        self._tend_nodes()
        self._send_due()
        self._renew()
        for reference in self._ended():
            if reference in self._looks:
                self._take_look(reference)
            else:
                self._take(reference)
        self._beat()

    def _ended(self) -> list[Any]:
        waited_for = [*self._looks, *self._flights]
        if not waited_for:
            time.sleep(WAIT_SECONDS)
            return []
        return self._cluster.ended(waited_for, WAIT_SECONDS)

    # --- nodes ----------------------------------------------------------------------------------------------------

    def _tend_nodes(self) -> None:
        """Ask nodes that are new, or were not fit some time ago. Raises `ClusterUnavailable` where none is fit."""
        self._names = self._cluster.nodes()
        self._fit &= set(self._names)
        at = time.monotonic()
        for node_id in self._names:
            due = self._unfit.get(node_id, ("", 0.0))[1]
            if node_id not in self._fit and node_id not in self._looks.values() and at >= due:
                self._looks[self._cluster.look(node_id, to_json(self._question()))] = node_id
        unfit = [self._unfit[one][0] for one in self._names if one in self._unfit]
        if not self._names:
            raise ClusterUnavailable(
                f"no node of the cluster can hold an audit: {self._cluster.too_small()}",
                "add a node, or ask for less: [cluster] in config.toml",
            )
        if len(unfit) == len(self._names):
            raise ClusterUnavailable(
                f"no node of the cluster can audit: {unfit[0]}", "repair a node, or add one"
            )

    def _question(self) -> Task:
        """A task of no job, which asks for nothing but the conditions."""
        conditions = conditions_here(self._store, self._work)
        return Task(0, "", self._work.settings.endpoint, ModelRef("", ""), conditions)

    def _take_look(self, reference: Any) -> None:
        node_id = self._looks.pop(reference)
        try:
            error = ray_node.error_of(self._cluster.answer(reference))
        except NodeLost:
            return
        except (ChildDied, TaskFailed) as failed:
            error = UnfitNode(str(failed), "install the same version of dife-scanner on it")
        if error is None:
            self._fit.add(node_id)
            self._unfit.pop(node_id, None)
        else:
            self._set_aside(node_id, error)

    def _set_aside(self, node_id: str, error: DifeError) -> None:
        why = f"node {self._names.get(node_id, node_id)}: {error.what}; {error.advice}"
        self._fit.discard(node_id)
        self._unfit[node_id] = (why, time.monotonic() + LOOK_AGAIN_SECONDS)
        log.warning("%s", why)
        self._due.want(BEAT)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send_due(self) -> None:
        """Send as many as the fit nodes hold at a time."""
        others = set(self._names) - self._fit
        if not self._fit:
            return
        while len(self._flights) < self._cluster.slots(others):
            token = worker_name(f"ray-{uuid.uuid4().hex}")
            made = driver.claim_task(self._store, self._work, token, self._work.lease_seconds)
            if made is None:
                return
            job, task = made
            reference = self._cluster.send(to_json(task), others)
            self._flights[reference] = Flight(job, task)

    # --- what comes back ------------------------------------------------------------------------------------------

    def _take(self, reference: Any) -> None:
        """Commit how a task ended. It stays in flight where that cannot be written now."""
        flight = self._flights[reference]
        try:
            self._commit(flight, reference)
        except LeaseLost as lost:
            log.info("late: %s", lost.what)
        del self._flights[reference]

    def _commit(self, flight: Flight, reference: Any) -> None:
        job_id, token = flight.job.id, flight.task.token
        try:
            answer = self._cluster.answer(reference)
        except NodeLost as lost:
            log.info("job %s: %s", job_id, lost)
            leases.lose(self._store, job_id, token)
            return
        except (ChildDied, TaskFailed) as failed:
            self._record(flight, failed)
            return
        error = ray_node.error_of(answer)
        if isinstance(error, UnfitNode):
            leases.release(self._store, job_id, token, error.what)
            self._fit.clear()  # it is not said which of them it was: all are asked again
        elif error is not None:
            self._record(flight, error)
        else:
            self._deliver_or_record(flight, answer)

    def _deliver_or_record(self, flight: Flight, answer: ray_node.Answer) -> None:
        try:
            self.deliver(flight.task, answer)
        except (UsageError, ValueError, ChildBug) as error:
            self._record(flight, error)

    def _record(self, flight: Flight, error: Exception) -> None:
        rng = random.Random(self._work.seed)
        record_failure(self._store, flight.job, flight.task.token, error, self._work.channels, rng)

    def deliver(self, task: Task, answer: ray_node.Answer) -> Job:
        """Commit the files of a result, once: a second time it raises `LeaseLost`."""
        folder = self._work.home / "work" / f"{task.job_id}-{uuid.uuid4().hex}"
        try:
            ray_node.write_answer(folder, answer)
            return self._deliver_from(folder, task)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _deliver_from(self, folder: Path, task: Task) -> Job:
        result = read_result(folder)
        if result is None:
            raise UsageError(f"the answer about job {task.job_id} holds no result")
        return driver.commit(self._store, self._work, task, result, folder)

    # --- leases ---------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        """Renew every lease; a task whose lease was lost (cancelled by somebody, say) is ended."""
        if not self._due.waits(RENEWALS):
            return
        seconds = self._work.lease_seconds
        for reference, flight in list(self._flights.items()):
            if not leases.heartbeat(self._store, flight.job.id, flight.task.token, seconds):
                self._cluster.cancel(reference)
        # not before: what could not be written is tried again in the next turn
        self._due.take(RENEWALS)

    def _give_back(self) -> None:
        """End what is in flight, and give the jobs back untouched."""
        for reference, flight in self._flights.items():
            self._cluster.cancel(reference)
            try:
                leases.release(self._store, flight.job.id, flight.task.token, "its driver stopped")
            except (LeaseLost, DiskFull, StoreBusy) as error:
                log.info("%s", error.what)
        self._flights.clear()

    def _beat(self) -> None:
        if not self._due.take(BEAT):
            return
        told = [f"{len(self._flights)} audits on {len(self._fit)} of {len(self._names)} nodes"]
        told += [why for node_id, (why, _) in self._unfit.items() if node_id in self._names]
        polls.beat(self._store, ROLE, os.getpid(), "; ".join(told))
