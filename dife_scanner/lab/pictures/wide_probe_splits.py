"""Which concepts the wide probe set shows, and which drawing of each stands in which of its two splits.

Splits are by hand: searches and qualification see other hands than the evidence does, whatever the concept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import art, class_names, world, world_art

SEED = 18
MOST_CONCEPTS = 520
"""Three pictures of each, and of the ten classes, are what qualification may look at."""
LEAST_SEARCH, MOST_SEARCH = 4, 5
"""Drawings of a concept in `search`; share-alike ones only where there are fewer than `LEAST_SEARCH` without."""
LEAST_HELD_OUT = 3
"""Drawings of a concept in `held-out`; it has as many as there are."""
SAME_PICTURE = 0.97
"""Correlation of two small renderings from which both are one picture."""

SEARCH_ORDER = (
    "fxemoji",
    "streamline-emojis",
    "hugeicons",
    "streamline",
    "solar",
    "ri",
    "ion",
    "noto",
    "twemoji",
    "mdi",
    "ph",
    "fa6-solid",
    "mingcute",
    "emojione-v1",
    "openmoji",
)
"""Hands that the wide base does not train on come first, share-alike ones last."""
SHARE_ALIKE = frozenset(("emojione-v1", "openmoji"))
HELD_OUT_ORDER = world.PARTS[world.PROBES]
"""Of several finishes of one hand the first counts."""

_SIDE = 32
"""Pixels per side of the renderings that are compared."""
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """One concept of the set and its drawings, one of each hand."""

    concept: world.Concept
    search: tuple[art.Drawing, ...]
    held_out: tuple[art.Drawing, ...]

    @property
    def drawings(self) -> tuple[art.Drawing, ...]:
        """All of them."""
        return (*self.search, *self.held_out)

    @property
    def is_enough(self) -> bool:
        """Whether both splits have what they need."""
        return len(self.search) >= LEAST_SEARCH and len(self.held_out) >= LEAST_HELD_OUT


def choose(folder: Path) -> list[Shown]:
    """Return the concepts of the set, those that bases do not train on first, else those that most hands draw."""
    candidates = [one for one in _candidates(folder) if one.is_enough]
    alike = _small(drawing for one in candidates for drawing in one.drawings)
    distinct = [_without_copies(one, alike) for one in candidates]
    kept = _without_doubles([one for one in distinct if one.is_enough], alike)
    order = np.random.default_rng(SEED).permutation(len(kept))
    turn = dict(zip((one.concept.name for one in kept), order, strict=True))
    kept.sort(key=lambda one: (not one.concept.kept_out, -_hands(one), turn[one.concept.name]))
    chosen = [_capped(one) for one in kept[:MOST_CONCEPTS]]
    return sorted(chosen, key=lambda one: one.concept.name)


def _candidates(folder: Path) -> list[Shown]:
    """Every nameable thing, with all drawings that there are."""
    things = [one for one in world.concepts() if one.kind == "thing" and not _is_class(one)]
    searched = _by_concept(world_art.drawings_of(folder, SEARCH_ORDER, things))
    held_out = _by_concept(world_art.drawings_of(folder, HELD_OUT_ORDER, things))
    found = []
    for one in things:
        search = _one_per_hand(searched.get(one.name, ()))
        found.append(Shown(one, search, _one_per_hand(held_out.get(one.name, ()))))
    return found


def _is_class(concept: world.Concept) -> bool:
    """Whether it is one of the ten classes, which have pictures of their own, and no finer word for one."""
    if concept.cls is None:
        return False
    _, kind = class_names.class_table()[concept.name.replace(" ", "-")]
    return kind == concept.cls


def _by_concept(drawings: Iterable[art.Drawing]) -> dict[str, list[art.Drawing]]:
    found: dict[str, list[art.Drawing]] = {}
    for drawing in drawings:
        found.setdefault(drawing.term, []).append(drawing)
    return found


def _one_per_hand(drawings: Iterable[art.Drawing]) -> tuple[art.Drawing, ...]:
    """The first finish of each hand."""
    first: dict[str, art.Drawing] = {}
    for drawing in drawings:
        first.setdefault(drawing.spec.family, drawing)
    return tuple(first.values())


def _hands(one: Shown) -> int:
    return min(len(one.search), MOST_SEARCH) + len(one.held_out)


def _capped(one: Shown) -> Shown:
    free = [drawing for drawing in one.search if drawing.set_name not in SHARE_ALIKE]
    bound = [drawing for drawing in one.search if drawing.set_name in SHARE_ALIKE]
    needed = max(0, LEAST_SEARCH - len(free))
    return replace(one, search=(*free[:MOST_SEARCH], *bound[:needed]))


# --- pictures that are the same -------------------------------------------------------------------------------


def _small(drawings: Iterable[art.Drawing]) -> dict[str, Vector]:
    """Drawing id -> its colours and its outline, less their mean, of length one."""
    return {drawing.id: _vector(drawing) for drawing in drawings}


def _vector(drawing: art.Drawing) -> Vector:
    pixels = art.render(drawing, _SIDE).astype(np.float32) / 255
    alpha = pixels[..., 3:]
    on_white = pixels[..., :3] * alpha + (1 - alpha)
    both = np.concatenate([on_white.ravel(), 3 * alpha.ravel()])
    both -= both.mean()
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-9))


def _is_same(first: art.Drawing, second: art.Drawing, small: Mapping[str, Vector]) -> bool:
    return float(small[first.id] @ small[second.id]) >= SAME_PICTURE


def _without_copies(one: Shown, small: Mapping[str, Vector]) -> Shown:
    """Without drawings that repeat another hand's: a copy is no independent drawing."""
    kept: list[art.Drawing] = []
    for drawing in one.drawings:
        if not any(_is_same(drawing, other, small) for other in kept):
            kept.append(drawing)
    search = tuple(drawing for drawing in one.search if drawing in kept)
    return replace(one, search=search, held_out=tuple(d for d in one.held_out if d in kept))


def _without_doubles(shown: Sequence[Shown], small: Mapping[str, Vector]) -> list[Shown]:
    """Without concepts that any hand draws like one before: two names of one picture say nothing."""
    kept: list[Shown] = []
    by_hand: dict[str, list[art.Drawing]] = {}
    for one in sorted(shown, key=lambda one: (not one.concept.kept_out, one.concept.name)):
        if any(_has_double(drawing, by_hand, small) for drawing in one.drawings):
            continue
        kept.append(one)
        for drawing in one.drawings:
            by_hand.setdefault(drawing.set_name, []).append(drawing)
    return kept


def _has_double(
    drawing: art.Drawing, by_hand: Mapping[str, list[art.Drawing]], small: Mapping[str, Vector]
) -> bool:
    return any(_is_same(drawing, other, small) for other in by_hand.get(drawing.set_name, ()))


# --- names that are near ----------------------------------------------------------------------------------------


def near_names(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each name the others that a plain rule takes for near synonyms: the same last word, or half of the words.

    >>> near_names(["red apple", "green apple", "dog"])
    {'red apple': ('green apple',), 'green apple': ('red apple',), 'dog': ()}
    """
    found = {}
    for name in names:
        found[name] = tuple(other for other in names if other != name and _is_near(name, other))
    return found


def _is_near(first: str, second: str) -> bool:
    one, other = _told_by(first), _told_by(second)
    common = len(set(one) & set(other))
    return one[-1] == other[-1] or 2 * common >= len(set(one) | set(other))


def _told_by(name: str) -> list[str]:
    """The words of a name; a face is drawn for what it is the face of."""
    return name.removesuffix(" face").split()
