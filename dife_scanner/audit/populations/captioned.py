"""Captioned pictures of somebody's own, and how they become pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from dife_scanner.audit.populations import content, words
from dife_scanner.audit.populations.album import Album, PoolRequest, pool_of
from dife_scanner.audit.populations.card import NOT_STATED
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.errors import (
    PoolTooSmall,
    SourceNotInPool,
    TargetNotInPool,
)
from dife_scanner.audit.populations.pool import Pool, picture_hashes, sealed
from dife_scanner.audit.probes import Pixels
from dife_scanner.core.budgets import CAPTIONS, KINDS, MEASURING
from dife_scanner.core.metrics import Bools
from dife_scanner.errors import UsageError
from dife_scanner.records import Budget, PoolItem

VERSION = "own-2"

Load = Callable[[Sequence[int]], Pixels]
"""Pictures at these positions, uint8 [k, s, s, 3]; raises an error that names the one it cannot read."""


@dataclass(frozen=True, eq=False)
class Captioned:
    """Pictures with one or more captions each. Pictures are read only when a pool is drawn."""

    name: str
    ids: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    """At least one per picture."""
    load: Load
    licences: tuple[str, ...] = ()
    """One per picture, empty where nothing is stated; or none at all."""
    files: tuple[Path, ...] = ()
    """Every file that a picture may be read from."""

    @cached_property
    def digest(self) -> str:
        """What the data is, by content: names, captions, licences and the bytes of all files. Raises `DataError`."""
        return content.digest((self.name, self.ids, self.captions, self.licences), self.files)

    def pool(
        self,
        kind: str,
        source: str,
        target: str,
        budget: str,
        seed: int,
        *,
        class_names: Sequence[str] = (),
    ) -> Pool:
        """One kind of pool at the budget's size, chosen by what captions say and before any picture is looked at.

        A picture shows the target where one of its captions names it by a membership term (paper §3), and the source
        likewise; a picture whose captions name both is left out. With an empty source, queries name every class of
        `class_names` but the target. All kinds of one (source, target, budget, seed) share their pictures. Raises
        `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`, and what reading a picture raises.
        """
        if kind not in KINDS or budget not in MEASURING:
            raise UsageError(
                f"there is no pool of kind {kind!r} at budget '{budget}'",
                f"kinds: {', '.join(KINDS)}; budgets: {', '.join(MEASURING)}",
            )
        request = PoolRequest(
            origin=self.name,
            kind=kind,
            source=source.strip().lower(),
            target=target.strip().lower(),
            budget=Budget(budget),
            seed=seed,
            version=VERSION,
        )
        names = tuple(class_names)
        return pool_of(_album(self, _choose(self, request, names), names), request)

    def naming(self, class_name: str) -> Bools:
        """[n]: pictures of which a caption names the class."""
        return np.array(
            [_names(captions, class_name) for captions in self.captions],
            dtype=bool,
        )


def _names(captions: Sequence[str], class_name: str) -> bool:
    """Whether one of a picture's captions names the class."""
    return any(words.names_class(caption, class_name) for caption in captions)


# --- which pictures -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """A pool's pictures by position in the data, in the pool's order."""

    rows: tuple[int, ...]
    target: tuple[bool, ...]
    query_classes: tuple[str, ...]
    """The class that queries from each picture name; empty for none."""


def _choose(data: Captioned, request: PoolRequest, class_names: tuple[str, ...]) -> _Choice:
    """Pick and order the pictures. Raises `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`."""
    naming = {name: data.naming(name) for name in _query_classes(request, class_names)}
    # Decided by captions alone, before a picture is read.
    nothing = np.zeros(len(data.ids), bool)
    target = data.naming(request.target) if request.target else nothing
    source = np.logical_or.reduce([nothing, *naming.values()])
    _check_named(request, target, source)
    rows = _drawn(data.name, request, target, source)
    return _Choice(
        rows=tuple(rows),
        target=tuple(map(bool, target[rows])),
        query_classes=tuple("" if target[row] else _first_named(naming, row) for row in rows),
    )


def _drawn(data_name: str, request: PoolRequest, target: Bools, source: Bools) -> list[int]:
    """The pictures' positions, in the pool's order."""
    dice = Dice(
        VERSION,
        data_name,
        request.source,
        request.target,
        request.budget,
        request.seed,
    )
    # A picture whose captions name both belongs to neither.
    targets = _shuffled(target & ~source, dice)
    sources = _shuffled(source & ~target, dice)
    others = _shuffled(~target & ~source, dice)
    return dice.shuffled(_sized(targets, sources, others, request))


