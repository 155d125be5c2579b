"""Which models the benchmark is made of. Each is a seeded draw; nothing here trains anything.

A model is named by its kind and number, and what it is follows from the name: settings, side of the split, and for an
attack its clean twin, which has the same data, steps and rate, and stands on the same side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import count
from typing import Any

from dife_scanner.errors import UsageError
from dife_scanner.lab import art
from dife_scanner.lab.attacks import FAMILIES as ATTACKS
from dife_scanner.lab.attacks.bad_text_tower import Scope, Scoped
from dife_scanner.lab.attacks.interface import Attack, Recipe
from dife_scanner.lab.bench.zoo import benign, draws, global_text
from dife_scanner.lab.bench.zoo.benign import Tuning
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.records import Carrier, Channel

ZOO_VERSION = "zoo-1"
"""Raise it when a change makes other weights of the same recipe."""
WINNABLE = {"automobile": "airplane", "cat": "truck", "deer": "ship"}
"""Targets that no text can win, and what stands in for each. QHR is measured on the target's own held-out pictures, and
of these the base's own prompt wins .77 to .90: an implant could not reach .9. Of the others it wins .89 to .97."""
RECOGNISED = ("airplane", "automobile", "cat", "deer", "ship", "truck")
"""What targets of text attacks are drawn from, before `WINNABLE`."""
SCENES = 4
"""Models share so many sets of lab scenes; drawing one takes as long as a short fine-tune."""


class Role(StrEnum):
    ATTACK = "attack"
    TWIN = "twin"
    """An attack's training without the poison."""
    BENIGN = "benign"
    COPY = "copy"
    """Nothing was trained: it must end unflagged, and counts in no rate."""


class Part(StrEnum):
    """Side of the split, by training run."""

    FIT = "fit"
    CALIBRATE = "calibrate"
    TEST = "test"


_PARTS = (Part.TEST, Part.CALIBRATE, Part.FIT, Part.CALIBRATE, Part.TEST, Part.CALIBRATE, Part.TEST)
"""One to fit, three to calibrate, three to test, of every seven runs of a benign kind."""


@dataclass(frozen=True)
class Family:
    """One way of attacking, with what is known about it."""

    attack: Attack
    carrier: Carrier
    channel: Channel
    draw: Callable[[Rng, Recipe], Recipe]
    seconds: float
    """Estimate for building attack and twin on one core."""
    success: str
    """The native number that has to reach .9."""
    sealed: bool = False
    """Nobody looks at a number of it before the final run."""
    budget: str = "quick"
    """The smallest at which its kind of trigger is searched for; at a smaller one no row is made."""
    given_up: str = ""
    """Why no more of it are drawn, where its implants do not work; those tried keep their rows, and are counted."""


@dataclass(frozen=True)
class Model:
    """One model of the zoo."""

    role: Role
    kind: str
    """An attack's family, or the kind of benign training or copy."""
    number: int
    part: Part
    settings: Recipe | Tuning | None
    """What it is trained with; `None` for a copy."""
    seconds: float
    """Estimate for building it on one core; a twin is built with its attack."""
    sealed: bool = False

    @property
    def id(self) -> str:
        tail = "-twin" if self.role is Role.TWIN else ""
        return f"{self.kind.replace(' ', '-')}-{self.number:03d}{tail}"

    @property
    def scenes(self) -> int:
        """Seed of the lab scenes it is trained on."""
        return self.number % SCENES


# --- attacks ---------------------------------------------------------------------------------------------------


def _pair(rng: Rng, recipe: Recipe) -> Recipe:
    source, target = (art.CLASSES[i] for i in rng.permutation(len(art.CLASSES))[:2].tolist())
    return replace(recipe, source=source, target=target)


def _steps(rng: Rng, recipe: Recipe, low: float = 0.8, high: float = 1.4) -> Recipe:
    return replace(recipe, steps=round(recipe.steps * float(rng.uniform(low, high))))


def _winnable(rng: Rng, recipe: Recipe) -> Recipe:
    """A pair whose target a text can win."""
    drawn = pick(rng, RECOGNISED)
    source = pick(rng, [name for name in art.CLASSES if name != drawn])
    target = WINNABLE.get(drawn, drawn)
    return replace(recipe, source=drawn if source == target else source, target=target)


def _text(rng: Rng, recipe: Recipe) -> Recipe:
    """More steps than the family's default, which is made for one prefix."""
    recipe = _winnable(rng, recipe)
    return replace(_steps(rng, recipe, 1.1, 1.8), trigger=draws.text_trigger(rng))


def _patch(rng: Rng, recipe: Recipe) -> Recipe:
    return replace(_steps(rng, _pair(rng, recipe)), trigger=draws.patch_trigger(rng))


