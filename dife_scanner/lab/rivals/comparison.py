"""Rivals on the zoo's models: one line per (model, rival), what they come to beside ours, and that part of the page.

`benchmarks/rivals/<rival>.jsonl`. What an earlier version of a rival measured is measured again, and nothing else. A
model is built again where `work` does not hold it any more.
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
from dife_scanner.lab.bench import make, rows, zoo
from dife_scanner.lab.bench.make import Bench, Say
from dife_scanner.lab.bench.results import score, searched
from dife_scanner.lab.bench.rows import Row, RowsDamaged, ledger
from dife_scanner.lab.bench.zoo import Model, Part, Role
from dife_scanner.lab.rivals import published
from dife_scanner.lab.rivals import statistics as rivals
from dife_scanner.lab.rivals.statistics import DRIFTS, RIVALS, Rival, Statistic
from dife_scanner.records import Interval
from dife_scanner.store import codec

_FEWEST = 3
"""Models on a side from which an interval is given."""
HOME = 0.9
"""AUROC on its home attack from which a published idea counts as working here."""


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
    version: int = 1
    """Of the rival."""
    seed: int = 0
    passes: int | None = None
    """Inputs through a tower, forward; entries of older code do not say."""


@dataclass(frozen=True)
class Line:
    """One statistic on the models that both it and ours have seen."""

    statistic: Statistic
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
    passes: float | None
    """Median; `None` where no entry says it."""

    @property
    def lost(self) -> bool:
        """Whether it is somebody's idea that does not find even what it was published for."""
        return self.statistic.published and (self.home[2] is None or self.home[2] < HOME)


def code() -> str:
    digest = sha256()
    for module in (rivals, published):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


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


def run(
    data: Path,
    work: Path,
    asked: Sequence[Rival],
    limit: int | None,
    minutes: float | None,
    say: Say,
    only: Sequence[str] = (),
) -> int:
    """Measure what is missing or stale on every audited model of an open family (of these roles and kinds), in the
    zoo's order; how many entries."""
    import torch

    from dife_scanner.models.load import load

    torch.set_num_threads(1)
    began, made = time.monotonic(), 0
    found = rows.read(data / "rows")
    bench = Bench(data / "rows", work, make.code_of("quick"), keep=True)
    base, asked_of = load(bases.base_folder(make.VIT)), probes.load(probes.bundled_folder(), "quick")
    todo = _todo(_models(found, only)[:limit], asked, read(data / "rivals"))
    looked = [model.id for model, _ in todo if model.part is Part.TEST]
    for model, missing in todo:
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            break
        if model.part is Part.TEST:
            ledger.look(data, found, what="rivals", models=looked)
        material = published.Material(load(make.built(model, bench)), base, asked_of)
        for rival in missing:
            _append(data / "rivals", _entry(model, rival, rivals.timed(rival, material)))
            made += 1
        say(f"{model.id}: {len(missing)} rivals measured")
    published.forget()
    return made


def _todo(
    models: Sequence[Model], asked: Sequence[Rival], known: Mapping[tuple[str, str], Entry]
) -> list[tuple[Model, list[Rival]]]:
    """Models with the rivals that have no entry of their present version there, or none that says what it took."""

    def fresh(rival: Rival, model: Model) -> bool:
        entry = known.get((rival.name, model.id))
        return entry is not None and entry.version == rival.version and entry.passes is not None

    left = [(model, [one for one in asked if not fresh(one, model)]) for model in models]
    return [(model, missing) for model, missing in left if missing]


def _entry(model: Model, rival: Rival, timed: rivals.Timed) -> Entry:
    return Entry(
        model.id,
        rival.name,
        round(timed.measured.value, 6),
        round(timed.seconds, 1),
        code(),
        rows.today(),
        rival.version,
        rivals.SEED,
        timed.measured.passes,
    )


def _models(found: Iterable[Row], only: Sequence[str]) -> list[Model]:
    """Audited models whose towers moved, as the plan has them; no sealed one."""
    done = {row.model for row in found if row.outcome is not None and searched(row) and not row.sealed}
    return [model for model in zoo.plan(only, sealed=False) if model.id in done]


def _append(folder: Path, entry: Entry) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{entry.rival.replace(' ', '-')}.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(codec.to_json(entry) + "\n")


# --- what they come to ----------------------------------------------------------------------------------------


def lines(shown: Sequence[Row], entries: Mapping[tuple[str, str], Entry]) -> tuple[Line, ...]:
    """One line per statistic that has seen both sides: attacks through its channels, and benign models of any side.

    What an earlier version of a rival measured does not count.
    """
    its: list[tuple[Statistic, dict[str, Entry]]] = [
        (
            rival,
            {
                model: one
                for (name, model), one in entries.items()
                if (name, one.version) == (rival.name, rival.version)
            },
        )
        for rival in RIVALS.values()
    ]
    its += [
        (
            drift,
            {row.model: Entry(row.model, drift.name, drift.read(row.looks), 0.0, "", "") for row in shown if row.looks},
        )
        for drift in DRIFTS.values()
    ]
    found = (_line(statistic, shown, mine) for statistic, mine in its)
    return tuple(line for line in found if line is not None)


def _line(statistic: Statistic, shown: Sequence[Row], entries: Mapping[str, Entry]) -> Line | None:
    seen = [row for row in shown if row.model in entries and searched(row)]
    attacks = [row for row in seen if row.role is Role.ATTACK and row.truth and row.truth.channel in statistic.channels]
    benign = [row for row in seen if row.role is not Role.ATTACK]
    if not attacks or not benign:
        return None
    its = [[entries[row.model].value for row in some] for some in (attacks, benign)]
    ours = [[_ours(row, statistic.ours) for row in some] for some in (attacks, benign)]
    spent = [seconds for row in seen if (seconds := entries[row.model].seconds)]
    passes = [count for row in seen if (count := entries[row.model].passes) is not None]
    at_home = [entries[row.model].value for row in attacks if row.kind == statistic.home]
    return Line(
        statistic,
        (len(at_home), len(benign), auroc(at_home, its[1]) if at_home else None),
        len(attacks),
        len(benign),
        auroc(*its),
        auroc(*ours),
        _paired(ours, its) if min(len(attacks), len(benign)) >= _FEWEST else None,
        float(np.median(spent)) if spent else 0.0,
        float(np.median(passes)) if passes else None,
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