def _first_named(naming: dict[str, Bools], row: int) -> str:
    """The first class that captions of this picture name; empty for none."""
    for name, named in naming.items():
        if named[row]:
            return name
    return ""


def _query_classes(request: PoolRequest, class_names: tuple[str, ...]) -> list[str]:
    """Classes that queries may name: the source, or where none is given every class but the target."""
    if request.source:
        return [request.source]
    target = words.canonical(request.target)
    return [name for name in class_names if words.canonical(name) != target]


def _check_named(request: PoolRequest, target: Bools, source: Bools) -> None:
    """Check that captions name target and source, and that these are two classes."""
    if not target.any():
        raise TargetNotInPool(
            f"no caption names the target {request.target!r}",
            "choose another target or data",
            **request.place,
        )
    if not source.any():
        raise SourceNotInPool(
            f"no caption names the source {request.source!r}",
            "choose another source or data",
            **request.place,
        )
    if request.source and words.canonical(request.target) == words.canonical(request.source):
        raise SourceNotInPool(
            "source and target are one class",
            "name two different ones",
            **request.place,
        )


def _shuffled(mask: Bools, dice: Dice) -> list[int]:
    return dice.shuffled(np.flatnonzero(mask).tolist())


def _sized(
    targets: list[int],
    sources: list[int],
    others: list[int],
    request: PoolRequest,
) -> list[int]:
    """The budget's number of each. Raises `PoolTooSmall`."""
    sizes = MEASURING[request.budget].pools
    fewest = sizes.counts[CAPTIONS]
    room = sizes.pictures - sizes.targets
    # More pictures of the source than the budget's share only where there are too few of anything else.
    taken = sources[: max(min(sizes.sources, room), room - len(others))]
    if len(targets) < sizes.targets or len(sources) < fewest or len(taken) + len(others) < room:
        raise PoolTooSmall(
            f"budget {request.budget} asks for {sizes.pictures} pictures, {sizes.targets} of them of "
            f"{request.target!r} and at least {fewest} of {request.source or 'the other classes'!r}; "
            f"captions show {len(targets)} and {len(sources)}, and {len(others)} of neither",
            "choose a smaller budget or give more pictures",
            **request.place,
        )
    return [*targets[: sizes.targets], *taken, *others[: room - len(taken)]]


# --- their album ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _album(data: Captioned, choice: _Choice, class_names: tuple[str, ...]) -> Album:
    images = sealed(data.load(choice.rows))
    items = []
    query_captions = []
    labels = []
    for row, name, digest in zip(
        choice.rows,
        choice.query_classes,
        picture_hashes(images),
        strict=True,
    ):
        items.append(_item(data, row, digest))
        query_captions.append(_captions_naming(data.captions[row], name))
        labels.append(_label(data.captions[row], class_names))
    return Album(
        items=tuple(items),
        images=images,
        labels=np.array(labels, dtype=np.int64) if class_names else None,
        units=tuple(data.ids[row] for row in choice.rows),
        target=np.array(choice.target),
        query_classes=choice.query_classes,
        query_captions=tuple(query_captions),
        # Nobody says which captions name one thing alone.
        neutral_captions=tuple(query_captions),
    )


def _captions_naming(captions: Sequence[str], class_name: str) -> tuple[str, ...]:
    """Captions that name the query's class, none for the empty name; pictures of the target were left out before."""
    if not class_name:
        return ()
    return tuple(caption for caption in captions if words.names_class(caption, class_name))


def _label(captions: Sequence[str], class_names: tuple[str, ...]) -> int:
    """The one class that the captions name; -1 for none or several."""
    named = [label for label, name in enumerate(class_names) if _names(captions, name)]
    # A picture of two classes has no one label.
    return named[0] if len(named) == 1 else -1


def _item(data: Captioned, row: int, digest: str) -> PoolItem:
    licence = data.licences[row] if data.licences else ""
    return PoolItem(
        id=data.ids[row],
        sha256=digest,
        caption=data.captions[row][0],
        source=data.name,
        licence=licence or NOT_STATED,
    )
