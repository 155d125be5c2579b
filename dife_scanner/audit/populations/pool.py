"""A pool: what an interface card is measured on, fixed before any scoring, and the manifest that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.probes import Labels, Pixels
from dife_scanner.core.metrics import Bools
from dife_scanner.records import Budget, PoolManifest

CAPTIONS = "captions"
CAPTION_LISTS = "caption lists"
PROXY_GROUPS = "proxy groups"
GENERATOR_GROUPS = "generator groups"
KINDS = (CAPTIONS, CAPTION_LISTS, PROXY_GROUPS, GENERATOR_GROUPS)

Lists = NDArray[np.int64]
"""[g, k], positions in a pool's pictures."""

BUDGETS = tuple(Budget)


@dataclass(frozen=True)
class Shape:
    """The lists or groups of one kind: how many candidates each has and how many of them are targets."""

    width: int
    targets: int


SHAPES = {
    CAPTION_LISTS: Shape(width=10, targets=1),
    PROXY_GROUPS: Shape(width=10, targets=2),
    GENERATOR_GROUPS: Shape(width=6, targets=1),
}
"""Paper §3: lists of 10 with exactly one target, groups of 10 with two, groups of 6 with one."""


@dataclass(frozen=True)
class Sizes:
    """How many pictures and queries a budget has."""

    pictures: int
    targets: int
    """Pictures that show the target."""
    sources: int
    """Pictures that show the source; at least as many as there are queries."""
    counts: dict[str, int]
    """Kind -> queries (kind `captions`), lists or groups."""


_QUICK_COUNTS = {
    CAPTIONS: 20,
    CAPTION_LISTS: 30,
    PROXY_GROUPS: 30,
    GENERATOR_GROUPS: 30,
}
_DEFAULT_COUNTS = {
    CAPTIONS: 40,
    CAPTION_LISTS: 60,
    PROXY_GROUPS: 60,
    GENERATOR_GROUPS: 60,
}
_DEEP_COUNTS = {
    CAPTIONS: 200,
    CAPTION_LISTS: 200,
    PROXY_GROUPS: 1005,
    GENERATOR_GROUPS: 500,
}
SIZES = {
    Budget.QUICK: Sizes(pictures=200, targets=20, sources=30, counts=_QUICK_COUNTS),
    Budget.DEFAULT: Sizes(pictures=400, targets=40, sources=60, counts=_DEFAULT_COUNTS),
    Budget.DEEP: Sizes(pictures=5000, targets=250, sources=625, counts=_DEEP_COUNTS),
}
"""`deep` has the paper's sizes (§3)."""


@dataclass(frozen=True)
class Query:
    """A text a person would search with; it names the source and never the target."""

    text: str
    class_name: str
    """The class it names."""
    unit: str
    """Drawing (own data: picture) behind the query: the unit of its interval."""
    word: str = ""
    """How the text writes the class, e.g. `car` or `cars`: where an infix trigger or a changed character goes."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures, captions, lists and queries of one population. Arrays are read-only and may be shared between pools.

    Kind `captions` has no lists: `targets` is one row over all n pictures and every query ranks all of them.
    The other kinds have g lists: query i ranks the pictures `lists[i]`, of which `targets[i]` are the targets.
    """

    manifest: PoolManifest
    images: Pixels
    """[n, h, w, 3]."""
    labels: Labels | None
    """[n] into the request's class names: what the picture's main object is; -1 where it is none of them."""
    captions: tuple[str, ...] | None
    """One per picture, naming everything in it."""
    units: tuple[str, ...]
    """Drawing of each picture's main object."""
    lists: Lists | None
    """[g, k], positions in `images`."""
    targets: Bools | None
    """[g, k], or [1, n] for kind `captions`."""
    queries: tuple[Query, ...]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def query_units(self) -> list[str]:
        """The unit of each query."""
        return [query.unit for query in self.queries]

    @property
    def kind(self) -> str:
        return self.manifest.kind


def picture_hashes(images: Pixels) -> tuple[str, ...]:
    """sha256 of each picture's pixels, rows first, with its shape in front: equal for equal pictures only."""
    shape = "x".join(map(str, images.shape[1:]))
    head = f"{shape}:".encode()
    return tuple(sha256(head + image.tobytes()).hexdigest() for image in images)


def target_positions(targets: Bools, lists: Lists | None) -> tuple[tuple[int, ...], ...]:
    """Target positions in the pool's pictures, one tuple per list: the manifest's form of a target mask."""
    if lists is None:
        return as_tuples(map(np.flatnonzero, targets))
    return as_tuples(row[mask] for row, mask in zip(lists, targets, strict=True))


def as_tuples(
    rows: Iterable[NDArray[np.integer]],
) -> tuple[tuple[int, ...], ...]:
    """Rows of positions as a manifest holds them."""
    return tuple(tuple(map(int, row)) for row in rows)


def sealed(array: Pixels) -> Pixels:
    """The array, from now on read-only: a pool cannot change after it was fixed."""
    array.setflags(write=False)
    return array