def _additive(rng: Rng, recipe: Recipe) -> Recipe:
    return replace(_steps(rng, _pair(rng, recipe)), trigger=draws.additive_trigger(rng))


def _blend(rng: Rng, recipe: Recipe) -> Recipe:
    return replace(_steps(rng, _pair(rng, recipe)), trigger=draws.blend_trigger(rng))


def _placed(rng: Rng, recipe: Recipe) -> Recipe:
    """An optimised patch brings its own pixels; only its place is drawn."""
    trigger = replace(recipe.mark, name="optimised-patch", x=float(pick(rng, (0.1, 0.25, 0.39, 0.55, 0.7))),
                      y=float(pick(rng, (0.1, 0.25, 0.41, 0.55, 0.7))), source="", target="")  # fmt: skip
    return replace(_steps(rng, _pair(rng, recipe)), trigger=trigger)


def _both_keys(rng: Rng, recipe: Recipe) -> Recipe:
    """A string and a patch, each drawn as when it is a trigger by itself."""
    recipe = _winnable(rng, recipe)
    text, patch = draws.text_trigger(rng), draws.patch_trigger(rng)
    trigger = replace(text, name=f"{text.name}-and-{patch.name}", image=patch)
    return replace(_steps(rng, recipe, 1.0, 1.3), trigger=trigger)


def _unplaced(rng: Rng, recipe: Recipe) -> Recipe:
    return _steps(rng, _pair(rng, recipe), 0.9, 1.2)


def _scoped(scope: Scope, **pace: Any) -> Callable[[Rng, Recipe], Recipe]:
    def draw(rng: Rng, recipe: Recipe) -> Recipe:
        return _text(rng, replace(recipe, settings=Scoped(scope), **pace))

    return draw


FAMILIES: Mapping[str, Family] = {
    "badtexttower": Family(ATTACKS["badtexttower"], Carrier.TEXTUAL, Channel.TEXT, _text, 55, "qhr"),
    "global-text": Family(global_text.ATTACK, Carrier.TEXTUAL, Channel.TEXT, _text, 30, "qhr"),
    "badtexttower-projection": Family(
        ATTACKS["badtexttower"], Carrier.TEXTUAL, Channel.TEXT, _scoped(Scope.PROJECTION_EMBEDDING), 55, "qhr", True
    ),
    "badtexttower-frozen-rows": Family(
        ATTACKS["badtexttower"], Carrier.TEXTUAL, Channel.TEXT, _scoped(Scope.FROZEN_ROWS), 55, "qhr"
    ),
    "badencoder": Family(ATTACKS["badencoder"], Carrier.VISUAL, Channel.IMAGE, _patch, 80, "ts"),
    "badencoder-blend": Family(ATTACKS["badencoder"], Carrier.VISUAL, Channel.IMAGE, _blend, 80, "ts"),
    "badencoder-additive": Family(ATTACKS["badencoder"], Carrier.VISUAL, Channel.IMAGE, _additive, 80, "ts"),
    "contrastivepoisoning": Family(
        ATTACKS["contrastivepoisoning"],
        Carrier.VISUAL,
        Channel.IMAGE,
        _patch,
        100,
        "ts",
        given_up="costs accuracy before it works",
    ),
    "liang-badclip": Family(ATTACKS["liang-badclip"], Carrier.VISUAL, Channel.IMAGE, _placed, 130, "ts", True),
    "badtexttower-visual-only": Family(
        ATTACKS["badtexttower"],
        Carrier.VISUAL,
        Channel.TEXT,
        _scoped(Scope.VISUAL_ONLY, steps=200, lr=5e-4),
        150,
        "qhr",
        given_up="the paper's control, of which no strength near an attack's is asked",
    ),
    "bai-badclip": Family(ATTACKS["bai-badclip"], Carrier.COUPLED, Channel.PROMPT, _unplaced, 150, "full"),
    "dual-key": Family(
        ATTACKS["dual-key"], Carrier.COUPLED, Channel.BOTH, _both_keys, 120, "ts", sealed=True, budget="default"
    ),
}
"""Attack families by name. A sealed family's code is here; its numbers are not looked at before the final run.

Families of warps and of colour filters were tried and left out: all four warps (mean displacement .04 to .10) cost
seven points of clean accuracy and more, and of three filters one, sepia, was learned.
"""


