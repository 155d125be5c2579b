"""Makes the rows that are missing, one model at a time, until it is done or time is up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import rows, zoo
from dife_scanner.lab.bench.commit import commit
from dife_scanner.lab.bench.make import (
    VIT,
    Bench,
    Say,
    base_reference,
    code_of,
    known_of_the_world,
    row_of,
)
from dife_scanner.lab.bench.results import (
    at_budget,
    audited,
    counted_benign,
    of_kind,
    of_role,
    on_side,
    outcome_of,
)
from dife_scanner.lab.bench.zoo import Model, Part, Role, open_models
from dife_scanner.lab.bench.zoo.build import recipe_of
from dife_scanner.records import Budget

AUDIT_SECONDS = 30.0
"""Estimate of a quick audit of one model on one core, where no row records how long one takes."""


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    only: tuple[str, ...] = ()
    """Roles, families and benign kinds; all where it is empty."""
    limit: int | None = None
    """Most models."""
    minutes: float | None = None
    """No model is begun after this."""
    renew: bool = False
    """Whether rows are made anew that other source files of the discovery made."""
    budget: str = "quick"
    base: str = VIT
    """Which bundled base models are made of."""
    any_concept: bool = False
    """Whether sources and targets are drawn from all concepts, and not from the ten classes."""
    development: bool = False
    """Only the fixed models that detectors are developed on, which are about any concept."""


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
    def left(self) -> int:
        """Models without a row."""
        return self.models - self.made

    @property
    def hours(self) -> float:
        """What is left."""
        return self.left * self.seconds / 3600


class Clock:
    """Says when the minutes that a run was granted are over; without a number they never are."""

    def __init__(self, minutes: float | None) -> None:
        self._minutes = minutes
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        return self._minutes is not None and self.seconds > 60 * self._minutes

    @property
    def left(self) -> float | None:
        """Minutes; `None` where there is no bound."""
        return None if self._minutes is None else max(0.0, self._minutes - self.seconds / 60)


def run(
    folder: Path,
    work: Path,
    options: RunOptions,
    *,
    keep: bool = False,
    say: Say,
) -> int:
    """Make missing rows; how many were made. A model whose building breaks ends the run, as nothing may be left out."""
    import torch

    torch.set_num_threads(1)
    bench = _bench(folder, work, options, keep=keep)
    missing = todo(folder, bench.code, options)
    clock = Clock(options.minutes)
    made = 0
    for model, twin in missing[: options.limit]:
        if clock.over:
            break
        row = row_of(model, twin, bench, say)
        rows.append(folder, row)
        made += 1
        hours = clock.seconds / made * (len(missing) - made) / 3600
        say(f"{made} of {len(missing)} · {described(row)} · about {hours:.1f} h left")
    return made


def _bench(folder: Path, work: Path, options: RunOptions, *, keep: bool) -> Bench:
    base = base_reference(options.base)
    bench = Bench(folder, work, code_of(options.budget), keep, base, commit=commit())
    if not options.any_concept:
        return bench
    known = known_of_the_world(base)
    return replace(bench, vocabulary=rows.Vocabulary.ANY, qualification=known)


def todo(folder: Path, code: rows.Code, options: RunOptions) -> list[tuple[Model, Model | None]]:
    """Models without a row, each attack with its twin, in the zoo's order."""
    done = rows.made(rows.read(folder), code, renew=options.renew)
    missing = []
    for model in _planned(options):
        if not is_made(model, done):
            missing.append((model, zoo.twin_of(model)))
    return missing


def _planned(options: RunOptions) -> Iterator[Model]:
    """Models that are requested and whose kind of trigger is searched for at this budget."""
    order = tuple(Budget)
    for model in _asked_for(options):
        if order.index(options.budget) >= order.index(_budget_of(model)):
            yield model


