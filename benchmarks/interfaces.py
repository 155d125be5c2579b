"""The whole exposure matrix of one checkpoint against encoding its distinct inputs once, in one run. Prints JSON lines.

Suspect and reference are two copies of the bundled ViT base. The suspect's text tower, and for an image trigger its
image tower too, is perturbed, so that nothing is shared that a real suspect would not share. The matrix is everything
from the diagnosis to the last cell: all fifteen cards, intervals included. The yardstick then takes the very inputs
that went through a tower during it, and prepares and encodes them once, tower by tower. Pools are drawn beforehand:
they are fixed before any scoring. What that takes is printed too.

    python benchmarks/interfaces.py [--budget default deep] [--trigger text image]

CPU seconds are the process's own and leave out what else the machine does; `ratio` is made of them.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import scipy.optimize  # noqa: F401 - loading a library is no part of either time
import torch

from dife_scanner.audit import diagnosis, populations, probes
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.interfaces import Pair, Populations, Side, Subject, measure_all
from dife_scanner.audit.plan import Plan
from dife_scanner.baselines.home import bases_folder
from dife_scanner.core.footprint import diagnose
from dife_scanner.models.load import load
from dife_scanner.records import Cell, SelectorControl, Trigger, TriggerKind

TRIGGERS = {
    "text": Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane"),
    "image": Trigger(
        "corner",
        TriggerKind.PATCH,
        size=0.2,
        x=0.8,
        y=0.8,
        target="airplane",
    ),
}


class Recording:
    """An encoder that keeps what went through it."""

    def __init__(self, encoder) -> None:
        self.encoder = encoder
        self.pictures = []
        self.texts = []
        self.unprepared = []

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def prepare(self, images):
        self.unprepared.append(images)
        return self.encoder.prepare(images)

    def encode_images(self, pixels):
        self.pictures.append(pixels)
        return self.encoder.encode_images(pixels)

    def encode_texts(self, texts):
        self.texts.extend(texts)
        return self.encoder.encode_texts(texts)


class Stopwatch:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    @property
    def wall(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu(self) -> float:
        return time.process_time() - self._cpu


def perturbed(channel: str):
    """A copy of the base that shares with it exactly what the channel's attacks leave alone."""
    encoder = load(bases_folder() / "vit")
    encoder.text_tower = "perturbed text tower"
    towers = [encoder.model.transformer]
    if channel == "image":
        encoder.image_tower = "perturbed image tower"
        towers.append(encoder.model.visual.transformer)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tower in towers:
            for weight in tower.parameters():
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.01)
    return encoder


def warm_up(encoder, data: probes.Probes) -> None:
    """The first call of a tower sets it up."""
    encoder.encode_images(encoder.prepare(data.split(probes.TRAIN).images[:64]))
    encoder.encode_texts(["a warm-up"])


def measure(budget: str, channel: str) -> dict[str, object]:
    """One budget and one trigger."""
    trigger = TRIGGERS[channel]
    data = probes.load(probes.bundled_folder(), budget)
    plan = Plan((trigger,), budget)
    drawing = Stopwatch()
    pools = {kind: plan.pool(kind, trigger.condition(), data.class_names) for kind in populations.KINDS}
    drawn = drawing.cpu
    kept = [Recording(perturbed(channel)), Recording(load(bases_folder() / "vit"))]
    for one in kept:
        warm_up(one.encoder, data)
    memory = Memory()
    found = matrix(trigger, kept, memory, data, pools, plan)
    once = encode_once(kept)
    entries = found.pop("entries")
    numeric = sum(isinstance(entry, Cell | SelectorControl) for entry in entries)
    without_preparing = (found["matrix"] - once["preparing"]) / (once["once"] - once["preparing"])
    return {
        "benchmark": "interfaces",
        "budget": budget,
        "trigger": channel,
        "numeric": numeric,
        "cards": len(entries),
        "encodes": memory.performed,
        "distinct": memory.distinct,
        "pools_drawn_cpu_s": round(drawn, 2),
        "matrix_cpu_s": round(found["matrix"], 2),
        "once_cpu_s": round(once["once"], 2),
        "of_which_preparing_cpu_s": round(once["preparing"], 2),
        "ratio": round(found["matrix"] / once["once"], 3),
        "ratio_without_preparing": round(without_preparing, 3),
        "matrix_wall_s": round(found["wall"], 2),
        "once_wall_s": round(once["wall"], 2),
    }


def matrix(
    trigger: Trigger,
    kept,
    memory: Memory,
    data: probes.Probes,
    pools,
    plan: Plan,
) -> dict[str, object]:
    """From the diagnosis to the last cell: its entries, processor and wall seconds."""
    cached = [CachedEncoder(one, memory) for one in kept]

    def both(split: str, templates: tuple[str, ...]) -> Pair[Side]:
        sides = [Side(one, data.split(split), data.class_names, templates) for one in cached]
        return Pair(*sides)

    condition = trigger.condition()
    watch = Stopwatch()
    train = both(probes.TRAIN, probes.SEARCH_TEMPLATES)
    test = both(probes.TEST, probes.PROFILE_TEMPLATES)
    queries = both(probes.TEST, probes.QUERY_TEMPLATES)
    support = diagnosis.gather(trigger, both(probes.DIAGNOSIS, probes.DIAGNOSIS_TEMPLATES), train)
    subject = Subject(trigger, condition, train, test, queries, Populations(pools.__getitem__), plan.seed)
    profile = measure_all(subject, diagnose(support, condition))
    return {"matrix": watch.cpu, "wall": watch.wall, "entries": profile.entries}


def encode_once(kept) -> dict[str, float]:
    """Every input that went through a tower, prepared and encoded once: processor and wall seconds."""
    watch = Stopwatch()
    for one in kept:
        for images in one.unprepared:
            one.encoder.prepare(images)
    preparing = watch.cpu
    for one in kept:
        if one.pictures:
            one.encoder.encode_images(np.concatenate(one.pictures))
        one.encoder.encode_texts(one.texts)
    return {"preparing": preparing, "once": watch.cpu, "wall": watch.wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", nargs="+", default=["default", "deep"])
    parser.add_argument("--trigger", nargs="+", default=list(TRIGGERS), choices=TRIGGERS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for budget in given.budget:
        for channel in given.trigger:
            print(json.dumps(measure(budget, channel)), flush=True)


if __name__ == "__main__":
    main()
