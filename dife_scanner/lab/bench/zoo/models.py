"""Which models the benchmark is made of. Each is a seeded draw; nothing here trains anything.

A model is named by its kind and number, and what it is follows from the name: settings, side of the split, and for an
attack its clean twin, which has the same data, steps and rate, and stands on the same side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import count

from dife_scanner.errors import UsageError
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.bench.zoo import benign, draws
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.lab.bench.zoo.families import ATTACK_DRAWS, FAMILIES
from dife_scanner.lab.bench.zoo.fine_tuning import Kind, Tuning
from dife_scanner.lab.bench.zoo.lookup import family_of, kind_of
from dife_scanner.lab.bench.zoo.parts import Part, part_of

ZOO_VERSION = "zoo-1"
"""Raise it when a change makes other weights of the same recipe."""
SCENES = 4
"""Models share so many sets of lab scenes; drawing one takes as long as a short fine-tune."""


class Role(StrEnum):
    """What a model is in the benchmark."""

    ATTACK = "attack"
    TWIN = "twin"
    """A clean twin: an attack's training without the poison."""
    BENIGN = "benign"
    COPY = "copy"
    """Nothing was trained: it must end unflagged, and counts in no rate."""


AIM: Mapping[Part, int] = {Part.CALIBRATE: 299, Part.TEST: 299}
"""Benign models of a side among which no alarm bounds the rate at 1 %."""
FASTER_FROM = 20
"""Number from which benign runs are drawn stronger: the earlier ones moved text towers by .002 to .015, attacks by .02,
so that drift alone separated them (AUROC .81 where that tower moved)."""
FAR_FROM = 34
FAR_TO = 54
"""Numbers of benign runs whose text towers drift as far as attacks do, of kinds that can (`Kind.far`): the faster runs
left that AUROC at .79."""
FIRST_RUNS = FAR_FROM
"""Benign runs of every kind that are made before any kind is grown to the aim."""
BENIGN_RUNS = 100
"""The aim per kind that calibrates, of which three in seven calibrate and three test."""
COPIES = ("fp32 copy", "bf16 copy", "int8 copy", "pruned copy", "other naming copy")
"""Made of the base: number 0 is the only one."""


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
        """Kind and number, `badencoder-003`; a twin's ends in `-twin`."""
        name = self.kind.replace(" ", "-")
        tail = "-twin" if self.role is Role.TWIN else ""
        return f"{name}-{self.number:03d}{tail}"

    @property
    def scenes(self) -> int:
        """Seed of the lab scenes it is trained on."""
        return self.number % SCENES


def twin_of(model: Model) -> Model | None:
    """The clean twin of an attack; `None` for what is none."""
    if model.role is not Role.ATTACK:
        return None
    _, twin = attack_and_twin(model.kind, model.number)
    return twin


def benign_models() -> Iterator[Model]:
    """Benign fine-tunes without end, all kinds turn by turn."""
    for number in count():
        for name in benign.KINDS:
            yield benign_of(name, number)


def plan(only: Sequence[str] = (), *, sealed: bool = True) -> Iterator[Model]:
    """Every model in the order in which they are made: all kinds turn by turn, then benign kinds up to the aim, sealed
    families last.

    `only` keeps roles and kinds of these names; where it has both, what is of a role and a kind named. `UsageError` for
    a name that is neither.
    """
    names = {*Role, *FAMILIES, *benign.KINDS, *COPIES}
    yield from chosen(_every(sealed=sealed), only, names)


def chosen(models: Iterable[Model], only: Sequence[str], names: Set[str]) -> Iterator[Model]:
    """Those of the models that `plan` is asked for; `names` are all that may be asked for."""
    for name in only:
        if name not in names:
            raise UsageError(
                f"the zoo has no kind called {name!r}", f"use one of: {', '.join(sorted(names))}"
            )
    roles = {name for name in only if name in set(Role)}
    kinds = set(only) - roles
    for model in models:
        role_wanted = not roles or model.role in roles
        kind_wanted = not kinds or model.kind in kinds
        if role_wanted and kind_wanted:
            yield model


def _every(*, sealed: bool) -> Iterator[Model]:
    """The whole plan in its order."""
    yield from copies()
    for number in range(max(ATTACK_DRAWS, FAR_TO)):
        for name in benign.KINDS:
            if number < _first_runs(name):
                yield benign_of(name, number)
        if number < ATTACK_DRAWS:
            yield from _attacks(number, sealed=False)
    for number in range(FIRST_RUNS, BENIGN_RUNS):
        for name, kind in benign.KINDS.items():
            if not kind.only_test and number >= _first_runs(name):
                yield benign_of(name, number)
    if sealed:
        for number in range(ATTACK_DRAWS):
            yield from _attacks(number, sealed=True)


def _first_runs(name: str) -> int:
    """Runs of a benign kind that are made before any kind is grown to the aim."""
    return FAR_TO if benign.KINDS[name].far else FIRST_RUNS


def _attacks(number: int, *, sealed: bool) -> Iterator[Model]:
    """Attack before twin, of every family that is or is not sealed and is still drawn."""
    for name, family in FAMILIES.items():
        if family.sealed is sealed and not family.given_up:
            yield from attack_and_twin(name, number)


@cache
def attack_and_twin(name: str, number: int) -> tuple[Model, Model]:
    """The attack of this family and number, and its clean twin."""
    family = family_of(name)
    rng = draws.rng_of(name, number)
    recipe = family.draw(rng, replace(family.attack.default, seed=number, validate=False))
    # Detectors were developed on every third attack; nothing is developed on a sealed family.
    developed_on = number % 3 == 2 and not family.sealed
    attack = Model(
        role=Role.ATTACK,
        kind=name,
        number=number,
        part=Part.FIT if developed_on else Part.TEST,
        settings=recipe,
        seconds=family.seconds,
        sealed=family.sealed,
    )
    return attack, replace(attack, role=Role.TWIN, settings=_clean(recipe), seconds=0.0)


def _clean(recipe: Recipe) -> Recipe:
    """The recipe without the poison."""
    if recipe.settings is None:
        return replace(recipe, poison=False)
    return replace(recipe, poison=False, settings=recipe.settings.clean())


@cache
def benign_of(name: str, number: int) -> Model:
    """The fine-tune of this benign kind and number."""
    kind = kind_of(name)
    rng = draws.rng_of(name, number)
    tuning = _stronger(kind.draw(rng, number), kind, number, rng)
    part = part_of(number, only_test=kind.only_test)
    return Model(Role.BENIGN, name, number, part, tuning, kind.seconds)


def _stronger(tuning: Tuning, kind: Kind, number: int, rng: Rng) -> Tuning:
    """Later runs train faster, and some drift as far as attacks do."""
    if FAR_FROM <= number < FAR_TO and kind.far is not None:
        faster = pick(rng, kind.far.faster)
        keep = pick(rng, kind.far.keep)
        return replace(tuning, lr=tuning.lr * faster, keep=tuning.keep * keep)
    if number >= FASTER_FROM:
        return replace(tuning, lr=tuning.lr * pick(rng, kind.faster))
    return tuning


def copies() -> Iterator[Model]:
    """The copies of a base."""
    for name in COPIES:
        yield Model(Role.COPY, name, 0, Part.TEST, None, 1.0)
