"""How long a poll of many models takes, how much memory it needs and how many requests it sends.

The hub runs in a process of its own on this machine; the poll runs in a fresh one, so that its peak memory is its own.

    python benchmarks/poll.py [--models 10000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

FILES = (
    "README.md",
    "open_clip_config.json",
    "open_clip_model.safetensors",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--poll", metavar="ENDPOINT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.poll:
        print(json.dumps(measure(given.poll)))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = poll_a_hub_of(given.models, Path(folder))
    print(
        json.dumps({"models": given.models, "page_size": found.pop("page_size"), **found}, indent=2)
    )


def poll_a_hub_of(models: int, folder: Path) -> dict[str, Any]:
    """What a poll in a process of its own measures, of a hub in another."""
    ours, theirs = multiprocessing.Pipe()
    hub = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, models, theirs))
    hub.start()
    try:
        endpoint = ours.recv()
        command = [sys.executable, __file__, "--poll", endpoint]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    finally:
        ours.send("stop")
        hub.join(10)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def serve(root: Path, models: int, pipe: Connection) -> None:
    """A loopback hub with `models` small repositories, one changed every minute."""
    from dife_scanner.lab.loopback import LoopbackHub

    with LoopbackHub(root) as hub:
        now = datetime.now(UTC)
        for number in range(models):
            age = timedelta(seconds=60 * number / max(1, models / 10_000))
            changed = (now - age).isoformat(timespec="milliseconds")
            hub.add_repo(
                f"org{number % 97}/clip-{number}",
                dict.fromkeys(FILES, b"x"),
                tags=["clip", "open_clip", "arxiv:2103.00020", "license:mit", "region:us"],
                library="open_clip",
                pipeline_tag="zero-shot-image-classification",
                last_modified=changed.replace("+00:00", "Z"),
            )
        pipe.send(hub.endpoint)
        pipe.recv()


def measure(endpoint: str) -> dict[str, Any]:
    """A first pass over everything, and a second one that finds nothing new."""
    from dife_scanner.hub import Hub, poll
    from dife_scanner.hub.query import PAGE_SIZE

    with tempfile.TemporaryDirectory() as cache:
        hub = Hub(endpoint, cache=Path(cache))
        before = _peak_mib()
        began = time.perf_counter()
        used = time.process_time()
        first = poll(hub, known={}, watermarks={}, lookback_days=None)
        seconds = time.perf_counter() - began
        cpu = time.process_time() - used
        peak = _peak_mib()
        began = time.perf_counter()
        known = {model.repo_id: model.sha for model in first.models}
        second = poll(hub, known=known, watermarks=first.watermarks)
        again = time.perf_counter() - began
    assert first.complete and second.complete and not second.models
    return {
        "page_size": PAGE_SIZE,
        "first_pass": {
            "new": len(first.models),
            "malformed": first.malformed,
            "seconds": round(seconds, 2),
            "client_cpu_seconds": round(cpu, 2),
            "requests": first.requests,
            "peak_mib": round(peak, 1),
            "peak_mib_before": round(before, 1),
        },
        "second_pass": {
            "new": len(second.models),
            "seconds": round(again, 2),
            "requests": second.requests,
        },
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
