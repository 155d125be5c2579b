"""A Ray cluster: connecting, its nodes, tasks with their resources, and what an end of a task means.

The only user of ray. What Ray itself says of retries and results is never relied on: a task is sent once
(`max_retries=0`), in a process of its own (`max_calls=1`), and the database decides about what comes back.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from dife_scanner.cluster import ray_node
from dife_scanner.errors import ClusterUnavailable, DifeError, UsageError
from dife_scanner.queue.child import ChildDied
from dife_scanner.settings import Cluster as ClusterSettings

CONNECT_SECONDS = 10.0
CLOSED_SECONDS = 5.0
"""Left to Ray for closing its connection."""
_RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""By option of a task, what Ray calls it on a node."""
_CHECK = "check --ray-address, and `ray status` on its head"


class NodeLost(Exception):
    """A node ended while it had the task; nothing is known against the job."""


class TaskFailed(Exception):
    """The task could not even be begun, or ended in an error that is none of ours."""


def check(address: str) -> None:
    """Raises `UsageError` where Ray is not installed, `ClusterUnavailable` where nothing listens at host:port."""
    _ray()
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return  # `auto`, which Ray looks up
    if not port.isdigit():
        raise UsageError(f"{address} is no address of a cluster", "write it as host:port")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise ClusterUnavailable(
            f"the Ray cluster at {address} cannot be reached: {error}", _CHECK
        ) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--executor ray needs Ray, which is not installed", "pip install 'dife-scanner[ray]'"
        ) from error
    return ray


class Cluster:
    """A connection to a cluster, between entering and leaving."""

    def __init__(self, settings: ClusterSettings, make_work: str = ray_node.OWN_WORK) -> None:
        self._settings = settings
        self._make_work = make_work
        self._ray = _ray()

    def __enter__(self) -> Cluster:
        check(self._settings.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(
                address=self._settings.address,
                namespace="dife-scanner",
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=False,
            )
        except Exception as error:  # of a library without a closed set
            raise ClusterUnavailable(
                f"the Ray cluster at {self._settings.address} does not take us in: {error}", _CHECK
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ray.shutdown()

    # --- nodes ----------------------------------------------------------------------------------------------------

    def nodes(self) -> dict[str, str]:
        """Names of the nodes that live and can hold an audit, by id. Raises `ClusterUnavailable`."""
        found = {}
        for node in self._living():
            if self._fits(node["Resources"]):
                found[node["NodeID"]] = f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
        return found

    def slots(self, excluded: Collection[str]) -> int:
        """How many audits all nodes but these hold at a time."""
        total = 0
        for node in self._living():
            if node["NodeID"] not in excluded:
                total += self._fits(node["Resources"])
        return total

    def too_small(self) -> str:
        """What an audit asks for, and what of it the living nodes have at most."""
        most: dict[str, float] = {}
        for node in self._living():
            for name, amount in node["Resources"].items():
                most[name] = max(amount, most.get(name, 0.0))
        told = []
        each_is_there = True
        for option, amount in self._needs().items():
            if amount > 0:
                each_is_there &= amount <= most.get(_RESOURCES[option], 0.0)
                unit, divisor = (" MiB", 1024**2) if option == "memory" else ("", 1)
                name = _RESOURCES[option]
                told.append(
                    f"{name} {amount / divisor:,.0f}{unit} of at most {most.get(name, 0.0) / divisor:,.0f}{unit}"
                )
        if each_is_there:
            told.append("but no node has all of it")
        return ", ".join(told)

    def _living(self) -> list[dict[str, Any]]:
        try:
            return [node for node in self._ray.nodes() if node["Alive"]]
        except Exception as error:
            raise ClusterUnavailable(
                f"the Ray cluster no longer answers: {error}", _CHECK
            ) from error

    def _fits(self, resources: dict[str, float]) -> int:
        """How many audits a node with these resources holds."""
        counts = []
        for option, amount in self._needs().items():
            if amount > 0:
                counts.append(int(resources.get(_RESOURCES[option], 0.0) / amount))
        return min(counts, default=1)

    def _needs(self) -> dict[str, float]:
        settings = self._settings
        gpus = settings.gpus
        if gpus == "auto":
            gpus = 1.0 if self._ray.cluster_resources().get("GPU") else 0.0
        memory = settings.memory_mib * 1024**2
        return {"num_cpus": settings.cpus, "num_gpus": float(gpus), "memory": memory}

    # --- tasks ----------------------------------------------------------------------------------------------------

    def look(self, node_id: str, task: str) -> Any:
        """Ask one node whether it is fit for a task; the reference of its answer."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node_id, soft=False)
        made = self._remote(ray_node.look).options(num_cpus=0, scheduling_strategy=here)
        return made.remote(self._make_work, task)

    def send(self, task: str, excluded: Collection[str]) -> Any:
        """Send a task to a node that is none of these, with its resources; the reference of its answer."""
        options: dict[str, Any] = dict(self._needs())
        if excluded:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(excluded))})"}
        return self._remote(ray_node.do).options(**options).remote(self._make_work, task)

    def _remote(self, function: Any) -> Any:
        return self._ray.remote(max_retries=0, max_calls=1)(function)

    def ended(self, references: Sequence[Any], seconds: float) -> list[Any]:
        """Those of the tasks that have ended, after at most so many seconds."""
        done, _ = self._ray.wait(list(references), num_returns=len(references), timeout=seconds)
        return list(done)

    def answer(self, reference: Any) -> ray_node.Answer:
        """The answer of a task that has ended.

        Raises `NodeLost`, `ChildDied` where its process died or Ray ended it for want of memory, `TaskFailed`, and
        `ClusterUnavailable`.
        """
        try:
            answer: ray_node.Answer = self._ray.get(reference, timeout=CONNECT_SECONDS)
        except Exception as error:
            raise meaning_of(error) from error
        return answer

    def cancel(self, reference: Any) -> None:
        """End a task wherever it is."""
        with suppress(Exception):  # it has ended, or the cluster is gone
            self._ray.cancel(reference, force=True)


def meaning_of(error: Exception) -> Exception:
    """What an error of Ray says about the job, its process, its node or the cluster."""
    from ray import exceptions

    text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    if isinstance(error, exceptions.OutOfMemoryError):
        return ChildDied(f"Ray ended it, its node had no memory left: {text}")
    lost = (exceptions.NodeDiedError, exceptions.ObjectLostError, exceptions.TaskCancelledError)
    if isinstance(error, lost):
        return NodeLost(text)
    if isinstance(error, exceptions.WorkerCrashedError):
        return ChildDied(f"its process on another machine died: {text}")
    if isinstance(error, (exceptions.RaySystemError, exceptions.GetTimeoutError, ConnectionError)):
        return ClusterUnavailable(f"the Ray cluster no longer answers: {text}", _CHECK)
    if isinstance(error, DifeError):
        return error
    return TaskFailed(text)
