"""What a long queue costs: discovering jobs, taking one, and listing what comes next; and the database's size.

python benchmarks/long_queue.py [--jobs 100000] [--claims 200]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from dife_scanner.records import HubModel, JobState, ModelRef
from dife_scanner.store import Store, jobs, leases, open_store, upcoming

AUTHORS = 5_000
BATCH = 200
"""Jobs in one transaction, as in a pass."""
CLAIM_SECONDS = 0.005
"""What taking a job may cost at the median."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--claims", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        seconds = fill(store, given.jobs)
        found = measure(store, given.claims)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    found |= {
        "jobs": given.jobs,
        "discover_ms": round(1e3 * seconds / given.jobs, 3),
        "home_mib": round(size / 2**20, 1),
    }
    print(json.dumps(found, indent=2))
    return int(found["claim_ms"]["median"] > 1e3 * CLAIM_SECONDS)


def fill(store: Store, count: int) -> float:
    """Queue so many models of `AUTHORS` authors, as a pass does; returns the seconds that it took."""
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        with store.atomic("jobs.discover"):
            for number in range(start, min(start + BATCH, count)):
                _queue(store, number)
    return time.perf_counter() - began


def _queue(store: Store, number: int) -> None:
    ref = ModelRef(f"org{number % AUTHORS}/clip-{number}", f"{number:040x}")
    model = HubModel(
        ref.repo_id, ref.revision, "2026-01-01T00:00:00.000Z", downloads=number % 3_000
    )
    jobs.discover(store, ref, endpoint="hub", state=JobState.QUEUED, reason="new", model=model)


def measure(store: Store, claims: int) -> dict[str, Any]:
    """Milliseconds of taking a job and of reading what comes next."""
    taken = []
    for number in range(claims):
        began = time.perf_counter()
        job = leases.claim(store, f"host:{number}:0", 600.0)
        taken.append(1e3 * (time.perf_counter() - began))
        assert job is not None
    began = time.perf_counter()
    upcoming.upcoming(store)
    listed = 1e3 * (time.perf_counter() - began)
    return {
        "claim_ms": {
            "median": round(statistics.median(taken), 2),
            "95 %": round(sorted(taken)[len(taken) * 95 // 100], 2),
        },
        "upcoming_ms": round(listed, 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
