"""The panel of a candidate: the labelled classes, its source and its target, with pictures of each.

Everything that is measured stands on class names with labelled pictures. A panel brings any concept among them, so that
one definition of effect, interfaces, branch swap and checks serves every target (docs/open-vocabulary.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from dife_scanner.audit.probes import (
    DIAGNOSIS,
    TEST,
    TRAIN,
    Pixels,
    Probes,
    Split,
    check_apart,
)
from dife_scanner.audit.qualification import Qualified
from dife_scanner.audit.use import of_classes
from dife_scanner.audit.wide_probes import Shown
from dife_scanner.core.directions import Directions
from dife_scanner.errors import MeasurementError

LEAST = {TRAIN: 8, DIAGNOSIS: 5, TEST: 12}
"""Drawings of a concept in each split, as the labelled classes have; where it has fewer, neighbours lend theirs."""


@dataclass(frozen=True)
class Panel:
    """Classes with pictures of a candidate's source and target among them."""

    probes: Probes
    """Its splits are taken by `audit.sides.Side` as they are."""
    replaced: dict[str, str]
    """Labelled class -> the concept that stands in its place."""
    borrowed: dict[str, tuple[str, ...]]
    """Concept -> neighbours whose pictures count as its own; they have no class here."""


def panel(
    labelled: Probes, known: Qualified, directions: Directions, source: str, target: str
) -> Panel:
    """The panel of a trigger from `source` (empty: from anything) to `target`.

    Raises `MeasurementError` where one of them has no pictures that the base recognises, and where both mean the same.
    """
    ends = tuple(name for name in (source, target) if name)
    _check_ends(ends, labelled, known, directions)
    added = tuple(name for name in ends if name not in labelled.class_names)
    replaced: dict[str, str] = {}
    for concept in added:
        for name in labelled.class_names:
            if name not in ends and _is_one(concept, name, known, directions):
                replaced.setdefault(name, concept)
    class_names = _class_names(labelled.class_names, added, replaced)
    taken: dict[str, tuple[str, ...]] = {}
    pictures: dict[str, dict[str, tuple[Shown, ...]]] = {}
    for concept in added:
        lent = _lenders(concept, class_names, taken, known, directions)
        pictures[concept], used = _pictures(concept, lent, known)
        taken[concept] = used
    splits = {name: _split(name, labelled, class_names, pictures, known) for name in LEAST}
    check_apart(splits)
    digest = _digest(labelled, known, class_names, splits.values())
    probes = Probes(f"panel {labelled.version}", digest, class_names, splits)
    borrowed = {concept: used for concept, used in taken.items() if used}
    return Panel(probes, replaced, borrowed)


def with_target(labelled: Probes, directions: Directions, target: str) -> Probes:
    """The labelled pictures with a target among their classes that none of them shows.

    That is enough for what moves pictures of any class: they count where they come to its prompt. A labelled class that
    means the same to the base leaves, with its pictures.
    """
    others = [name for name in labelled.class_names if not directions.mean_the_same(name, target)]
    return of_classes(labelled, [*others, target])


def _check_ends(
    ends: Sequence[str], labelled: Probes, known: Qualified, directions: Directions
) -> None:
    for name in ends:
        if name not in labelled.class_names and name not in known.concepts:
            raise MeasurementError(
                f"the base recognises no picture of `{name}` that could carry evidence",
                "bring pictures of it (--pictures)",
            )
    if len(ends) == 2 and _is_one(ends[0], ends[1], known, directions):
        raise MeasurementError(f"`{ends[0]}` and `{ends[1]}` mean the same to the base")


def _is_one(first: str, second: str, known: Qualified, directions: Directions) -> bool:
    """Whether two names cannot both be classes: they mean the same, or one is a kind of the other."""
    for one, other in ((first, second), (second, first)):
        concept = known.wide.concept(one)
        if concept is not None and other in (concept.labelled, *concept.near):
            return True
    return directions.mean_the_same(first, second)


