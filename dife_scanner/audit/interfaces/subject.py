"""What an interface is measured on: two checkpoints, a trigger with its condition, and the populations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import CAPTIONS, KINDS, Pool, Query, of_split
from dife_scanner.audit.probes import EMBEDDING_TEMPLATES
from dife_scanner.audit.sides import Embeddings, Pair, Side, writes
from dife_scanner.core import metrics
from dife_scanner.core.cards import Card
from dife_scanner.errors import DifeError
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Condition, PoolItem, PoolManifest, Trigger
from dife_scanner.triggers.stamp import write


class NoPool(Exception):
    """A kind of pool that this audit has no pictures for; the card that asks for it is not run, with this reason."""


class Populations:
    """The pools of one audit, each drawn once, and the manifests of those that were used.

    `draw(kind)` makes a pool; it raises the named errors of `audit.populations`, or `NoPool`.
    """

    LABELLED = "labelled pictures"

    def __init__(self, draw: Callable[[str], Pool]) -> None:
        self._draw = draw
        self._pools: dict[str, Pool] = {}
        self._embedded: dict[tuple[str, int], Embeddings] = {}
        self._used: dict[str, PoolManifest] = {}
        self.current = self.LABELLED
        """Name of the pool asked for last, for errors."""

    def enter(self) -> None:
        """A new card begins."""
        self.current = self.LABELLED

    def pool(self, kind: str) -> Pool:
        """The pool of this kind, remembered as used."""
        self.current = kind
        if kind not in self._pools:
            self._pools[kind] = self._draw(kind)
        pool = self._pools[kind]
        self.current = pool.name
        self.used(pool.manifest)
        return pool

    def embedded(self, encoder: Encoder, pool: Pool) -> Embeddings:
        """The pool's pictures [n, d]; pools that share their pictures share these."""
        key = (encoder.image_tower, id(pool.images))
        if key not in self._embedded:
            self._embedded[key] = encoder.encode_images(encoder.prepare(pool.images))
        return self._embedded[key]

    def used(self, manifest: PoolManifest) -> str:
        """Remember that something was measured on this population; returns its digest."""
        return self._used.setdefault(manifest.digest, manifest).digest

    @property
    def manifests(self) -> tuple[PoolManifest, ...]:
        """Of everything used so far, in the order of first use."""
        return tuple(self._used.values())


class Gallery:
    """One checkpoint seen through one pool."""

    def __init__(self, encoder: Encoder, pool: Pool, images: Callable[[Encoder, Pool], Embeddings]) -> None:
        self._encoder, self._pool, self._images = encoder, pool, images

    @property
    def images(self) -> Embeddings:
        """[n, d], one row per picture of the pool."""
        return self._images(self._encoder, self._pool)

    def queries(self, trigger: Trigger | None = None) -> Embeddings:
        """[q, d]: the pool's own queries, as they are or carrying a text trigger."""
        queries = self._pool.queries
        return self._encoder.encode_texts([q.text if trigger is None else _written(q, trigger) for q in queries])


def _written(query: Query, trigger: Trigger) -> str:
    return write(query.text, trigger, query.word or query.class_name)


