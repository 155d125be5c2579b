"""Pictures with captions, and how queries, lists and groups are drawn from them. One code for scenes and own data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import words
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.populations.pool import (
    CAPTION_LISTS,
    CAPTIONS,
    GENERATOR_GROUPS,
    PROXY_GROUPS,
    SHAPES,
    SIZES,
    Pool,
    Query,
    as_tuples,
    positions,
    texts,
)
from dife_scanner.records import PoolItem, PoolManifest

CARDS = {
    CAPTIONS: "image-text retrieval, caption retrieval, query embeddings",
    CAPTION_LISTS: "caption reranking",
    PROXY_GROUPS: "proxy selection",
    GENERATOR_GROUPS: "generator selection",
}
"""Kind of pool -> the cards that are asked over it, for messages."""

_LIST_SOURCES = 4
"""Pictures of the source in a list for reranking, the query's own among them."""


@dataclass(frozen=True, eq=False)
class Album:
    """The pictures of a pool before anything is drawn. Every sequence has one entry per picture."""

    items: tuple[PoolItem, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    units: tuple[str, ...]
    target: NDArray[np.bool_]
    asked: tuple[str, ...]
    """Class that a query from this picture's captions asks for; empty where none may be drawn from it."""
    tellings: tuple[tuple[str, ...], ...]
    """Captions that can be queries: they name the class in `asked` and never the target."""
    plain: tuple[tuple[str, ...], ...]
    """Those that name nothing else, where the data has such: neutral queries for groups."""


@dataclass(frozen=True)
class Asked:
    """What was asked for, as errors and manifests name it."""

    origin: str
    """`bundled`, or the name of somebody's own data."""
    kind: str
    source: str
    target: str
    budget: str
    seed: int
    version: str

    @property
    def name(self) -> str:
        return f"{self.origin} | {self.kind} | {self.source} | {self.target} | {self.budget}"


def pool_of(album: Album, asked: Asked) -> Pool:
    """Draw one kind of pool. Raises `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`."""
    _check(album, asked)
    dice = Dice(asked.version, asked.kind, asked.source, asked.target, asked.budget, asked.seed)
    count = SIZES[asked.budget].counts[asked.kind]
    tellings = album.tellings if asked.kind in (CAPTIONS, CAPTION_LISTS) else album.plain
    asking = list(_queries(album, tellings, count, dice))
    queries = tuple(query for _, query in asking)
    lists = None if asked.kind == CAPTIONS else _lists(album, [at for at, _ in asking], asked.kind, dice)
    targets = album.target[None, :] if lists is None else album.target[lists]
    manifest = PoolManifest(
        name=asked.name,
        kind=asked.kind,
        seed=asked.seed,
        version=asked.version,
        items=album.items,
        lists=as_tuples(lists),
        targets=positions(targets, lists),
        queries=texts(queries),
    )
    captions = tuple(item.caption for item in album.items)
    return Pool(manifest, album.images, album.labels, captions, album.units, lists, targets, queries)


def _check(album: Album, asked: Asked) -> None:
    where = {"card": CARDS[asked.kind], "pool": asked.name}
    if not album.target.any():
        raise TargetNotInPool(f"no picture shows the target {asked.target!r}", "choose another target or pool", **where)
    if not any(album.tellings):
        shown = repr(asked.source) if asked.source else "a class to ask for"
        raise SourceNotInPool(f"no caption can ask for {shown}", "choose another source or pool", **where)
    if asked.kind != CAPTIONS:
        _check_lists(album, asked.kind, where)


def _check_lists(album: Album, kind: str, where: dict[str, str]) -> None:
    """That a list of this kind can be filled with different pictures, whichever class is asked for."""
    shape, sources = SHAPES[kind], _LIST_SOURCES if kind == CAPTION_LISTS else 1
    per_class = Counter(name for name in album.asked if name)
    targets = int(album.target.sum())
    others = len(album.items) - targets - max(per_class.values())
    needed = shape.width - shape.targets - (sources if kind == CAPTION_LISTS else 0)
    if targets < shape.targets or min(per_class.values()) < sources or others < needed:
        raise PoolTooSmall(
            f"a list of {shape.width} takes {shape.targets} pictures of the target, {sources} of the source and "
            f"{needed} others; there are {targets}, {min(per_class.values())} and {others}",
            "give more pictures",
            **where,
        )


def evenly(units: Sequence[str], among: Iterable[int], dice: Dice) -> list[int]:
    """`among`, shuffled, so that every stretch of it runs through as many different units as there are."""
    by_unit: dict[str, list[int]] = defaultdict(list)
    for at in dice.shuffled(list(among)):
        by_unit[units[at]].append(at)
    queues = list(by_unit.values())
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _queries(album: Album, tellings: Sequence[Sequence[str]], count: int, dice: Dice) -> Iterator[tuple[int, Query]]:
    """`count` queries, each with the picture it came from; a text comes twice only when no unused one is left."""
    order = evenly(album.units, [at for at, told in enumerate(tellings) if told], dice)
    most = max(map(len, tellings))
    every = [(at, tellings[at][turn]) for turn in range(most) for at in order if turn < len(tellings[at])]
    first = {text: at for at, text in reversed(every)}
    once = [(at, text) for at, text in every if first[text] == at]
    for at, text in islice(chain(once, cycle(every)), count):
        cls = album.asked[at]
        yield at, Query(text, cls, album.units[at], words.word_in(text, words.terms(cls)))


def _lists(album: Album, asking: Sequence[int], kind: str, dice: Dice) -> NDArray[np.int64]:
    """One list per query: its targets, pictures of what is asked for, and pictures of neither, in random order.

    Lists for reranking hold the query's own picture and three more of the source, so that a clean ranking has
    something better than the target. Every other group holds one picture of the source, the rest hold none: the
    query is no question about the target, and often none about anything in the group.
    """
    shape = SHAPES[kind]
    targets = _Wheel(evenly(album.units, np.flatnonzero(album.target).tolist(), dice))
    by_class: dict[str, list[int]] = defaultdict(list)
    for at, cls in enumerate(album.asked):
        by_class[cls].append(at)
    rows = []
    for number, at in enumerate(asking):
        wanted = album.asked[at]
        row = targets.take(shape.targets)
        if kind == CAPTION_LISTS:
            own = [i for i in by_class[wanted] if i != at]
            row += [at, *dice.shuffled(own)[: _LIST_SOURCES - 1]]
        elif number % 2:
            row.append(dice.pick(by_class[wanted]))
        rows.append(dice.shuffled(row + _others(album, wanted, shape.width - len(row), dice)))
    return np.array(rows, dtype=np.int64)


class _Wheel:
    """Takes pictures in turn, starting again at the end."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order, self._at = order, 0

    def take(self, count: int) -> list[int]:
        taken = [self._order[(self._at + i) % len(self._order)] for i in range(count)]
        self._at += count
        return taken


def _others(album: Album, wanted: str, count: int, dice: Dice) -> list[int]:
    """Different pictures that show neither the target nor what is asked for."""
    found: list[int] = []
    while len(found) < count:
        at = dice.below(len(album.items))
        if not album.target[at] and album.asked[at] != wanted and at not in found:
            found.append(at)
    return found
