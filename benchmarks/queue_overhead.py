"""What the queue costs a job whose audit does nothing: from taking a local checkpoint to its stored result.

    python benchmarks/queue_overhead.py [--jobs 30]

Intake, the limited process that reads the file, the audit child, evidence and store are the real ones. The audit is the
double of the tests. Its child comes from a server that has torch and the audit loaded, as a watcher's does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "queue"))

from queue_kit import checkpoint_folder, work_for

from dife_scanner.queue import child, targets, worker
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import JobState
from dife_scanner.store import Store, open_store

OVERHEAD_SECONDS = 0.150
"""What a job may cost at the median besides its audit."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=30)
    given = parser.parse_args()
    # the server learns of paths by the environment only; what the double needs is no cost of the queue
    os.environ["PYTHONPATH"] = os.pathsep.join((sys.path[0], os.environ.get("PYTHONPATH", "")))
    with tempfile.TemporaryDirectory() as folder:
        work = work_for(Path(folder) / "home", preload=(*child.PRELOAD, "queue_kit"))
        child.warm_up(work.preload, work.start)
        with open_store(work.home) as store:
            _one(store, work, Path(folder) / "first")  # waits for the server
            taken = []
            for number in range(given.jobs):
                taken.append(_one(store, work, Path(folder) / f"clip-{number}", number + 1))
    median = statistics.median(taken)
    found = {
        "jobs": given.jobs,
        "median_ms": round(1e3 * median, 1),
        "least_ms": round(1e3 * min(taken), 1),
        "most_ms": round(1e3 * max(taken), 1),
    }
    print(json.dumps(found, indent=2))
    return int(median > OVERHEAD_SECONDS)


def _one(store: Store, work: Work, folder: Path, seed: int = 0) -> float:
    """Seconds of one job, whose checkpoint no other job had."""
    checkpoint_folder(folder, seed)
    job = targets.enqueue(
        store, str(folder), work.settings.limits, lambda: hub_for(work.settings, "")
    )
    began = time.perf_counter()
    done = worker.run_to_end(store, job, work)
    seconds = time.perf_counter() - began
    assert done.state is JobState.DONE, done.reason
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
