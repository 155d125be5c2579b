"""Makes the rows that are missing, one model at a time, until it is done or time is up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dife_scanner.audit.populations.pool import BUDGETS
from dife_scanner.lab.bench import rows, zoo
from dife_scanner.lab.bench.make import VIT, Bench, Say, base_reference, code_of, row_of
from dife_scanner.lab.bench.make import told as recipe_of
from dife_scanner.lab.bench.results import counted_benign
from dife_scanner.lab.bench.zoo import Model, Part, Role

AUDIT_SECONDS = 30.0
"""Estimate of a quick audit of one model on one core, where no row says how long one takes."""


@dataclass(frozen=True)
class Asked:
    """What a run is asked for."""

    only: tuple[str, ...] = ()
    limit: int | None = None
    """Most models."""
    minutes: float | None = None
    """No model is begun after this."""
    renew: bool = False
    """Make rows anew that other source files of the discovery made."""
    budget: str = "quick"
    base: str = VIT
    """Which bundled base models are made of."""


@dataclass(frozen=True)
class Estimate:
    """One kind's line of the plan."""

    kind: str
    role: Role
    models: int
    made: int
    seconds: float
    """Per model, building and audit."""

    @property
    def hours(self) -> float:
        """What is left."""
        return (self.models - self.made) * self.seconds / 3600


def estimates(folder: Path, asked: Asked) -> tuple[Estimate, ...]:
    """The plan per kind, in seconds that rows say or, where there are none, the recipes estimate."""
    known = rows.read(folder)
    done = rows.made(known, code_of(asked.budget), renew=asked.renew)
    kinds: dict[tuple[Role, str], list[Model]] = {}
    for model in filter(partial(_searchable, budget=asked.budget), zoo.plan(asked.only)):
        kinds.setdefault((model.role, model.kind), []).append(model)
    return tuple(
        Estimate(kind, role, len(models), sum(is_made(m, done) for m in models), _seconds(models[0], known))
        for (role, kind), models in kinds.items()
    )


def _seconds(model: Model, known: Iterable[rows.Row]) -> float:
    alike = [r for r in known if (r.kind, r.role) == (model.kind, model.role) and r.outcome is not None]
    audits = [r.outcome.seconds for r in alike if r.outcome is not None]
    if not audits:
        return model.seconds + AUDIT_SECONDS
    return (sum(audits) + sum(r.build_seconds for r in alike)) / len(audits)


def run(folder: Path, work: Path, asked: Asked, *, keep: bool = False, say: Say) -> int:
    """Make missing rows; how many were made. A model whose building breaks ends the run, as nothing may be left out."""
    import torch

    torch.set_num_threads(1)
    bench = Bench(folder, work, code_of(asked.budget), keep, base_reference(asked.base))
    missing = todo(folder, bench.code, asked)
    began, made = time.monotonic(), 0
    for model, twin in missing[: asked.limit]:
        if asked.minutes is not None and time.monotonic() - began > 60 * asked.minutes:
            break
        row = row_of(model, twin, bench, say)
        rows.append(folder, row)
        made += 1
        say(f"{made} of {len(missing)} · {told(row)} · about {_left(began, made, len(missing)):.1f} h left")
    return made


def todo(folder: Path, code: rows.Code, asked: Asked) -> list[tuple[Model, Model | None]]:
    """Models without a row, each attack with its twin, in the zoo's order."""
    done = rows.made(rows.read(folder), code, renew=asked.renew)
    planned = filter(partial(_searchable, budget=asked.budget), zoo.plan(asked.only))
    return [(model, zoo.twin_of(model)) for model in planned if not is_made(model, done)]


def _searchable(model: Model, budget: str) -> bool:
    family = zoo.FAMILIES.get(model.kind)
    return family is None or BUDGETS.index(budget) >= BUDGETS.index(family.budget)


def is_made(model: Model, done: Mapping[str, dict[str, Any]]) -> bool:
    """Whether there is a row of this very recipe."""
    return done.get(model.id) == recipe_of(model)


def told(row: rows.Row) -> str:
    """A row in words. What came of a test row is not said: looking at test data is the report's, and leaves a trace."""
    if row.outcome is None:
        return f"{row.model}: {row.status}"
    score = "no score" if row.outcome.score is None else f"score {row.outcome.score:.2f}"
    seconds = f"{row.build_seconds:.0f} + {row.outcome.seconds:.0f} s"
    shown = "audited" if row.part is Part.TEST else f"{row.outcome.verdict}, {score}"
    return f"{row.model} ({row.part}): {shown}, {seconds}"


def _left(began: float, made: int, of: int) -> float:
    return (time.monotonic() - began) / made * (of - made) / 3600


def sides(folder: Path, asked: Asked) -> dict[Part, int]:
    """Benign models with a row, twins among them, by the sides that the aim is about."""
    known = counted_benign(row for row in rows.read(folder) if row.code.budget == asked.budget)
    return {part: sum(row.part is part for row in known) for part in zoo.AIM}


def plan_lines(found: Sequence[Estimate], sides: Mapping[Part, int]) -> list[str]:
    """The plan as text: one line per kind, how far the sides are from the aim, and the sum."""
    lines = [
        f"{e.role:7} {e.kind:28} {e.made:3} of {e.models:3} made · {e.seconds:5.0f} s each · {e.hours:5.1f} h left"
        for e in found
    ]
    return [
        *lines,
        *(
            f"benign to {part}: {sides[part]} of {aim} made, {max(0, aim - sides[part])} left"
            for part, aim in zoo.AIM.items()
        ),
        f"all: {sum(e.models - e.made for e in found)} models, {sum(e.hours for e in found):.1f} core hours",
    ]