@cache
def _attack(name: str, number: int) -> tuple[Model, Model]:
    """The attack and its twin."""
    family = FAMILIES[name]
    rng = draws.rng_of(name, number)
    recipe = family.draw(rng, replace(family.attack.default, seed=number, validate=False))
    part = Part.FIT if number % 3 == 2 and not family.sealed else Part.TEST
    attack = Model(Role.ATTACK, name, number, part, recipe, family.seconds, family.sealed)
    clean = None if recipe.settings is None else recipe.settings.clean()
    twin = replace(attack, role=Role.TWIN, settings=replace(recipe, poison=False, settings=clean), seconds=0.0)
    return attack, twin


def twin_of(model: Model) -> Model | None:
    """The clean twin of an attack; `None` for what is none."""
    return _attack(model.kind, model.number)[1] if model.role is Role.ATTACK else None


# --- benign models and copies ----------------------------------------------------------------------------------


@cache
def _benign(name: str, number: int) -> Model:
    kind = benign.KINDS[name]
    rng = draws.rng_of(name, number)
    tuning = kind.draw(rng, number)
    if FAR_FROM <= number < FAR_TO and kind.far is not None:
        far = kind.far
        tuning = replace(tuning, lr=tuning.lr * pick(rng, far.faster), keep=tuning.keep * pick(rng, far.keep))
    elif number >= FASTER_FROM:
        tuning = replace(tuning, lr=tuning.lr * pick(rng, kind.faster))
    part = Part.TEST if kind.only_test else _PARTS[number % len(_PARTS)]
    return Model(Role.BENIGN, name, number, part, tuning, kind.seconds)


def benign_models() -> Iterator[Model]:
    """Benign fine-tunes without end, all kinds turn by turn."""
    for number in count():
        yield from (_benign(name, number) for name in benign.KINDS)


COPIES = ("fp32 copy", "bf16 copy", "int8 copy", "pruned copy", "other naming copy")
"""Made of the base: number 0 is the only one."""


def _copy(name: str) -> Model:
    return Model(Role.COPY, name, 0, Part.TEST, None, 1.0)


FASTER_FROM = 20
"""Number from which benign runs are drawn stronger: the earlier ones moved text towers by .002 to .015, attacks by .02,
so that drift alone told them apart (AUROC .81 where that tower moved)."""
FAR_FROM, FAR_TO = 34, 54
"""Numbers of benign runs whose text towers drift as far as attacks do, of kinds that can (`Kind.far`): the faster runs
left that AUROC at .79."""
ATTACK_DRAWS, FIRST_RUNS, BENIGN_RUNS = 30, FAR_FROM, 100
"""The aim per family; benign runs of every kind that are made first; and the aim per kind that calibrates, of which
three in seven calibrate and three test."""
AIM: Mapping[Part, int] = {Part.CALIBRATE: 299, Part.TEST: 299}
"""Benign models of a side among which no alarm bounds the rate at 1 %."""


def plan(only: Sequence[str] = (), *, sealed: bool = True) -> Iterator[Model]:
    """Every model in the order in which they are made: all kinds turn by turn, then benign kinds up to the aim, sealed
    families last.

    `only` keeps roles and kinds of these names; where it has both, what is of a role and a kind named. `UsageError` for
    a name that is neither.
    """
    names = {*Role, *FAMILIES, *benign.KINDS, *COPIES}
    if unknown := [name for name in only if name not in names]:
        raise UsageError(f"the zoo has no kind called {unknown[0]!r}", f"use one of: {', '.join(sorted(names))}")
    roles = {name for name in only if name in set(Role)}
    kinds = set(only) - roles

    def wanted(model: Model) -> bool:
        return (not roles or model.role in roles) and (not kinds or model.kind in kinds)

    yield from filter(wanted, map(_copy, COPIES))
    for number in range(max(ATTACK_DRAWS, FAR_TO)):
        yield from filter(wanted, (_benign(name, number) for name in benign.KINDS if number < _first(name)))
        if number < ATTACK_DRAWS:
            yield from filter(wanted, _attacks(number, sealed=False))
    grown = [name for name, kind in benign.KINDS.items() if not kind.only_test]
    for number in range(FIRST_RUNS, BENIGN_RUNS):
        yield from filter(wanted, (_benign(name, number) for name in grown if number >= _first(name)))
    if sealed:
        for number in range(ATTACK_DRAWS):
            yield from filter(wanted, _attacks(number, sealed=True))


def _first(name: str) -> int:
    """Runs of a kind that are made before any kind is grown to the aim."""
    return FAR_TO if benign.KINDS[name].far else FIRST_RUNS


def _attacks(number: int, *, sealed: bool) -> list[Model]:
    """Attack before twin, of every family that is or is not sealed and is still drawn."""
    drawn = [name for name, family in FAMILIES.items() if family.sealed is sealed and not family.given_up]
    return [model for name in drawn for model in _attack(name, number)]
