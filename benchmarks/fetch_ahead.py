"""How long a worker takes for checkpoints over a slow line, with and without fetching the next one during an audit.

Both ways in one run, in turn, each with a hub and a home of its own: `--models` checkpoints, each of which takes
`--seconds` to arrive and about as long to audit. The audit is the double of the tests, which sleeps; hub client,
worker, intake and store are the real ones.

    python benchmarks/fetch_ahead.py [--models 4] [--seconds 3] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "queue"))

from queue_kit import WEIGHTS, checkpoint, work_for

from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.worker import work_loop
from dife_scanner.records import JobState
from dife_scanner.store import jobs, open_store

PIECES = 20
"""In which a checkpoint arrives."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    os.environ["DIFE_TEST_AUDIT_SECONDS"] = str(given.seconds)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(given.rounds):
        for ahead in (False, True):
            taken[ahead].append(seconds_for(given.models, given.seconds, ahead=ahead))
    without, within = statistics.median(taken[False]), statistics.median(taken[True])
    found = {
        "models": given.models,
        "seconds_to_fetch_one": given.seconds,
        "seconds_to_audit_one": given.seconds,
        "seconds_one_after_the_other": [round(value, 2) for value in taken[False]],
        "seconds_with_fetching_ahead": [round(value, 2) for value in taken[True]],
        "ratio": round(within / without, 3),
    }
    print(json.dumps(found, indent=2))


def seconds_for(models: int, seconds: float, *, ahead: bool) -> float:
    """Wall time until every model is audited, found beforehand."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with LoopbackHub(Path(folder) / "hub") as hub:
            for number in range(models):
                hub.add_repo(f"org/clip-{number}", checkpoint(number))
            work = work_for(home, hub.endpoint, disk={"fetch_ahead": ahead})
            with open_store(home) as store:
                poll_pass(store, work)
            slow_down(hub, seconds)
            began = time.monotonic()
            work_loop(work, threading.Event(), until_idle=True)
            took = time.monotonic() - began
            with open_store(home) as store:
                done = jobs.jobs(store, states=[JobState.DONE])
        if len(done) != models:
            raise SystemExit(f"{len(done)} of {models} models were audited")
        return took


def slow_down(hub: LoopbackHub, seconds: float) -> None:
    """Weights arrive in `seconds`; what is read of them beforehand, their header, at once."""
    size = len(checkpoint()[WEIGHTS])
    drip = faults.drip("/repos/lfs/", piece=size // PIECES, pause=seconds / PIECES, times=None)

    def edit(request: faults.Request, response: faults.Response) -> faults.Response:
        if "range" in request.headers:
            return response
        return drip.edit(request, response)

    hub.inject(faults.Fault("/repos/lfs/", edit, times=None))


if __name__ == "__main__":
    main()
