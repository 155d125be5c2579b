"""Pictures with captions, and how queries, lists and groups are drawn from them. One code for scenes and own data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice

import numpy as np

from dife_scanner.audit.populations import words
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.errors import (
    PoolTooSmall,
    SourceNotInPool,
    TargetNotInPool,
)
from dife_scanner.audit.populations.pool import (
    CAPTION_LISTS,
    CAPTIONS,
    GENERATOR_GROUPS,
    PROXY_GROUPS,
    SHAPES,
    SIZES,
    Lists,
    Pool,
    Query,
    as_tuples,
    target_positions,
)
from dife_scanner.audit.probes import Labels, Pixels
from dife_scanner.core.metrics import Bools
from dife_scanner.records import Budget, PoolItem, PoolManifest

CARDS = {
    CAPTIONS: "image-text retrieval, caption retrieval, query embeddings",
    CAPTION_LISTS: "caption reranking",
    PROXY_GROUPS: "proxy selection",
    GENERATOR_GROUPS: "generator selection",
}
"""Kind of pool -> the cards that are measured on it, for messages."""

_LIST_SOURCES = 4
"""Pictures of the source in a list for reranking, the query's own among them."""


@dataclass(frozen=True, eq=False)
class Album:
    """The pictures of a pool before anything is drawn. Every sequence has one entry per picture."""

    items: tuple[PoolItem, ...]
    images: Pixels
    labels: Labels | None
    units: tuple[str, ...]
    target: Bools
    query_classes: tuple[str, ...]
    """Class that a query from this picture's captions names; empty where none may be drawn from it."""
    query_captions: tuple[tuple[str, ...], ...]
    """Captions that can be queries: they name the picture's query class and never the target."""
    neutral_captions: tuple[tuple[str, ...], ...]
    """Those that name nothing else, where the data has such: neutral queries for groups."""

    @property
    def target_count(self) -> int:
        return int(self.target.sum())


@dataclass(frozen=True)
class PoolRequest:
    """Which pool is wanted, as errors and manifests name it."""

    origin: str
    """`bundled`, or the name of somebody's own data."""
    kind: str
    source: str
    target: str
    budget: Budget
    seed: int
    version: str

    @property
    def name(self) -> str:
        return f"{self.origin} | {self.kind} | {self.source} | {self.target} | {self.budget}"

    @property
    def place(self) -> dict[str, str]:
        """The cards and the pool, as errors name them."""
        return {"card": CARDS[self.kind], "pool": self.name}


def pool_of(album: Album, request: PoolRequest) -> Pool:
    """Draw one kind of pool. Raises `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`."""
    _check(album, request)
    dice = _dice(request)
    origins, queries = _queries(album, request, dice)
    lists = None
    targets = album.target[None, :]
    if request.kind != CAPTIONS:
        lists = _lists(album, origins, request.kind, dice)
        targets = album.target[lists]
    manifest = PoolManifest(
        name=request.name,
        kind=request.kind,
        seed=request.seed,
        version=request.version,
        items=album.items,
        lists=() if lists is None else as_tuples(lists),
        targets=target_positions(targets, lists),
        queries=tuple(query.text for query in queries),
    )
    return Pool(
        manifest=manifest,
        images=album.images,
        labels=album.labels,
        captions=tuple(item.caption for item in album.items),
        units=album.units,
        lists=lists,
        targets=targets,
        queries=tuple(queries),
    )


def _dice(request: PoolRequest) -> Dice:
    """The random choices of this pool."""
    return Dice(
        request.version,
        request.kind,
        request.source,
        request.target,
        request.budget,
        request.seed,
    )


def _check(album: Album, request: PoolRequest) -> None:
    _check_target(album, request)
    if not any(album.query_captions):
        wanted = repr(request.source) if request.source else "a class to ask for"
        raise SourceNotInPool(
            f"no caption can ask for {wanted}",
            "choose another source or pool",
            **request.place,
        )
    if request.kind != CAPTIONS:
        _check_lists(album, request)


def _check_target(album: Album, request: PoolRequest) -> None:
    if not album.target.any():
        raise TargetNotInPool(
            f"no picture shows the target {request.target!r}",
            "choose another target or pool",
            **request.place,
        )


def _check_lists(album: Album, request: PoolRequest) -> None:
    """That a list of this kind can be filled with different pictures, whichever class its query names."""
    shape = SHAPES[request.kind]
    reranking = request.kind == CAPTION_LISTS
    sources = _LIST_SOURCES if reranking else 1
    per_class = Counter(name for name in album.query_classes if name)
    # A query may name any class: the rarest has to fill its place, the commonest leaves fewest others.
    fewest, most = min(per_class.values()), max(per_class.values())
    others = len(album.items) - album.target_count - most
    # Half of the groups hold no picture of the source, so that others fill its place.
    needed = shape.width - shape.targets - (sources if reranking else 0)
    if album.target_count < shape.targets or fewest < sources or others < needed:
        raise PoolTooSmall(
            f"a list of {shape.width} takes {shape.targets} pictures of the target, {sources} of the source and "
            f"{needed} others; there are {album.target_count}, {fewest} and {others}",
            "give more pictures",
            **request.place,
        )


