"""Peak memory and processor time of inverting a patch in two checkpoints of random weights, by how gradients are taken;
and how well the cost model predicts the time.

python benchmarks/way_back.py [NAME...]              ViT-B-32 if none is named; a JSON line for each way, on the CPU
python benchmarks/way_back.py NAME --steps 10        so many steps of the inversion, ten by ten
python benchmarks/way_back.py NAME --way 0 2         some of the ways of `models/activations.py`, by number

Each has a process of its own, so that its peak is its own. One thread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from first_minutes import SHAPES, WEIGHTS, configured, peak_mib, task_of, write_weights

from dife_scanner.audit import memory
from dife_scanner.discovery import DETECTORS, Cancelled, Load, cost
from dife_scanner.discovery.pictures import PASSES_PER_PICTURE
from dife_scanner.models.activations import PICTURES, WAYS
from dife_scanner.models.load import load


def measured(name: str, number: int, steps: int) -> dict[str, Any]:
    """The line of one way."""
    import torch

    torch.set_num_threads(1)
    ways = WAYS[number]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = configured(name, folder)
        (need,) = memory.needs(config, config, "quick", [ways])
        pair = []
        for seed, way in ((0, ways.suspect), (1, ways.base)):
            write_weights(config, folder, seed)
            encoder = load(folder)
            encoder.way_back = way
            pair.append(encoder)
            (folder / WEIGHTS).unlink()
        loaded = peak_mib()
        task = task_of(pair, folder)
        seconds = _seconds_per_step(task, steps)
        peak = peak_mib()
        rates = cost.rates(Load(1, 0), task, time.process_time)
        predicted = PASSES_PER_PICTURE * PICTURES * rates.per_image
        return {
            "model": name,
            "suspect recomputes": ways.suspect.recomputes,
            "base recomputes": ways.base.recomputes,
            "at once": ways.suspect.at_once,
            "estimated MiB": need.mib,
            "peak MiB, loaded": loaded,
            "peak MiB": peak,
            "processor seconds a step": round(seconds, 2),
            "predicted over measured": round(predicted / seconds, 2),
        }


def _seconds_per_step(task: Any, steps: int) -> float:
    times: list[float] = []

    def tell(what: str, done: int, of: int) -> None:
        times.append(time.process_time())
        if done >= steps:
            raise Cancelled

    (patch,) = [one for one in DETECTORS if one.name == "patch"]
    try:
        patch.search(replace(task, progress=tell, concepts=()))
    except Cancelled:
        return (times[-1] - times[0]) / steps
    raise AssertionError(f"a patch has fewer than {steps} steps")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=", ".join(SHAPES))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--way", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    for name in given.names or ["ViT-B-32"]:
        for number in given.way:
            with multiprocessing.get_context("spawn").Pool(1) as child:
                row = child.apply(measured, (name, number, given.steps))
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
