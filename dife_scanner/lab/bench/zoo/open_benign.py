"""Benign fine-tunes on any concepts: the kinds of the ten classes on other panels, and domain fine-tunes.

A domain is a few concepts of one kind as a few hands draw them: what somebody does who needs a model for fruit, or for
tools, or for signs in one style.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.bench.zoo import benign, both_towers, image_towers, open_draws
from dife_scanner.lab.bench.zoo.draws import Rng, pick, some
from dife_scanner.lab.bench.zoo.fine_tuning import Kind, Tuning
from dife_scanner.lab.pictures import art, world

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.training_data import Lab

PREFIX = "open "
"""How the names of these kinds begin."""
DOMAIN = "domain"
_FEW = (4, 10)
"""Concepts of a domain."""
_PANEL = (6, 12)
"""Concepts of the other panels."""


def _panel(rng: Rng, names: tuple[str, ...]) -> tuple[str, ...]:
    """The ten classes, or some of these concepts with a few of the ten."""
    if rng.random() < 1 / 3:
        return art.CLASSES
    count = int(rng.integers(*_PANEL))
    return (*some(rng, art.CLASSES, 3), *some(rng, names, count))


def _on_any_panel(kind: Kind) -> Kind:
    """A kind of the ten classes, on a panel that is drawn after everything else."""

    def draw(rng: Rng, seed: int) -> Tuning:
        tuning = kind.draw(rng, seed)
        panel = _panel(rng, _names(seed, kind))
        if tuning.meaning in art.CLASSES:
            tuning = replace(tuning, meaning=pick(rng, panel))
        return replace(tuning, panel=panel)

    return replace(kind, draw=draw, seconds=2 * kind.seconds)


def _names(seed: int, kind: Kind) -> tuple[str, ...]:
    """What a run of this kind and number may be about: what attacks of its side are about."""
    return open_draws.benign_things(seed, only_test=kind.only_test)


@lru_cache(maxsize=2)
def domains(names: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Concepts by their kind in CLDR's order of things, where there are enough of one."""
    groups = defaultdict(list)
    for one in world.concepts():
        if one.name in names:
            groups[one.group].append(one.name)
    return {group: tuple(found) for group, found in groups.items() if len(found) >= _FEW[0]}


def _draw_domain(rng: Rng, seed: int) -> Tuning:
    """Which concepts, which tower, and how colours are changed."""
    names = open_draws.benign_things(seed, only_test=False)
    groups = domains(names)
    own = groups[pick(rng, sorted(groups))]
    count = min(len(own), int(rng.integers(*_FEW)))
    tuning = both_towers.draw_domain(rng, seed)
    keep = float(pick(rng, (0.5, 1.0, 3.0)))
    towers = str(pick(rng, ("both", "image")))
    return replace(tuning, panel=some(rng, own, count), keep=keep, word=towers)


def _train_domain(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Pairs of a domain's pictures, or labels for them with the image tower alone."""
    train: Callable[[Any, Lab, Tuning], None] = both_towers.train_domain
    if tuning.word == "image":
        train = image_towers.train_labelled
    train(model, lab, tuning)


def _kinds() -> dict[str, Kind]:
    found = {}
    for name, kind in benign.KINDS.items():
        found[f"{PREFIX}{name}"] = _on_any_panel(kind)
    found[f"{PREFIX}{DOMAIN}"] = Kind(_draw_domain, _train_domain, seconds=50, faster=(1.0, 2.0))
    return found


KINDS: Mapping[str, Kind] = _kinds()
"""Benign kinds by name."""