# --- queries --------------------------------------------------------------------------------------------------


def _queries(album: Album, request: PoolRequest, dice: Dice) -> tuple[list[int], list[Query]]:
    """The pictures that the budget's number of queries come from, and the queries.

    A text comes twice only when no unused one is left.
    """
    captions = album.neutral_captions
    if request.kind in (CAPTIONS, CAPTION_LISTS):
        captions = album.query_captions
    every = _in_turns(album, captions, dice)
    once = _without_repeats(every)
    # Unused texts first, then all of them again and again.
    count = SIZES[request.budget].counts[request.kind]
    origins = []
    queries = []
    for picture, text in islice(chain(once, cycle(every)), count):
        origins.append(picture)
        queries.append(_query(album, picture, text))
    return origins, queries


def _query(album: Album, picture: int, text: str) -> Query:
    name = album.query_classes[picture]
    return Query(
        text=text,
        class_name=name,
        unit=album.units[picture],
        word=words.word_in(text, words.terms(name)),
    )


def _in_turns(album: Album, captions: Sequence[Sequence[str]], dice: Dice) -> list[tuple[int, str]]:
    """(picture, caption): the first caption of every picture, then the second, and so on."""
    captioned = [picture for picture, own in enumerate(captions) if own]
    order = _evenly(album.units, captioned, dice)
    found = []
    for turn in range(max(map(len, captions))):
        for picture in order:
            if turn < len(captions[picture]):
                found.append((picture, captions[picture][turn]))
    return found


def _without_repeats(
    captions: Sequence[tuple[int, str]],
) -> list[tuple[int, str]]:
    """Those whose text stood with no other picture before."""
    first: dict[str, int] = {}
    kept = []
    for picture, text in captions:
        if first.setdefault(text, picture) == picture:
            kept.append((picture, text))
    return kept


def _evenly(units: Sequence[str], among: Iterable[int], dice: Dice) -> list[int]:
    """`among`, shuffled, so that every stretch of it runs through as many different units as there are."""
    by_unit: dict[str, list[int]] = defaultdict(list)
    for picture in dice.shuffled(list(among)):
        by_unit[units[picture]].append(picture)
    # One picture of every unit, then the next of every unit that has another.
    dealt = []
    for turn in range(max(map(len, by_unit.values()), default=0)):
        dealt += [queue[turn] for queue in by_unit.values() if turn < len(queue)]
    return dealt


# --- lists and groups -----------------------------------------------------------------------------------------


def _lists(album: Album, origins: Sequence[int], kind: str, dice: Dice) -> Lists:
    """One list per query [g, k]: its targets, pictures of its class, and pictures of neither, in random order.

    `origins` are the pictures that the queries came from. Lists for reranking hold that picture and three more of the
    source, so that a clean ranking has something better than the target. Every other group holds one picture of the
    source, the rest hold none: the query is no question about the target, and often none about anything in the group.
    """
    shape = SHAPES[kind]
    # Targets are taken in turn, starting again at the end, so that each stands in as many lists as any other.
    targets = cycle(_evenly(album.units, np.flatnonzero(album.target).tolist(), dice))
    by_class = _by_class(album)
    lists = []
    for number, origin in enumerate(origins):
        name = album.query_classes[origin]
        row = list(islice(targets, shape.targets))
        if kind == CAPTION_LISTS:
            row += _of_source(origin, by_class[name], dice)
        # Every other group holds one picture of the source, the rest none.
        if kind != CAPTION_LISTS and number % 2:
            row.append(dice.pick(by_class[name]))
        row += _others(album, name, shape.width - len(row), dice)
        lists.append(dice.shuffled(row))
    return np.array(lists, dtype=np.int64)


def _of_source(origin: int, own: Sequence[int], dice: Dice) -> list[int]:
    """The query's own picture, and three more of its class."""
    others = [picture for picture in own if picture != origin]
    return [origin, *dice.shuffled(others)[: _LIST_SOURCES - 1]]


def _by_class(album: Album) -> dict[str, list[int]]:
    """Query class -> its pictures."""
    found: dict[str, list[int]] = defaultdict(list)
    for picture, name in enumerate(album.query_classes):
        found[name].append(picture)
    return found


def _others(album: Album, name: str, count: int, dice: Dice) -> list[int]:
    """Different pictures that show neither the target nor the class `name`."""
    found: list[int] = []
    while len(found) < count:
        picture = dice.below(len(album.items))
        usable = not album.target[picture] and album.query_classes[picture] != name
        # Rejected and drawn again: with few exclusions cheaper than listing who is allowed.
        if usable and picture not in found:
            found.append(picture)
    return found