def _class_names(
    labelled: Sequence[str], added: Sequence[str], replaced: dict[str, str]
) -> tuple[str, ...]:
    """The labelled classes, a concept in the place of the first that it replaces, the others at the end."""
    names = [replaced.get(name, name) for name in labelled]
    return tuple(dict.fromkeys([*names, *added]))


def _lenders(
    concept: str,
    class_names: Sequence[str],
    taken: dict[str, tuple[str, ...]],
    known: Qualified,
    directions: Directions,
) -> list[str]:
    """Qualified concepts that may lend pictures, the nearest first: none that is a class here or like another class."""
    others = [name for name in class_names if name != concept]
    lent_already = {name for names in taken.values() for name in names}
    free = []
    for name in known.concepts:
        if name in class_names or name in lent_already:
            continue
        if not any(_is_one(name, other, known, directions) for other in others):
            free.append(name)
    return directions.nearest(concept, free)


def _pictures(
    concept: str, lenders: Sequence[str], known: Qualified
) -> tuple[dict[str, tuple[Shown, ...]], tuple[str, ...]]:
    """The pictures of a concept by split, with its neighbours' where it has too few, and who these were."""
    found = _own(concept, known)
    used: list[str] = []
    for name in lenders:
        lacking = [split for split, least in LEAST.items() if len(found[split]) < least]
        if not lacking:
            break
        lent = _own(name, known)
        used.append(name)
        for split in lacking:
            missing = LEAST[split] - len(found[split])
            found[split] = (*found[split], *lent[split][:missing])
    return found, tuple(used)


def _own(concept: str, known: Qualified) -> dict[str, tuple[Shown, ...]]:
    """The pictures of a concept by split: those of searches are dealt to `train` and `diagnosis` in turn."""
    search = known.search(concept)
    return {TRAIN: search[::2], DIAGNOSIS: search[1::2], TEST: known.held_out(concept)}


def _split(
    name: str,
    labelled: Probes,
    class_names: tuple[str, ...],
    pictures: dict[str, dict[str, tuple[Shown, ...]]],
    known: Qualified,
) -> Split:
    """One split: the labelled pictures of the classes that are left, and those of the concepts."""
    own = labelled.split(name)
    drawn = {
        one.drawing for splits in pictures.values() for rows in splits.values() for one in rows
    }
    kept = []
    for row, label in enumerate(own.labels):
        is_class = labelled.class_names[label] in class_names
        if is_class and own.drawings[row] not in drawn:
            kept.append(row)
    labels = [class_names.index(labelled.class_names[own.labels[row]]) for row in kept]
    images = [own.images[kept]]
    drawings = [own.drawings[row] for row in kept]
    items = [own.items[row] for row in kept] if own.items else []
    styles = [own.styles[row] if own.styles else "" for row in kept]
    for concept, splits in pictures.items():
        shown = splits[name]
        if not shown:
            continue
        images.append(_fitted(known.wide.read(shown), own.images.shape[1:3]))
        labels += [class_names.index(concept)] * len(shown)
        drawings += [one.drawing for one in shown]
        items += [replace(one.item, label=concept) for one in shown] if own.items else []
        styles += [one.style for one in shown]
    return Split(
        name=name,
        images=np.concatenate(images),
        labels=np.array(labels, dtype=np.int64),
        drawings=tuple(drawings),
        items=tuple(items),
        styles=tuple(styles),
    )


def _fitted(pictures: Pixels, size: tuple[int, ...]) -> Pixels:
    """Pictures [n, h, w, 3] at another size, where the labelled ones have another."""
    if pictures.shape[1:3] == size:
        return pictures
    from PIL import Image

    height, width = size
    resized = []
    for picture in pictures:
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        resized.append(np.asarray(small))
    return np.stack(resized)


def _digest(
    labelled: Probes, known: Qualified, class_names: Sequence[str], splits: Iterable[Split]
) -> str:
    parts = [labelled.digest, known.wide.digest, *class_names]
    for split in splits:
        parts += [split.name, *split.drawings]
    return sha256("\x1f".join(parts).encode()).hexdigest()
