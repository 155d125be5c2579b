"""Captioned pictures of somebody's own, and how they become pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import album, content, words
from dife_scanner.audit.populations.card import NOT_STATED
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.populations.pool import CAPTIONS, KINDS, SIZES, Pool, picture_hashes, sealed
from dife_scanner.errors import UsageError
from dife_scanner.records import PoolItem

VERSION = "own-2"

Load = Callable[[Sequence[int]], NDArray[np.uint8]]
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
        self, kind: str, source: str, target: str, budget: str, seed: int, *, class_names: Sequence[str] = ()
    ) -> Pool:
        """One kind of pool at the budget's size, chosen by what captions say and before any picture is looked at.

        A picture shows the target where one of its captions names it by a membership term (paper §3), and the source
        likewise; a picture that is said to show both is left out. With an empty source, every class of `class_names`
        but the target is asked for. All kinds of one (source, target, budget, seed) share their pictures. Raises
        `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`, and what reading a picture raises.
        """
        if kind not in KINDS or budget not in SIZES:
            raise UsageError(
                f"there is no pool of kind {kind!r} at budget {budget!r}",
                f"kinds: {', '.join(KINDS)}; budgets: {', '.join(SIZES)}",
            )
        asked = album.Asked(self.name, kind, source.strip().lower(), target.strip().lower(), budget, seed, VERSION)
        choice = _choose(self, asked, tuple(class_names))
        return album.pool_of(_album(self, choice, tuple(class_names)), asked)

    def naming(self, class_name: str) -> NDArray[np.bool_]:
        """[n]: pictures of which a caption names the class."""
        terms = words.terms(class_name)
        return np.array([any(words.word_in(text, terms) for text in told) for told in self.captions], dtype=bool)


@dataclass(frozen=True)
class _Choice:
    """Positions of a pool's pictures, in the pool's order, and the class each is asked for."""

    rows: tuple[int, ...]
    target: tuple[bool, ...]
    asked: tuple[str, ...]


def _choose(data: Captioned, asked: album.Asked, class_names: tuple[str, ...]) -> _Choice:
    where = {"card": album.CARDS[asked.kind], "pool": asked.name}
    own = words.canonical(asked.target)
    wanted = [asked.source] if asked.source else [n for n in class_names if words.canonical(n) != own]
    target = data.naming(asked.target) if asked.target else np.zeros(len(data.ids), bool)
    says = {name: data.naming(name) for name in wanted}
    source = np.any(list(says.values()), axis=0) if says else np.zeros(len(data.ids), bool)
    if not target.any():
        raise TargetNotInPool(f"no caption names the target {asked.target!r}", "choose another target or data", **where)
    if not source.any():
        raise SourceNotInPool(f"no caption names the source {asked.source!r}", "choose another source or data", **where)
    if asked.source and own == words.canonical(asked.source):
        raise SourceNotInPool("source and target are one class", "name two different ones", **where)
    dice = Dice(VERSION, data.name, asked.source, asked.target, asked.budget, asked.seed)
    targets, sources, others = (
        dice.shuffled(np.flatnonzero(mask).tolist()) for mask in (target & ~source, source & ~target, ~target & ~source)
    )
    rows = dice.shuffled(_sized(targets, sources, others, asked, where))
    named = ["" if target[at] else next((name for name in wanted if says[name][at]), "") for at in rows]
    return _Choice(tuple(rows), tuple(bool(target[at]) for at in rows), tuple(named))


def _sized(
    targets: list[int], sources: list[int], others: list[int], asked: album.Asked, where: dict[str, str]
) -> list[int]:
    sizes = SIZES[asked.budget]
    fewest = sizes.counts[CAPTIONS]
    room = sizes.pictures - sizes.targets
    taken = sources[: max(min(sizes.sources, room), room - len(others))]
    if len(targets) < sizes.targets or len(sources) < fewest or len(taken) + len(others) < room:
        raise PoolTooSmall(
            f"budget {asked.budget} asks for {sizes.pictures} pictures, {sizes.targets} of them of {asked.target!r} "
            f"and at least {fewest} of {asked.source or 'the other classes'!r}; captions show {len(targets)} and "
            f"{len(sources)}, and {len(others)} of neither",
            "choose a smaller budget or give more pictures",
            **where,
        )
    return [*targets[: sizes.targets], *taken, *others[: room - len(taken)]]


@lru_cache(maxsize=2)
def _album(data: Captioned, choice: _Choice, class_names: tuple[str, ...]) -> album.Album:
    rows = choice.rows
    images = sealed(data.load(rows))
    told = tuple(_tellings(data.captions[at], name) for at, name in zip(rows, choice.asked, strict=True))
    labels = [_label(data.captions[at], class_names) for at in rows] if class_names else None
    return album.Album(
        items=tuple(_item(data, at, digest) for at, digest in zip(rows, picture_hashes(images), strict=True)),
        images=images,
        labels=None if labels is None else np.array(labels, dtype=np.int64),
        units=tuple(data.ids[at] for at in rows),
        target=np.array(choice.target),
        asked=choice.asked,
        tellings=told,
        plain=told,
    )


def _tellings(captions: Sequence[str], asked: str) -> tuple[str, ...]:
    """Captions that name the class asked for; pictures of the target were left out before."""
    return tuple(text for text in captions if asked and words.word_in(text, words.terms(asked)))


def _label(captions: Sequence[str], class_names: tuple[str, ...]) -> int:
    """The one class that the captions name; -1 for none or several."""
    named = [
        i for i, name in enumerate(class_names) if any(words.word_in(text, words.terms(name)) for text in captions)
    ]
    return named[0] if len(named) == 1 else -1


def _item(data: Captioned, at: int, digest: str) -> PoolItem:
    licence = (data.licences[at] if data.licences else "") or NOT_STATED
    return PoolItem(data.ids[at], digest, data.captions[at][0], "", data.name, licence)
