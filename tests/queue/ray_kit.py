"""Nodes of a Ray cluster with the audit double, each with a home of its own; and a driver as a program.

`python ray_kit.py HOME ENDPOINT ADDRESS`: the real driver, until every job has ended.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from queue_kit import probes_folder, work_for

from dife_scanner.baselines.home import open_home
from dife_scanner.cluster.ray_cluster import Cluster
from dife_scanner.cluster.ray_driver import Driver
from dife_scanner.durable import atomic
from dife_scanner.queue.work import Work
from dife_scanner.store import Store, jobs

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
WORK = "ray_kit:node_work"
OBJECTS_BYTES = 80 * 1024**2
AUDIT_SECONDS = "0.7"
PROCESSES = "processes"
"""Beside a node's home: the number of each process that had a task of it, a line each."""


def node_work() -> Work:
    """The work of the node that this runs on; a file beside its home says what is wrong with the node."""
    beside = Path(os.environ["DIFE_HOME"]).parent
    with (beside / PROCESSES).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if (beside / "kills").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (beside / "full").exists():
        atomic.os.fsync = _full  # type: ignore[attr-defined]
    return work_for(Path(os.environ["DIFE_HOME"]), os.environ["DIFE_ENDPOINT"])


def _full(handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def driver_work(home: Path, endpoint: str, address: str) -> Work:
    return work_for(home, endpoint, cluster={"address": address, "memory_mib": 0})


class Nodes:
    """Three nodes on this machine, each for one audit at a time, and a head that holds none."""

    def __init__(self, folder: Path, endpoint: str, **settings: str) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": OBJECTS_BYTES}
        self._local = LocalCluster(initialize_head=True, head_node_args=head)
        self._settings = settings
        self._endpoint = endpoint
        self.address: str = self._local.address
        self.homes = [folder / f"node-{number}" / "home" for number in range(3)]
        self.nodes: list[Any] = []
        for home in self.homes:
            home.parent.mkdir()
            probes_folder(home.parent / "probes")
            self.nodes.append(self._start(home))

    def start_without_memory(self, folder: Path) -> Any:
        """One more node, where Ray ends whatever runs because more than nothing of the memory is used."""
        probes_folder(folder / "probes")
        home = folder / "home"
        return self._start(home, RAY_memory_usage_threshold="0", RAY_memory_monitor_refresh_ms="50")

    def _start(self, home: Path, **more: str) -> Any:
        environment = {
            "DIFE_HOME": str(home),
            "DIFE_ENDPOINT": self._endpoint,
            "DIFE_TEST_AUDIT_SECONDS": AUDIT_SECONDS,
            "NO_PROXY": "127.0.0.1",
            **self._settings,
            **more,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE.parent))),
        }
        return self._local.add_node(
            num_cpus=1, object_store_memory=OBJECTS_BYTES, env_vars=environment
        )

    def kill(self, number: int) -> None:
        self.remove(self.nodes[number])

    def remove(self, node: Any) -> None:
        self._local.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self._local.shutdown()


def all_ended(store: Store) -> bool:
    return all(job.state.is_final for job in jobs.jobs(store))


def main() -> None:
    home, endpoint, address = sys.argv[1:]
    work = driver_work(Path(home), endpoint, address)
    with open_home(work.settings) as store, Cluster(work.settings.cluster, WORK) as cluster:
        driver = Driver(store, work, cluster)
        driver.run(threading.Event(), until=lambda: all_ended(store))


if __name__ == "__main__":
    main()
