"""A calibration pack of one's own: benign fine-tunes of a registered reference, made and audited on this machine.

One row per model is kept, so that a run that is killed goes on where it was; weights are thrown away.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dife_scanner.baselines import calibration
from dife_scanner.lab.bench import packs, rows, zoo
from dife_scanner.lab.bench.make import Bench, audited, code_of
from dife_scanner.lab.bench.results import counted_benign, outcome_of
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.runner import AUDIT_SECONDS, Clock, is_made, verdict_of
from dife_scanner.lab.bench.zoo import Model
from dife_scanner.lab.bench.zoo.build import built, recipe_of, seconds_of
from dife_scanner.records import Reference

Say = Callable[[str], None]


@dataclass(frozen=True)
class PackOptions:
    """The options of a pack."""

    base: Reference
    home: Path
    n: int = 99
    """Benign models."""
    minutes: float | None = None
    """No model is begun after this."""
    budget: str = "quick"
    device: str = "cpu"

    @property
    def name(self) -> str:
        return f"{self.base.name}-{self.budget}"

    @property
    def rows(self) -> Path:
        return calibration.own_folder(self.home) / "rows" / self.name

    @property
    def pack(self) -> Path:
        return calibration.own_folder(self.home) / f"{self.name}.json"


@dataclass(frozen=True)
class Estimate:
    """What is left to do."""

    made: int
    left: int
    seconds: float
    """Per model, building and audit, of processor time."""
    timed: bool
    """Whether a model was timed here; otherwise the recipes' own estimate for a small base."""

    @property
    def hours(self) -> float:
        return self.left * self.seconds / 3600


def estimate(options: PackOptions) -> Estimate:
    """What is left, in seconds that the rows say."""
    known = _known(options)
    missing = _missing(options)
    spent = [row.build_seconds + outcome_of(row).seconds for row in known]
    guessed = [model.seconds + AUDIT_SECONDS for model in missing]
    seconds = spent or guessed
    return Estimate(len(known), len(missing), sum(seconds) / max(1, len(seconds)), bool(spent))


def time_one(options: PackOptions, say: Say) -> Estimate:
    """The estimate after at least one model was made: the first is timed, and its row is kept like any other."""
    before = estimate(options)
    if before.timed or not before.left:
        return before
    say(f"timing one of {before.left} models")
    _make(_missing(options)[0], options, say)
    return estimate(options)


def run(options: PackOptions, say: Say) -> Path | None:
    """Make the missing models and write the pack of all there are; where it lies, or `None` without any model."""
    clock = Clock(options.minutes)
    missing = _missing(options)
    while missing and not clock.over:
        _make(missing[0], options, say)
        left = estimate(options)
        say(f"{left.made} of {options.n} made · about {left.hours:.2f} core hours left")
        missing = _missing(options)
    return write(options)


def write(options: PackOptions) -> Path | None:
    """Write the pack of the rows there are; where it lies, or `None` without any."""
    known = _known(options)
    if not known:
        return None
    made = packs.pack(options.name, options.base, code_of(options.budget), known, known)
    return calibration.write(made, options.pack)


def _models(n: int) -> list[Model]:
    return list(islice(zoo.benign_models(), n))


def _known(options: PackOptions) -> list[Row]:
    """Rows that belong in the pack: by today's searches, of a model that moved."""
    wanted = {model.id for model in _models(options.n)}
    mine = packs.alike(counted_benign(rows.read(options.rows)), code_of(options.budget))
    return [row for row in mine if row.model in wanted]


def _missing(options: PackOptions) -> list[Model]:
    done = rows.made(rows.read(options.rows), code_of(options.budget))
    return [model for model in _models(options.n) if not is_made(model, done)]


def _make(model: Model, options: PackOptions, say: Say) -> None:
    """Build, audit blind, keep the row. Weights and finished searches survive a kill until the row is there."""
    bench = Bench(
        rows=options.rows,
        work=options.home / "cache" / "calibration" / options.name,
        code=code_of(options.budget),
        base=options.base,
        device=options.device,
    )
    folder = built(model, bench)
    outcome = audited(model, folder, bench)
    row = Row(
        model=model.id,
        role=model.role,
        kind=model.kind,
        number=model.number,
        part=model.part,
        sealed=False,
        status=rows.AUDITED,
        recipe=recipe_of(model),
        code=bench.code,
        made_on=rows.today(),
        build_seconds=seconds_of(folder),
        outcome=outcome,
    )
    rows.append(options.rows, row)
    shutil.rmtree(folder)
    say(f"{row.model}: {verdict_of(outcome)}, {row.build_seconds:.0f} + {outcome.seconds:.0f} s")