def _asked_for(options: RunOptions) -> Iterator[Model]:
    """`UsageError` for a kind that the zoo does not have."""
    if options.development and not options.any_concept:
        raise UsageError(
            "the fixed models of development are about any concept",
            "add --any-concept, or leave out --development",
        )
    if options.development:
        return open_models.development(options.only)
    if options.any_concept:
        return open_models.plan(options.only)
    return zoo.plan(options.only)


def _budget_of(model: Model) -> Budget:
    """The smallest at which a row is made of a model."""
    if model.role in (Role.ATTACK, Role.TWIN):
        return Budget(zoo.family_of(model.kind).budget)
    return Budget.QUICK


def is_made(model: Model, done: Mapping[str, dict[str, Any]]) -> bool:
    """Whether there is a row of this very recipe."""
    return done.get(model.id) == recipe_of(model)


def described(row: rows.Row) -> str:
    """A row in words. A test row's outcome is left out: reading test data is the report's, and leaves a trace."""
    if row.outcome is None:
        return f"{row.model}: {row.status}"
    seconds = f"{row.build_seconds:.0f} + {row.outcome.seconds:.0f} s"
    if row.part is Part.TEST:
        return f"{row.model} ({row.part}): audited, {seconds}"
    return f"{row.model} ({row.part}): {verdict_of(row.outcome)}, {seconds}"


def verdict_of(outcome: rows.Outcome) -> str:
    """Verdict and score in words."""
    score = "no score" if outcome.score is None else f"score {outcome.score:.2f}"
    return f"{outcome.verdict}, {score}"


# --- the plan ---------------------------------------------------------------------------------------------------


def estimates(folder: Path, options: RunOptions) -> tuple[Estimate, ...]:
    """The plan per kind, in seconds that rows say or, where there are none, the recipes estimate."""
    known = rows.read(folder)
    done = rows.made(known, code_of(options.budget), renew=options.renew)
    found = []
    for (role, kind), models in _by_kind(options).items():
        found.append(
            Estimate(
                kind=kind,
                role=role,
                models=len(models),
                made=sum(is_made(model, done) for model in models),
                seconds=_seconds(models[0], known),
            )
        )
    return tuple(found)


def _by_kind(options: RunOptions) -> dict[tuple[Role, str], list[Model]]:
    """Planned models by role and kind."""
    kinds: dict[tuple[Role, str], list[Model]] = {}
    for model in _planned(options):
        kinds.setdefault((model.role, model.kind), []).append(model)
    return kinds


def _seconds(model: Model, known: Sequence[rows.Row]) -> float:
    """Of building and auditing one model of this kind and role: the mean over audited rows, or the estimates."""
    alike = audited(of_role(of_kind(known, model.kind), model.role))
    if not alike:
        return model.seconds + AUDIT_SECONDS
    audits = sum(outcome_of(row).seconds for row in alike)
    builds = sum(row.build_seconds for row in alike)
    return (audits + builds) / len(alike)


def sides(folder: Path, options: RunOptions) -> dict[Part, int]:
    """Benign models with a row, twins among them, by the sides that the aim is about."""
    known = counted_benign(at_budget(rows.read(folder), options.budget))
    return {part: len(on_side(known, part)) for part in zoo.AIM}


def plan_lines(found: Sequence[Estimate], sides: Mapping[Part, int]) -> list[str]:
    """The plan as text: one line per kind, how far the sides are from the aim, and the sum."""
    lines = []
    for one in found:
        made = f"{one.made:3} of {one.models:3} made"
        lines.append(
            f"{one.role:7} {one.kind:28} {made} · {one.seconds:5.0f} s each · {one.hours:5.1f} h left"
        )
    for part, aim in zoo.AIM.items():
        left = max(0, aim - sides[part])
        lines.append(f"benign to {part}: {sides[part]} of {aim} made, {left} left")
    models = sum(one.left for one in found)
    hours = sum(one.hours for one in found)
    lines.append(f"all: {models} models, {hours:.1f} core hours")
    return lines
