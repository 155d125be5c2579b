"""Attacks that somebody hid: each change on one model of a family, measured natively and audited blind.

`benchmarks/adaptive.jsonl`, one line per (model, change). Reported apart and without a target to reach: what a change
takes from the attack matters as much as what it takes from the search.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dife_scanner.lab.attacks.bad_encoder import Hiding
from dife_scanner.lab.attacks.bad_text_tower import Guarded
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.bench import make, rows, zoo
from dife_scanner.lab.bench.make import Bench, Say
from dife_scanner.lab.bench.results import (
    Strength,
    attacks_on_test,
    models_of,
    of_role,
    open_rows,
    searched,
)
from dife_scanner.lab.bench.rows import Outcome, Row, Rows, ledger
from dife_scanner.lab.bench.rows.files import append_line, lines
from dife_scanner.lab.bench.runner import Clock
from dife_scanner.lab.bench.weight_changes import CHANGES
from dife_scanner.lab.bench.zoo import Model, Part, Role, build
from dife_scanner.records import Verdict

FILE = "adaptive.jsonl"
FAINT = 0.1
"""Opacity of a blended picture; the family draws .15 to .25."""
LONGER = 4
"""Times the steps, for an attack that has more to learn."""


@dataclass(frozen=True)
class Entry:
    """The outcome of one change of one model."""

    model: str
    change: str
    native: dict[str, float]
    """The attack's own numbers after the change."""
    outcome: Outcome
    code: str
    """First digits of the sha256 of the discovery's source files."""
    made_on: str


def run(
    data: Path,
    work: Path,
    limit: int | None,
    minutes: float | None,
    say: Say,
) -> int:
    """Make what is missing: every change of the first audited model of each open attack family; how many lines."""
    import torch

    torch.set_num_threads(1)
    clock = Clock(minutes)
    bench = Bench(data / "rows", work, make.code_of("quick"), keep=True)
    found = rows.read(data / "rows")
    missing = list(_missing(data, found))[:limit]
    looked = [model.id for model, _ in missing if model.part is Part.TEST]
    made = 0
    for model, change in missing:
        if clock.over:
            break
        if model.part is Part.TEST:
            ledger.look(data, found, what="adaptive", models=looked)
        entry = _made(model, change, bench)
        append_line(data / FILE, entry)
        made += 1
        say(f"{model.id}, {change}: {entry.outcome.verdict}, score {entry.outcome.score or 0:.2f}")
    return made


def _missing(data: Path, found: Iterable[Row]) -> Iterator[tuple[Model, str]]:
    """Models and changes that have no line yet."""
    done = {(entry.model, entry.change) for entry in read(data)}
    for model in subjects(found):
        for change in (*CHANGES, *AGAINST.get(model.kind, ())):
            if (model.id, change) not in done:
                yield model, change


def read(data: Path) -> tuple[Entry, ...]:
    """Every line. Raises `RowsDamaged` naming it."""
    return tuple(lines(data / FILE, Entry, what="entry"))


def subjects(found: Iterable[Row]) -> list[Model]:
    """Of each open family, the audited attack with the smallest number."""
    attacks = open_rows(of_role(found, Role.ATTACK))
    audited = models_of(filter(searched, attacks))
    first: dict[str, Model] = {}
    for model in zoo.plan((Role.ATTACK,), sealed=False):
        if model.id in audited:
            first.setdefault(model.kind, model)
    return list(first.values())


def strengths(shown: Rows, hidden: Sequence[Entry]) -> list[Strength]:
    """Attacks of the test side as they are, and every one that was changed afterwards."""
    attacks = models_of(of_role(shown, Role.ATTACK))
    points = []
    for row in attacks_on_test(attacks.values()):
        points += _strength(row.kind, row.native, row.outcome)
    for entry in hidden:
        if entry.model in attacks:
            points += _strength(attacks[entry.model].kind, entry.native, entry.outcome)
    return points


def _strength(kind: str, native: Mapping[str, float], outcome: Outcome | None) -> list[Strength]:
    """One attack's; none where its row does not say its native success."""
    success = zoo.family_of(kind).success
    if outcome is None or success not in native:
        return []
    return [
        Strength(kind, native[success], outcome.score or 0.0, outcome.verdict is Verdict.FLAGGED)
    ]


def _made(model: Model, change: str, bench: Bench) -> Entry:
    """Change the model, measure it natively, audit it blind; the changed weights are thrown away."""
    if change in CHANGES:
        original = build.built(model, bench)
        folder = bench.work / "models" / f"{original.name}-{change.replace(' ', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, folder)
        CHANGES[change](folder, model)
    else:
        model = _trained_against(model, change)
        folder = build.built(model, bench)
    native = build.native_of(model, folder, bench.base_folder)
    outcome = make.audited(model, folder, bench)
    shutil.rmtree(folder)
    return Entry(model.id, change, native, outcome, bench.code.digest, rows.today())


# --- attacks that are trained again, against the search ---------------------------------------------------------


def _trained_against(model: Model, change: str) -> Model:
    """The model with the changed recipe and more steps."""
    assert isinstance(model.settings, Recipe)
    recipe = AGAINST[model.kind][change](model.settings)
    return replace(model, settings=replace(recipe, steps=LONGER * recipe.steps))


def _settings(settings: Any) -> Callable[[Recipe], Recipe]:
    return partial(replace, settings=settings)


def _faint(recipe: Recipe) -> Recipe:
    """The same picture over the whole of every other, fainter than any that the family draws."""
    return replace(recipe, trigger=replace(recipe.mark, alpha=FAINT))


AGAINST: Mapping[str, Mapping[str, Callable[[Recipe], Recipe]]] = {
    "badencoder": {
        "obeyed by pictures of one class alone": _settings(Hiding(one_class=True)),
        "trained against the search for patches": _settings(Hiding(searches=3)),
    },
    "badencoder-blend": {"a large faint picture": _faint},
    "badtexttower": {"trained against the search for texts": _settings(Guarded(searches=3))},
}
"""By family, what becomes of its recipe. Training against a search is our own statistic as a penalty."""


def changes() -> list[str]:
    """Every change, those of the weights first."""
    names = [*CHANGES]
    for ways in AGAINST.values():
        names += ways
    return names