@dataclass(frozen=True)
class Subject:
    """What a profile is measured on. `train` only fits classifiers; `queries` are query templates on test pictures.

    Where the trigger brings templates of its own, `test`, `queries` and `prompts` ask with those.
    """

    trigger: Trigger
    condition: Condition
    train: Pair[Side]
    test: Pair[Side]
    queries: Pair[Side]
    populations: Populations
    seed: int

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.test.suspect.class_names

    @property
    def prompts(self) -> tuple[str, ...]:
        """Templates of prompts that are read one by one."""
        return self.trigger.templates or EMBEDDING_TEMPLATES

    @cached_property
    def target(self) -> int:
        """Position of the target among the classes; `MeasurementError` where it is none of them."""
        return self.test.suspect.index(self.condition.target)

    @cached_property
    def source(self) -> int:
        """Position of the source; where the condition names none (a selector control), the first other class."""
        if self.condition.source:
            return self.test.suspect.index(self.condition.source)
        return next(index for index in range(len(self.class_names)) if index != self.target)

    @property
    def source_name(self) -> str:
        return self.class_names[self.source]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.test.suspect.split.labels

    @property
    def units(self) -> tuple[str, ...]:
        """The drawing of each test picture."""
        return self.test.suspect.split.drawings

    @cached_property
    def off_target(self) -> NDArray[np.intp]:
        """Test pictures that are not of the target."""
        return metrics.other_than(self.labels, self.target)

    @property
    def asks_with_trigger(self) -> bool:
        """Whether a text query carries the trigger."""
        return writes(self.trigger)

    @property
    def source_queries(self) -> tuple[str, ...]:
        return tuple(template.format(self.source_name) for template in self.queries.suspect.templates)

    @property
    def target_queries(self) -> tuple[str, ...]:
        return tuple(template.format(self.condition.target) for template in self.queries.suspect.templates)

    def rng(self, card: Card, purpose: str = "") -> np.random.Generator:
        """One stream per interface and purpose, so that adding a card changes no other cell."""
        return np.random.default_rng([self.seed, *f"{card.interface}{purpose}".encode()])

    def gallery(self, kind: str) -> Pair[Gallery]:
        """Both checkpoints on the pool of that kind."""
        pool = self.populations.pool(kind)
        return Pair(*(Gallery(side.encoder, pool, self.populations.embedded) for side in self.test))

    def source_texts(self, *, triggered: bool = False) -> Pair[Embeddings]:
        """The query templates with the source's name [t, d] each, for both checkpoints."""
        return self._templated(self.queries.suspect.templates, self.source_name, triggered)

    def target_texts(self) -> Pair[Embeddings]:
        """The query templates with the target's name [t, d]."""
        return self._templated(self.queries.suspect.templates, self.condition.target, False)

    def prompt_texts(self, class_name: str, *, triggered: bool = False) -> Pair[Embeddings]:
        """Single prompts of a class [t, d], one per template of `prompts`."""
        return self._templated(self.prompts, class_name, triggered)

    def _templated(self, templates: Sequence[str], class_name: str, triggered: bool) -> Pair[Embeddings]:
        texts = [template.format(class_name) for template in templates]
        if triggered:
            texts = [write(text, self.trigger, class_name) for text in texts]
        return Pair(*(side.encoder.encode_texts(texts) for side in self.test))

    def encode_ahead(self) -> None:
        """Encode in one call per checkpoint what the text-query interfaces ask piece by piece; small calls cost more.

        Nothing is encoded that no built-in interface needs. What goes wrong here goes wrong again, and is told, where
        an interface asks for it.
        """
        if not self.asks_with_trigger:
            return
        with suppress(DifeError, NoPool):
            pools = [self.populations.pool(kind) for kind in KINDS]
            asked = [(pool.kind, query) for pool in pools for query in pool.queries]
            clean = [template.format(name) for name in self._ends for template in self.prompts]
            clean += [query.text for _, query in asked]
            written = [write(t.format(self.source_name), self.trigger, self.source_name) for t in self.prompts]
            everywhere = [_written(query, self.trigger) for kind, query in asked if kind == CAPTIONS]
            suspect = [_written(query, self.trigger) for kind, query in asked if kind != CAPTIONS]
            self.test.suspect.encoder.encode_texts([*clean, *written, *everywhere, *suspect])
            self.test.reference.encoder.encode_texts([*clean, *written, *everywhere])

    @property
    def _ends(self) -> tuple[str, str]:
        return self.source_name, self.condition.target

    def labelled(
        self,
        name: str,
        *,
        lists: NDArray[np.integer] | None = None,
        targets: NDArray[np.bool_] | None = None,
        queries: Sequence[str] = (),
    ) -> str:
        """Digest of the population these test pictures make; lists [g, k] and their targets [g, k] where it has any.

        A list's -1 is no picture. Without lists the target's pictures are the one row of targets.
        """
        if lists is None or targets is None:
            rows: list[NDArray[np.integer]] = []
            chosen: list[NDArray[np.integer]] = [np.flatnonzero(self.labels == self.target)]
        else:
            rows = [row[row >= 0] for row in lists]
            chosen = [row[mask] for row, mask in zip(lists, targets, strict=True)]
        return self.populations.used(
            PoolManifest(
                name=f"{name}: {self.condition.target}",
                kind=Populations.LABELLED,
                seed=self.seed,
                version=f"{self.test.suspect.split.name} split",
                items=self._items,
                lists=tuple(tuple(int(at) for at in row) for row in rows),
                targets=tuple(tuple(int(at) for at in row) for row in chosen),
                queries=tuple(queries),
            )
        )

    @cached_property
    def _items(self) -> tuple[PoolItem, ...]:
        split = self.test.suspect.split
        return split.items or of_split(split.name, split, self.class_names, version="").items

    def asked_texts(self, name: str, texts: Sequence[str]) -> str:
        """Digest of a population of texts alone."""
        return self.populations.used(
            PoolManifest(name=name, kind="texts", seed=self.seed, version="1", items=(), queries=tuple(texts))
        )
