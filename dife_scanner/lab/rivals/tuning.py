"""Published ideas are tuned before they are compared: steps, starts and rate, on models that nothing is tested on.

`benchmarks/tuning.jsonl`, one line per (statistic, effort) tried. The development side alone: attacks of the idea's
home family and benign models whose tower of its channel moved, all of the side that detectors were made on. Every
effort takes about the seconds of our own search of that channel. The best AUROC is chosen, then the widest margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.audit import probes
from dife_scanner.core.calibration import auroc
from dife_scanner.lab import bases
from dife_scanner.lab.bench import make, rows, zoo
from dife_scanner.lab.bench.make import Bench, Say
from dife_scanner.lab.bench.rows.files import append_line, lines
from dife_scanner.lab.bench.zoo import Model, Part, Role, build
from dife_scanner.lab.rivals import inversion
from dife_scanner.lab.rivals.inversion import Effort, Material
from dife_scanner.lab.rivals.statistics import HOMES, IDEAS
from dife_scanner.models.load import load
from dife_scanner.records import Channel

FILE = "tuning.jsonl"
ATTACKS = {Channel.TEXT: 3, Channel.IMAGE: 6}
EACH = {Channel.TEXT: 1, Channel.IMAGE: 2}
"""Of the home family, and of each benign kind. Masks need more: among three against three the order of two efforts was
chance."""
BENIGN: Mapping[Channel, tuple[str, ...]] = {
    Channel.TEXT: ("text tower on prompts", "concept token", "new vocabulary"),
    Channel.IMAGE: ("image tower", "both towers on pairs", "another domain"),
}
"""Kinds whose tower of the channel moves."""
RATES = {Channel.TEXT: (0.01, 0.03, 0.1), Channel.IMAGE: (0.1, 0.2)}
STEPS = {
    "DECREE-like": 240,
    "DECREE-like with the base": 240,
    "AMDET-like": 360,
    "LMSanitator-like": 480,
    "LMSanitator-like with the base": 480,
}
"""What is tuned, and the steps of all starts together: about the seconds of our own search of that channel, where what
the base comes to is known already. AMDET without its anchor takes AMDET's settings and, at half the cost, twice the
starts."""
STARTS = {Channel.TEXT: (2, 8), Channel.IMAGE: (1, 2)}


@dataclass(frozen=True)
class Tried:
    """One statistic at one effort."""

    rival: str
    effort: Effort
    auroc: float
    """Of attacks against benign models."""
    margin: float
    """The lowest attack less the highest benign model."""
    models: tuple[str, ...]
    made_on: str


def grid(rival: str) -> tuple[Effort, ...]:
    """The efforts that are tried, the longest starts first."""
    idea, _ = IDEAS[rival]
    efforts = []
    for rate in RATES[idea.channel]:
        for starts in STARTS[idea.channel]:
            efforts.append(Effort(starts, STEPS[rival] // starts, rate))
    return tuple(efforts)


def models(channel: Channel) -> tuple[list[Model], list[Model]]:
    """Attacks and benign models of the development side."""
    attacks = _of_kind(Role.ATTACK, HOMES[channel], ATTACKS[channel])
    benign = []
    for kind in BENIGN[channel]:
        benign += _of_kind(Role.BENIGN, kind, EACH[channel])
    return attacks, benign


def _of_kind(role: Role, kind: str, count: int) -> list[Model]:
    """The first models of a kind on the development side."""
    planned = zoo.plan((role, kind), sealed=False)
    return [model for model in planned if model.part is Part.FIT][:count]


def best(tried: Sequence[Tried], rival: str) -> Tried | None:
    """What was chosen: the best AUROC, then the widest margin; `None` where nothing was tried."""
    mine = [one for one in tried if one.rival == rival]
    return max(mine, key=lambda one: (one.auroc, one.margin), default=None)


def read(data: Path) -> tuple[Tried, ...]:
    """Every line. Raises `RowsDamaged` naming it."""
    return tuple(lines(data / FILE, Tried, what="effort tried"))


def run(data: Path, work: Path, say: Say, wanted: Sequence[str] = tuple(STEPS)) -> int:
    """Try every effort that has no line yet; how many."""
    import torch

    torch.set_num_threads(1)
    done = {(one.rival, one.effort) for one in read(data)}
    made = 0
    for rival in wanted:
        missing = [effort for effort in grid(rival) if (rival, effort) not in done]
        if not missing:
            continue
        for one in _tried(rival, missing, data, work):
            append_line(data / FILE, one)
            say(f"{rival}, {described(one.effort)}: AUROC {one.auroc:.2f}, margin {one.margin:.3f}")
            made += 1
    inversion.forget()
    return made


def described(effort: Effort) -> str:
    """An effort in words."""
    return f"{effort.starts} × {effort.steps} steps at {effort.rate:g}"


def _tried(rival: str, efforts: Sequence[Effort], data: Path, work: Path) -> list[Tried]:
    """Each effort on all models of the development side."""
    idea, _ = IDEAS[rival]
    attacks, benign = models(idea.channel)
    bench = Bench(data / "rows", work, make.code_of("quick"), keep=True)
    values = {}
    for model in (*attacks, *benign):
        values[model.id] = _values(rival, model, efforts, bench)
    found = []
    for number, effort in enumerate(efforts):
        high = [values[model.id][number] for model in attacks]
        low = [values[model.id][number] for model in benign]
        found.append(_compared(rival, effort, high, low, tuple(values)))
    return found


def _compared(
    rival: str, effort: Effort, high: Sequence[float], low: Sequence[float], models: tuple[str, ...]
) -> Tried:
    """Values of attacks, `high`, against those of benign models."""
    return Tried(
        rival=rival,
        effort=effort,
        auroc=auroc(high, low),
        margin=round(min(high) - max(low), 6),
        models=models,
        made_on=rows.today(),
    )


def _values(rival: str, model: Model, efforts: Sequence[Effort], bench: Bench) -> list[float]:
    """What the idea comes to on one model, per effort."""

    idea, _ = IDEAS[rival]
    suspect = load(build.built(model, bench))
    base = load(bases.base_folder(make.VIT))
    material = Material(suspect, base, probes.load(probes.bundled_folder(), "quick"))
    return [idea.value(material, effort) for effort in efforts]
