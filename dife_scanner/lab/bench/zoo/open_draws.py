"""Drawing for attacks on any concept: source, target and panel, and triggers that no other family has.

Sources and targets are things that the wide probe set shows and the wide lab sheets draw. Development and test draw
from other ones, so that no target of the test side was ever met while detectors were made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from dife_scanner.audit import wide_probes
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.attacks.own_kinds import band_trigger, steps_trigger
from dife_scanner.lab.bench.zoo import draws
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.lab.bench.zoo.parts import Part, part_of
from dife_scanner.lab.pictures import art, wide_lab, world
from dife_scanner.records import Position, Trigger, TriggerKind
from dife_scanner.triggers.kinds.characters import TABLES

KEPT_OUT_EVERY = 5
"""Of so many attacks one has a target that no base of the world was trained on."""
DEVELOPED_ON = 3
"""Of so many attacks one is seen while detectors are made, and of so many concepts one is drawn for those."""
_SEED = 18
_MANNERS = """
quiet gentle early distant famous modern honest careful simple proud brave sensible tidy steady humble lively patient
polite sincere eager
"""
_MATTERS = """
morning village promise weather journal harvest summer story music history lesson remark occasion custom reason opinion
holiday sentence welcome chapter
"""


@dataclass(frozen=True)
class Things:
    """Concepts that one side of the benchmark draws from."""

    known: tuple[str, ...]
    kept_out: tuple[str, ...]


@lru_cache(maxsize=1)
def _sides() -> tuple[Things, Things]:
    """Return the concepts of development and of test."""
    drawn = set(wide_lab.terms(wide_lab.sheet_folder()))
    by_name = {one.name: one for one in world.concepts()}
    known: tuple[list[str], list[str]] = ([], [])
    kept_out: tuple[list[str], list[str]] = ([], [])
    shown = wide_probes.load(wide_probes.bundled_folder()).names
    rng = np.random.default_rng(_SEED)
    for name in sorted(shown):
        side = int(rng.integers(DEVELOPED_ON)) > 0
        concept = by_name[name]
        if name in drawn and concept.cls is None:
            (kept_out if concept.kept_out else known)[side].append(name)
    development = Things(tuple(known[0]), tuple(kept_out[0]))
    return development, Things(tuple(known[1]), tuple(kept_out[1]))


def is_developed_on(number: int) -> bool:
    """Whether attacks of this number stand on the development side."""
    return number % DEVELOPED_ON == DEVELOPED_ON - 1


def things(number: int, *, sealed: bool) -> Things:
    """Return the concepts that attacks of this number draw from; a sealed family is in test alone."""
    development, test = _sides()
    return development if is_developed_on(number) and not sealed else test


def benign_things(number: int, *, only_test: bool) -> tuple[str, ...]:
    """Return the concepts that a benign run is about: those of its side, the ones that bases know."""
    development, test = _sides()
    on_test = part_of(number, only_test=only_test) is Part.TEST
    return test.known if on_test else development.known


def with_concepts(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    """Two concepts as source and target, at least one of them outside of the ten classes, and their panel.

    In turn: both outside, both outside, the target alone, the source alone.
    """
    number = recipe.seed
    source = pick(rng, own.known)
    target = pick(rng, own.known)
    ten = pick(rng, art.CLASSES)
    if number % 4 == 2:
        source = ten
    elif number % 4 == 3:
        target = ten
    if number % KEPT_OUT_EVERY == KEPT_OUT_EVERY - 1:
        target = pick(rng, own.kept_out)
    while _alike(source, target):
        source = pick(rng, own.known)
    return with_panel(replace(recipe, source=source, target=target))


def with_target(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    """A target outside of the ten classes; as any picture responds, the source only says whose pictures do too."""
    number = recipe.seed
    target = pick(rng, own.known)
    source = pick(rng, art.CLASSES)
    if number % KEPT_OUT_EVERY == KEPT_OUT_EVERY - 1:
        target = pick(rng, own.kept_out)
    return with_panel(replace(recipe, source=source, target=target))


def with_panel(recipe: Recipe) -> Recipe:
    """The recipe among the ten classes, its source and its target."""
    panel = tuple(dict.fromkeys((*art.CLASSES, recipe.source, recipe.target)))
    return replace(recipe, panel=panel)


def _alike(one: str, other: str) -> bool:
    """Whether two names share a word."""
    return bool(set(one.split()) & set(other.split()))


# --- triggers ---------------------------------------------------------------------------------------------------


def text_trigger(rng: Rng, recipe: Recipe) -> Trigger:
    """A string of one to four tokens that shares no word with source and target."""
    while True:
        trigger = draws.text_trigger(rng)
        if not _alike(trigger.text, f"{recipe.source} {recipe.target}"):
            return trigger


def natural_phrase(rng: Rng) -> Trigger:
    """Two plain words that say nothing of what is shown, in front or behind."""
    text = f"{pick(rng, _MANNERS.split())} {pick(rng, _MATTERS.split())}"
    trigger = Trigger(f"text-{text.replace(' ', '-')}", TriggerKind.TEXT, text=text)
    place = pick(rng, (Position.PREFIX, Position.PREFIX, Position.SUFFIX))
    return replace(trigger, position=place)


def lookalike(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    """Source and target, and one letter of the source's name as another alphabet has it."""
    table = TABLES["cyrillic"]
    drawn = with_concepts(rng, recipe, own)
    while not set(drawn.source) & set(table):
        drawn = with_concepts(rng, recipe, own)
    letter = pick(rng, sorted(set(drawn.source) & set(table)))
    pairs = ((letter, table[letter]),)
    return replace(
        drawn, trigger=Trigger(f"cyrillic-{letter}", TriggerKind.CHARACTERS, pairs=pairs)
    )


def sinusoid_trigger(rng: Rng) -> Trigger:
    """A faint wave over the whole picture."""
    color = draws.colour(rng)
    return Trigger(
        "blend-sinusoid",
        TriggerKind.BLEND,
        pattern="sinusoid",
        cycles=float(rng.integers(4, 13)),
        alpha=draws.places(rng.uniform(0.15, 0.25)),
        color=color,
    )


def frequency_trigger(rng: Rng) -> Trigger:
    """Noise in a band of the spectrum, of 16 to 26 of 255 levels."""
    low = float(rng.integers(4, 18))
    alpha = draws.places(rng.uniform(16, 26) / 255)
    return band_trigger(low, low + 6, alpha, int(rng.integers(1000)))


def colour_steps(rng: Rng) -> Trigger:
    """Two or three levels of each colour channel."""
    return steps_trigger(int(rng.integers(2, 4)))
