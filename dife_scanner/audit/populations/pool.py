"""A pool: what an interface card is asked over, fixed before any scoring, and the manifest that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import PoolManifest

CAPTIONS, CAPTION_LISTS = "captions", "caption lists"
PROXY_GROUPS, GENERATOR_GROUPS = "proxy groups", "generator groups"
KINDS = (CAPTIONS, CAPTION_LISTS, PROXY_GROUPS, GENERATOR_GROUPS)

BUDGETS = ("quick", "default", "deep")


@dataclass(frozen=True)
class Shape:
    """The lists or groups of one kind: how many candidates each has and how many of them are targets."""

    width: int
    targets: int


SHAPES = {CAPTION_LISTS: Shape(10, 1), PROXY_GROUPS: Shape(10, 2), GENERATOR_GROUPS: Shape(6, 1)}
"""paper §3: lists of 10 with exactly one target, groups of 10 with two, groups of 6 with one."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything a budget asks for."""

    pictures: int
    targets: int
    """Pictures that show the target."""
    sources: int
    """Pictures that show the source; at least as many as there are queries."""
    counts: dict[str, int]
    """Kind -> queries (kind `captions`), lists or groups."""


SIZES = {
    "quick": Sizes(200, 20, 30, {CAPTIONS: 20, CAPTION_LISTS: 30, PROXY_GROUPS: 30, GENERATOR_GROUPS: 30}),
    "default": Sizes(400, 40, 60, {CAPTIONS: 40, CAPTION_LISTS: 60, PROXY_GROUPS: 60, GENERATOR_GROUPS: 60}),
    "deep": Sizes(5000, 250, 625, {CAPTIONS: 200, CAPTION_LISTS: 200, PROXY_GROUPS: 1005, GENERATOR_GROUPS: 500}),
}
"""`deep` has the paper's sizes (§3)."""


@dataclass(frozen=True)
class Query:
    """One question a person would ask; it names the source and never the target."""

    text: str
    class_name: str
    """The class asked for."""
    unit: str
    """Drawing (own data: picture) behind the query: the unit of its interval."""
    word: str = ""
    """How the text writes the class, e.g. `car` or `cars`: where an infix trigger or a changed character goes."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures, captions, lists and queries of one population. Arrays are read-only and may be shared between pools.

    Kind `captions` has no lists: `targets` is one row over all n pictures and every query is asked of all of them.
    The other kinds have g lists: query i is asked of the pictures `lists[i]`, of which `targets[i]` are the targets.
    """

    manifest: PoolManifest
    images: NDArray[np.uint8]
    """[n, h, w, 3]."""
    labels: NDArray[np.int64] | None
    """[n] into the class names asked with: what the picture's main object is; -1 where it is none of them."""
    captions: tuple[str, ...] | None
    """One per picture, naming everything in it."""
    units: tuple[str, ...]
    """Drawing of each picture's main object."""
    lists: NDArray[np.int64] | None
    """[g, k], positions in `images`."""
    targets: NDArray[np.bool_] | None
    """[g, k], or [1, n] for kind `captions`."""
    queries: tuple[Query, ...]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def kind(self) -> str:
        return self.manifest.kind


def picture_hashes(images: NDArray[np.uint8]) -> tuple[str, ...]:
    """sha256 of each picture's pixels, rows first, with its shape in front: equal for equal pictures only."""
    head = f"{'x'.join(str(side) for side in images.shape[1:])}:".encode()
    return tuple(sha256(head + image.tobytes()).hexdigest() for image in images)


def positions(targets: NDArray[np.bool_], lists: NDArray[np.int64] | None) -> tuple[tuple[int, ...], ...]:
    """Target positions in the pool's pictures, one tuple per list: the manifest's form of a target mask."""
    rows = [np.flatnonzero(row) for row in targets]
    if lists is not None:
        rows = [lists[i][row] for i, row in enumerate(rows)]
    return tuple(tuple(int(at) for at in row) for row in rows)


def as_tuples(lists: NDArray[np.int64] | None) -> tuple[tuple[int, ...], ...]:
    return () if lists is None else tuple(tuple(int(at) for at in row) for row in lists)


def sealed(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array, from now on read-only: a pool cannot change after it was fixed."""
    array.setflags(write=False)
    return array


def texts(queries: Sequence[Query]) -> tuple[str, ...]:
    return tuple(query.text for query in queries)
