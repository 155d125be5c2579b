"""Rivals on the zoo's models: one line per (model, rival), what they come to beside ours, and that part of the page.

`benchmarks/rivals/<rival>.jsonl`. A model is built again where `work` does not hold it any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from dife_scanner.audit import probes
from dife_scanner.core.calibration import RESAMPLES, auroc
from dife_scanner.lab import bases
from dife_scanner.lab.bench import make, rivals, rows, zoo
from dife_scanner.lab.bench.make import Bench, Say
from dife_scanner.lab.bench.results import score, searched
from dife_scanner.lab.bench.rivals import RIVALS, Rival
from dife_scanner.lab.bench.rows import Row, RowsDamaged
from dife_scanner.lab.bench.zoo import Model, Role
from dife_scanner.records import Interval
from dife_scanner.store import codec

_FEWEST = 3
"""Models on a side from which an interval is given."""


@dataclass(frozen=True)
class Entry:
    """What one rival said of one model."""

    model: str
    rival: str
    value: float
    seconds: float
    """Processor time."""
    code: str
    """First digits of the sha256 of the rivals' source."""
    made_on: str


@dataclass(frozen=True)
class Line:
    """One rival on the models that both it and ours have seen."""

    rival: Rival
    home: tuple[int, int, float | None]
    """Models of its home family, benign models, AUROC."""
    attacks: int
    benign: int
    auroc: float
    ours: float
    """Of our score, or of the detector it is compared with, on the very same models."""
    difference: Interval | None
    """95 % interval of ours minus its, models resampled in pairs; `None` where there are too few."""
    seconds: float
    """Median over models whose tower it had not seen before; 0 where it had seen all."""


def code() -> str:
    return sha256(Path(rivals.__file__).read_bytes()).hexdigest()[:12]


def read(folder: Path) -> dict[tuple[str, str], Entry]:
    """The last entry of each (rival, model). Raises `RowsDamaged` naming file and line."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = codec.from_json(Entry, line)
            except ValueError as error:
                raise RowsDamaged(f"{path.name}:{number} is no entry: {error}", "remove the line") from error
            found[entry.rival, entry.model] = entry
    return found


def run(data: Path, work: Path, asked: Sequence[Rival], limit: int | None, minutes: float | None, say: Say) -> int:
    """Measure what is missing on every audited model of an open family, in the zoo's order; how many entries."""
    import torch

    from dife_scanner.models.load import load

    torch.set_num_threads(1)
    began, made, state = time.monotonic(), 0, code()
    known = read(data / "rivals")
    base = load(bases.base_folder(make.VIT))
    bench = Bench(data / "rows", work, make.code_of("quick"), keep=True)
    for model in _models(rows.read(data / "rows"))[:limit]:
        missing = [one for one in asked if known.get((one.name, model.id), _NONE).code != state]
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            break
        if not missing:
            continue
        suspect = load(make.built(model, bench))
        material = rivals.Material(suspect, base, probes.load(probes.bundled_folder(), "quick"))
        for rival in missing:
            value, seconds = rivals.timed(rival, material)
            entry = Entry(model.id, rival.name, round(value, 6), round(seconds, 1), state, rows.today())
            _append(data / "rivals", entry)
            made += 1
        say(f"{model.id}: {len(missing)} rivals measured")
    return made


_NONE = Entry("", "", 0.0, 0.0, "", "")


def _models(found: Iterable[Row]) -> list[Model]:
    """Audited models whose towers moved, as the plan has them; no sealed one."""
    done = {row.model for row in found if row.outcome is not None and searched(row) and not row.sealed}
    return [model for model in zoo.plan(()) if model.id in done]


def _append(folder: Path, entry: Entry) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{entry.rival.replace(' ', '-')}.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(codec.to_json(entry) + "\n")


# --- what they come to ----------------------------------------------------------------------------------------


def lines(shown: Sequence[Row], entries: Mapping[tuple[str, str], Entry]) -> tuple[Line, ...]:
    """One line per rival that has seen both sides: attacks through its channel, and benign models of any side."""
    found = (_line(rival, shown, entries) for rival in RIVALS.values())
    return tuple(line for line in found if line is not None)


def _line(rival: Rival, shown: Sequence[Row], entries: Mapping[tuple[str, str], Entry]) -> Line | None:
    seen = [row for row in shown if (rival.name, row.model) in entries and searched(row)]
    channel = zoo.FAMILIES[rival.home].channel
    attacks = [row for row in seen if row.role is Role.ATTACK and row.truth and row.truth.channel is channel]
    benign = [row for row in seen if row.role is not Role.ATTACK]
    if not attacks or not benign:
        return None
    its = [[entries[rival.name, row.model].value for row in some] for some in (attacks, benign)]
    ours = [[_ours(row, rival.ours) for row in some] for some in (attacks, benign)]
    spent = [seconds for row in seen if (seconds := entries[rival.name, row.model].seconds)]
    at_home = [entries[rival.name, row.model].value for row in attacks if row.kind == rival.home]
    return Line(
        rival,
        (len(at_home), len(benign), auroc(at_home, its[1]) if at_home else None),
        len(attacks),
        len(benign),
        auroc(*its),
        auroc(*ours),
        _paired(ours, its) if min(len(attacks), len(benign)) >= _FEWEST else None,
        float(np.median(spent)) if spent else 0.0,
    )


def _ours(row: Row, detector: str) -> float:
    """What the detector it is compared with came to on this model; the score where it is compared with all."""
    if not detector or row.outcome is None:
        return score(row)
    return max((s.best for s in row.outcome.searches if s.detector == detector), default=0.0)


def _paired(ours: Sequence[Sequence[float]], its: Sequence[Sequence[float]]) -> Interval:
    """Ours minus its AUROC, models drawn with replacement on each side, the same for both."""
    rng, values = np.random.default_rng(0), []
    sides = [(np.asarray(a), np.asarray(b)) for a, b in zip(ours, its, strict=True)]
    for _ in range(RESAMPLES):
        picks = [rng.integers(0, len(a), len(a)) for a, _ in sides]
        drawn = [(a[pick], b[pick]) for (a, b), pick in zip(sides, picks, strict=True)]
        values.append(auroc(drawn[0][0], drawn[1][0]) - auroc(drawn[0][1], drawn[1][1]))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high), f"paired bootstrap over models, {RESAMPLES} resamples")
