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
from dife_scanner.lab.bench.rows import RowsDamaged
from dife_scanner.lab.bench.zoo import Model, Part, Role
from dife_scanner.lab.rivals import published
from dife_scanner.lab.rivals.published import Effort, Material
from dife_scanner.lab.rivals.statistics import HOMES, IDEAS
from dife_scanner.records import Channel
from dife_scanner.store import codec

FILE = "tuning.jsonl"
ATTACKS, EACH = {Channel.TEXT: 3, Channel.IMAGE: 6}, {Channel.TEXT: 1, Channel.IMAGE: 2}
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
    channel, steps = IDEAS[rival][0].channel, STEPS[rival]
    return tuple(Effort(starts, steps // starts, rate) for rate in RATES[channel] for starts in STARTS[channel])


def models(channel: Channel) -> tuple[list[Model], list[Model]]:
    """Attacks and benign models of the development side."""
    attacks = [m for m in zoo.plan((Role.ATTACK, HOMES[channel]), sealed=False) if m.part is Part.FIT]
    benign = [m for m in zoo.plan((Role.BENIGN, *BENIGN[channel]), sealed=False) if m.part is Part.FIT]
    each = [[m for m in benign if m.kind == kind][: EACH[channel]] for kind in BENIGN[channel]]
    return attacks[: ATTACKS[channel]], [model for some in each for model in some]


def best(tried: Sequence[Tried], rival: str) -> Tried | None:
    """What was chosen: the best AUROC, then the widest margin; `None` where nothing was tried."""
    return max((one for one in tried if one.rival == rival), key=lambda one: (one.auroc, one.margin), default=None)


def read(data: Path) -> tuple[Tried, ...]:
    """Every line. Raises `RowsDamaged` naming it."""
    path, found = data / FILE, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
        try:
            found.append(codec.from_json(Tried, line))
        except ValueError as error:
            raise RowsDamaged(f"{FILE}:{number} is no effort tried: {error}", "remove the line") from error
    return tuple(found)


def run(data: Path, work: Path, say: Say, asked: Sequence[str] = tuple(STEPS)) -> int:
    """Try every effort that has no line yet; how many."""
    import torch

    torch.set_num_threads(1)
    done = {(one.rival, one.effort) for one in read(data)}
    made = 0
    for rival in asked:
        missing = [effort for effort in grid(rival) if (rival, effort) not in done]
        for one in _tried(rival, missing, data, work) if missing else ():
            with (data / FILE).open("a", encoding="utf-8") as stream:
                stream.write(codec.to_json(one) + "\n")
            say(f"{rival}, {told(one.effort)}: AUROC {one.auroc:.2f}, margin {one.margin:.3f}")
            made += 1
    published.forget()
    return made


def told(effort: Effort) -> str:
    return f"{effort.starts} × {effort.steps} steps at {effort.rate:g}"


def _tried(rival: str, efforts: Sequence[Effort], data: Path, work: Path) -> list[Tried]:
    idea = IDEAS[rival][0]
    attacks, benign = models(idea.channel)
    values = {model.id: _values(rival, model, efforts, Bench(data / "rows", work, make.code_of("quick"), keep=True))
              for model in (*attacks, *benign)}  # fmt: skip
    found = []
    for number, effort in enumerate(efforts):
        high, low = ([values[model.id][number] for model in side] for side in (attacks, benign))
        margin = round(min(high) - max(low), 6)
        found.append(Tried(rival, effort, auroc(high, low), margin, tuple(values), rows.today()))
    return found


def _values(rival: str, model: Model, efforts: Sequence[Effort], bench: Bench) -> list[float]:
    from dife_scanner.models.load import load

    suspect, base = load(make.built(model, bench)), load(bases.base_folder(make.VIT))
    material = Material(suspect, base, probes.load(probes.bundled_folder(), "quick"))
    return [IDEAS[rival][0].value(material, effort) for effort in efforts]
