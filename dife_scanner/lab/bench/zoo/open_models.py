"""The part of the zoo that is about any concept: attacks, their twins and benign fine-tunes, of a base of the world.

Named and drawn as the other models are (`models`); kinds begin with `open`, so that no row is taken for another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from dife_scanner.lab.bench.zoo import open_benign
from dife_scanner.lab.bench.zoo.models import (
    COPIES,
    Model,
    Role,
    attack_and_twin,
    benign_of,
    chosen,
    copies,
)
from dife_scanner.lab.bench.zoo.open_families import COUPLED_DRAWS, OPEN_FAMILIES
from dife_scanner.lab.bench.zoo.parts import Part

BENIGN_RUNS = 42
"""Runs of each benign kind that calibrates …"""
ONLY_TEST_RUNS = 14
"""… and of those that are in test alone."""
DEVELOPMENT = 120
"""Models that detectors are developed on: always the same ones."""
CAME_LATER = frozenset({"open-badencoder-no-concept"})
"""Families from after these were fixed; none of theirs is among them."""


def plan(only: Sequence[str] = (), *, sealed: bool = True) -> Iterator[Model]:
    """Every model in the order in which they are made, all kinds turn by turn, sealed families last.

    `only` keeps roles and kinds of these names; where it has both, what is of a role and a kind named. `UsageError` for
    a name that is neither.
    """
    yield from chosen(_every(sealed=sealed), only, _names())


def development(only: Sequence[str] = ()) -> Iterator[Model]:
    """The models that detectors are developed on: attacks, then benign fine-tunes; no twin, whose rows tell no more.

    `only` as in `plan`.
    """
    yield from chosen(islice(_developed_on(), DEVELOPMENT), only, _names())


def _names() -> set[str]:
    """Roles and kinds that may be asked for."""
    return {*Role, *OPEN_FAMILIES, *open_benign.KINDS, *COPIES}


def _developed_on() -> Iterator[Model]:
    for model in plan((Role.ATTACK,), sealed=False):
        if model.part is Part.FIT and model.kind not in CAME_LATER:
            yield model
    for model in plan((Role.BENIGN,)):
        if model.part is not Part.TEST:
            yield model


def _every(*, sealed: bool) -> Iterator[Model]:
    """The whole plan in its order."""
    yield from copies()
    for number in range(max(COUPLED_DRAWS, BENIGN_RUNS)):
        for name, kind in open_benign.KINDS.items():
            if number < (ONLY_TEST_RUNS if kind.only_test else BENIGN_RUNS):
                yield benign_of(name, number)
        yield from _attacks(number, sealed=False)
    if sealed:
        for number in range(COUPLED_DRAWS):
            yield from _attacks(number, sealed=True)


def _attacks(number: int, *, sealed: bool) -> Iterator[Model]:
    """Attack before twin, of every family that is or is not sealed and has so many."""
    for name, family in OPEN_FAMILIES.items():
        if family.sealed is sealed and number < family.draws:
            yield from attack_and_twin(name, number)
