"""Rivals on the zoo's models: one line per (model, rival), measured and kept.

`benchmarks/rivals/<rival>.jsonl`. What an earlier version of a rival measured is measured again, and nothing else. A
model is built again where `work` does not hold it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dife_scanner.audit import probes
from dife_scanner.lab import bases
from dife_scanner.lab.bench import make, rows, zoo
from dife_scanner.lab.bench.make import Bench, Say
from dife_scanner.lab.bench.results import models_of, open_rows, searched
from dife_scanner.lab.bench.rows import Row, ledger
from dife_scanner.lab.bench.rows.files import append_line, lines
from dife_scanner.lab.bench.runner import Clock
from dife_scanner.lab.bench.zoo import Model, Part, build
from dife_scanner.lab.rivals import inversion, own_searches, published, statistics
from dife_scanner.lab.rivals.statistics import Rival
from dife_scanner.models.load import load

Entries = Mapping[tuple[str, str], "Entry"]
"""By rival and model."""


@dataclass(frozen=True)
class Entry:
    """What one rival measured on one model."""

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


def read(folder: Path) -> dict[tuple[str, str], Entry]:
    """The last entry of each (rival, model). Raises `RowsDamaged` naming file and line."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for entry in lines(path, Entry, what="entry"):
            found[entry.rival, entry.model] = entry
    return found


def append(folder: Path, entry: Entry) -> None:
    """Add one entry to its rival's file."""
    append_line(folder / f"{entry.rival.replace(' ', '-')}.jsonl", entry)


def run(
    data: Path,
    work: Path,
    wanted: Sequence[Rival],
    limit: int | None,
    minutes: float | None,
    say: Say,
    only: Sequence[str] = (),
) -> int:
    """Measure what is missing or stale on every audited model of an open family (of these roles and kinds), in the
    zoo's order; how many entries."""
    import torch

    torch.set_num_threads(1)
    clock = Clock(minutes)
    found = rows.read(data / "rows")
    bench = Bench(data / "rows", work, make.code_of("quick"), keep=True)
    base = load(bases.base_folder(make.VIT))
    probe_set = probes.load(probes.bundled_folder(), "quick")
    todo = _todo(_models(found, only)[:limit], wanted, read(data / "rivals"))
    looked = [model.id for model, _ in todo if model.part is Part.TEST]
    made = 0
    for model, missing in todo:
        if clock.over:
            break
        if model.part is Part.TEST:
            ledger.look(data, found, what="rivals", models=looked)
        material = inversion.Material(load(build.built(model, bench)), base, probe_set)
        for rival in missing:
            append(data / "rivals", _entry(model, rival, statistics.timed(rival, material)))
            made += 1
        say(f"{model.id}: {len(missing)} rivals measured")
    inversion.forget()
    return made


def _models(found: Iterable[Row], only: Sequence[str]) -> list[Model]:
    """Audited models whose towers moved, as the plan has them; no sealed one."""
    audited = models_of(filter(searched, open_rows(found)))
    return [model for model in zoo.plan(only, sealed=False) if model.id in audited]


def _todo(
    models: Sequence[Model], wanted: Sequence[Rival], known: Entries
) -> list[tuple[Model, list[Rival]]]:
    """Models with the rivals that have no entry of their present version there, or none with its encoder passes."""
    left = []
    for model in models:
        missing = []
        for rival in wanted:
            if not _is_fresh(known.get((rival.name, model.id)), rival):
                missing.append(rival)
        if missing:
            left.append((model, missing))
    return left


def _is_fresh(entry: Entry | None, rival: Rival) -> bool:
    return entry is not None and entry.version == rival.version and entry.passes is not None


def _entry(model: Model, rival: Rival, timed: statistics.Timed) -> Entry:
    return Entry(
        model=model.id,
        rival=rival.name,
        value=round(timed.measured.value, 6),
        seconds=round(timed.seconds, 1),
        code=code(),
        made_on=rows.today(),
        version=rival.version,
        seed=own_searches.SEED,
        passes=timed.measured.passes,
    )


def code() -> str:
    """First digits of the sha256 over the files that measure."""
    digest = sha256()
    for module in (statistics, own_searches, inversion, published):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]
