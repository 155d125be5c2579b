"""Nodes of a Ray cluster with the audit double, each with a home of its own; and a driver as a program.

`python ray_kit.py HOME ENDPOINT ADDRESS`: the real driver, until every job has ended.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from queue_kit import probes_folder, work_for

from dife_scanner.baselines.home import open_home
from dife_scanner.cluster import ray_driver
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
CARDS = "cards"
"""The same of the graphics cards that Ray gave it."""


def node_work() -> Work:
    """The work of the node that this runs on; a file beside its home says what is wrong with the node."""
    beside = Path(os.environ["DIFE_HOME"]).parent
    with (beside / PROCESSES).open("a") as file:
        file.write(f"{os.getpid()}\n")
    with (beside / CARDS).open("a") as file:
        file.write(f"{os.environ.get('CUDA_VISIBLE_DEVICES', '')}\n")
    if (beside / "kills").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (beside / "full").exists():
        atomic.os.fsync = _full  # type: ignore[attr-defined]
    return work_for(Path(os.environ["DIFE_HOME"]), os.environ["DIFE_ENDPOINT"])


def _full(handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def driver_work(home: Path, endpoint: str, address: str, **cluster: Any) -> Work:
    return work_for(home, endpoint, cluster={"address": address, "memory_mib": 0, **cluster})


def driver_main(work: Work) -> None:
    """The driver as a child of a watcher, whose nodes audit with the double."""
    ray_driver.Cluster = partial(Cluster, make_work=WORK)
    ray_driver.ray_main(work)


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

    def start_with_card(self, folder: Path, memory_mib: int) -> Any:
        """One more node, with a graphics card as far as Ray knows, and so much memory for audits."""
        probes_folder(folder / "probes")
        resources = {"num_gpus": 1, "memory": memory_mib * 1024**2, "num_cpus": 4}
        return self._start(folder / "home", resources=resources)

    def _start(self, home: Path, resources: dict[str, int] | None = None, **more: str) -> Any:
        environment = {
            "DIFE_HOME": str(home),
            "DIFE_ENDPOINT": self._endpoint,
            "DIFE_TEST_AUDIT_SECONDS": AUDIT_SECONDS,
            "NO_PROXY": "127.0.0.1",
            **self._settings,
            **more,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE.parent))),
        }
        given = {"num_cpus": 1, **(resources or {})}
        return self._local.add_node(
            **given, object_store_memory=OBJECTS_BYTES, env_vars=environment
        )

    def kill(self, number: int) -> None:
        self.remove(self.nodes[number])

    def remove(self, node: Any) -> None:
        self._local.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self._local.shutdown()


class Head:
    """One machine of a cluster, which is its head and audits as well; it can be killed and started again."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.home = folder / "head" / "home"
        self._endpoint = endpoint
        self._process: psutil.Popen | None = None
        probes_folder(self.home.parent / "probes")

    def __enter__(self) -> Head:
        return self

    def __exit__(self, *exit_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it at its address."""
        environment = {
            **os.environ,
            "DIFE_HOME": str(self.home),
            "DIFE_ENDPOINT": self._endpoint,
            "DIFE_TEST_AUDIT_SECONDS": AUDIT_SECONDS,
            "NO_PROXY": "127.0.0.1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE.parent))),
        }
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        options = [
            f"--port={self.address.rpartition(':')[2]}",
            "--num-cpus=1",
            "--include-dashboard=false",
            f"--object-store-memory={OBJECTS_BYTES}",
        ]
        self._process = psutil.Popen(
            [*command, *options], env=environment, stdout=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End all of its processes at once."""
        if self._process is None:
            return
        everybody = [self._process, *self._process.children(recursive=True)]
        for process in everybody:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everybody)
        self._process = None


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
