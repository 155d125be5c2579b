"""What 10, 100 and 1,000 GPUs would do, computed from what one driver and one node take and from the limits of the hub.

    python benchmarks/cluster_on_paper.py [--jobs 200] [--tasks 5]

Measured here: what the driver takes for each job (taking it, and committing a result with its audit), what a task costs
its node besides the audit (Ray's process, our modules, opening the home), and the bytes of a result. Documented: the
hub's limits. Given: seconds of an audit and bytes of a checkpoint, in rows. Nothing in the table is typed by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "queue"))

from long_queue import fill
from queue_kit import audit_record, work_for
from ray_kit import WORK, Nodes, driver_work

from dife_scanner.baselines.home import open_home
from dife_scanner.cluster import driver, ray_node, tasks
from dife_scanner.cluster.ray_cluster import Cluster
from dife_scanner.cluster.ray_driver import Driver
from dife_scanner.queue import outcome
from dife_scanner.queue.lease import worker_name
from dife_scanner.records import EvidenceFile, EvidenceRole, JobState, ModelRef
from dife_scanner.store import open_store
from dife_scanner.store.codec import to_json

GPUS = (10, 100, 1000)
AUDIT_SECONDS = (10.0, 60.0, 600.0)
PLANS = {"free user": (1_000, 5_000), "Team": (3_000, 20_000), "Enterprise Plus": (10_000, 100_000)}
"""Requests of the API and of files that the hub documents for five minutes."""
WINDOW_SECONDS = 300.0
API_REQUESTS, FILE_REQUESTS = 2, 4
"""Of each model that is looked at and fetched (docs/scale.md)."""
CHECKPOINT_BYTES = 600e6
"""A ViT-B/32 of both towers in 32 bits."""
EVIDENCE_BYTES = 200_000
"""Of the pictures with one audit, in three files."""
QUEUED = 5_000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        driver_seconds, result_bytes = driver_cost(Path(folder) / "driver", given.jobs)
        node_seconds = task_cost(Path(folder), given.tasks)
    measured = {
        "driver_ms_a_job": round(1e3 * driver_seconds, 1),
        "node_seconds_a_task": round(node_seconds, 2),
        "result_kib": round(result_bytes / 1024, 1),
    }
    print(json.dumps(measured, indent=2))
    for line in table(driver_seconds, node_seconds):
        print(line)
    return 0


def driver_cost(home: Path, jobs: int) -> tuple[float, float]:
    """Median seconds for taking a job and committing its result, and bytes of that result."""
    work = work_for(home / "home")
    seconds, sizes = [], []
    with open_store(work.home) as store:
        fill(store, QUEUED)
        for number in range(jobs):
            began = time.perf_counter()
            token = worker_name(f"ray-{number}")
            made = driver.claim_task(store, work, token, 600.0)
            taken = time.perf_counter() - began
            assert made is not None
            answer = _answer(home / f"{number}", made[1], number)
            sizes.append(sum(map(len, answer.values())))
            began = time.perf_counter()
            committing = Driver.__new__(
                Driver
            )  # without a cluster: only its database side is measured
            committing._store, committing._work = store, work
            committing.deliver(made[1], answer)
            seconds.append(taken + time.perf_counter() - began)
    return statistics.median(seconds), statistics.median(sizes)


def _answer(folder: Path, task: tasks.Task, number: int) -> ray_node.Answer:
    """A result with an audit that no other job has, and its evidence."""
    files = []
    for part in range(3):
        content = hashlib.sha256(f"{number} {part}".encode()).digest() * (EVIDENCE_BYTES // 96)
        digest = hashlib.sha256(content).hexdigest()
        files.append((EvidenceFile(digest, "image/png", EvidenceRole.TRIGGER, "a"), content))
    identity = hashlib.sha256(str(number).encode()).hexdigest()
    audit = audit_record(task.ref, identity=identity, evidence=tuple(file for file, _ in files))
    folder.mkdir(parents=True)
    outcome.write(folder, outcome.Received(replace(audit, id=identity[:16]), None, tuple(files)))
    result = tasks.Result(task.job_id, task.token, task.key, JobState.DONE, "done", True)
    tasks.write_record(folder / tasks.RECORD, result)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def task_cost(folder: Path, count: int) -> float:
    """Median seconds of a task that audits nothing, on a node that has nothing else to do."""
    endpoint = "http://127.0.0.1:9"
    nodes = Nodes(folder, endpoint)
    try:
        work = driver_work(folder / "paper", endpoint, nodes.address)
        with open_home(work.settings) as store, Cluster(work.settings.cluster, WORK) as cluster:
            conditions = tasks.conditions_here(store, work)
            question = tasks.Task(0, "", "", endpoint, ModelRef("", ""), conditions)
            node = next(iter(cluster.nodes()))
            seconds = [_asked(cluster, node, to_json(question)) for _ in range(count)]
    finally:
        nodes.close()
    return statistics.median(seconds)


def _asked(cluster: Cluster, node: str, question: str) -> float:
    began = time.perf_counter()
    asked = cluster.look(node, question)
    while not cluster.ended([asked], 1.0):
        pass
    error = ray_node.error_of(cluster.answer(asked))
    assert error is None, error
    return time.perf_counter() - began


def table(driver_seconds: float, node_seconds: float) -> list[str]:
    """Lines of a table: models an hour, what limits them, and what the rest of the system has to bear for it."""
    lines = [
        "| GPUs | an audit | audits an hour | limited by | driver busy | from the hub | plan that allows it |",
        "|---|---|---|---|---|---|---|",
    ]
    for gpus in GPUS:
        for audit in AUDIT_SECONDS:
            lines.append(_line(gpus, audit, driver_seconds, node_seconds))
    return lines


def _line(gpus: int, audit: float, driver_seconds: float, node_seconds: float) -> str:
    nodes = gpus / (audit + node_seconds)
    most = 1 / driver_seconds
    rate = min(nodes, most)
    limit = "GPUs" if nodes <= most else "the driver"
    bits = rate * CHECKPOINT_BYTES * 8 / 1e9
    return (
        f"| {gpus:,} | {audit:g} s | {3600 * rate:,.0f} | {limit} | {100 * rate * driver_seconds:.1f} %"
        f" | {bits:.1f} Gbit/s | {_plan(rate)} |"
    )


def _plan(rate: float) -> str:
    """The smallest plan whose limits allow so many new models a second."""
    for name, (api, files) in PLANS.items():
        if (
            rate * WINDOW_SECONDS * API_REQUESTS <= api
            and rate * WINDOW_SECONDS * FILE_REQUESTS <= files
        ):
            return name
    return "none: a mirror is needed"


if __name__ == "__main__":
    raise SystemExit(main())
