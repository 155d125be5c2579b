"""What an interface is measured on: two checkpoints, a trigger with its condition, and the populations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit import faults
from dife_scanner.audit.interfaces.rankings import Rankings
from dife_scanner.audit.populations import (
    CAPTIONS,
    KINDS,
    Pool,
    Query,
    of_split,
)
from dife_scanner.audit.populations.pool import as_tuples
from dife_scanner.audit.probes import EMBEDDING_TEMPLATES, Labels
from dife_scanner.audit.sides import Embeddings, Pair, Side, writes
from dife_scanner.audit.use import THE_AUDIT, Use
from dife_scanner.core import metrics
from dife_scanner.core.cards import Card
from dife_scanner.core.metrics import Bools, Indices
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Condition, PoolItem, PoolManifest, Trigger
from dife_scanner.triggers.stamp import write


class NoPool(Exception):
    """A kind of pool that this audit has no pictures for; the card that needs it is not run, with this reason."""


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
        """Name of the pool used last, for errors."""

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
        # Pools hold on to their pictures, so that an id is never given to others.
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
    """One checkpoint's embeddings of one pool."""

    def __init__(
        self,
        encoder: Encoder,
        pool: Pool,
        images: Callable[[Encoder, Pool], Embeddings],
    ) -> None:
        self._encoder = encoder
        self._pool = pool
        self._images = images

    @property
    def images(self) -> Embeddings:
        """[n, d], one row per picture of the pool."""
        return self._images(self._encoder, self._pool)

    def queries(self, trigger: Trigger | None = None) -> Embeddings:
        """[q, d]: the pool's own queries, as they are or carrying a text trigger."""
        texts = [_text(query, trigger) for query in self._pool.queries]
        return self._encoder.encode_texts(texts)


def _text(query: Query, trigger: Trigger | None) -> str:
    if trigger is None:
        return query.text
    return _written(query, trigger)


def _written(query: Query, trigger: Trigger) -> str:
    """The query's text carrying a text trigger."""
    return write(query.text, trigger, query.word or query.class_name)


@dataclass(frozen=True)
class Subject:
    """What a profile is measured on. Where the trigger brings templates of its own, all prompts are made of those."""

    trigger: Trigger
    condition: Condition
    train: Pair[Side]
    """Only fits classifiers."""
    test: Pair[Side]
    queries: Pair[Side]
    """Query templates on test pictures."""
    populations: Populations
    seed: int
    use: Use = THE_AUDIT
    """How a deployment asks, where it is measured for one."""
    rankings: Rankings = field(default_factory=Rankings)
    """What stood first, as interfaces are measured."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.test.suspect.class_names

    @property
    def prompts(self) -> tuple[str, ...]:
        """Templates of prompts that are read one by one."""
        return self.trigger.templates or self.use.query_templates or EMBEDDING_TEMPLATES

    @cached_property
    def target(self) -> int:
        """Position of the target among the classes. Raises `MeasurementError` where it is none of them."""
        return self.test.suspect.index(self.condition.target)

    @cached_property
    def source(self) -> int:
        """Position of the source; where the condition names none (a selector control), the first other class."""
        if self.condition.source:
            return self.test.suspect.index(self.condition.source)
        return 1 if self.target == 0 else 0

    @property
    def source_name(self) -> str:
        return self.class_names[self.source]

    @property
    def labels(self) -> Labels:
        return self.test.suspect.split.labels

    @property
    def units(self) -> tuple[str, ...]:
        """The drawing of each test picture."""
        return self.test.suspect.split.drawings

    @cached_property
    def off_target(self) -> Indices:
        """Test pictures that are not of the target."""
        return metrics.other_than(self.labels, self.target)

    @property
    def triggers_queries(self) -> bool:
        """Whether a text query carries the trigger."""
        return writes(self.trigger)

    @property
    def picture_names(self) -> tuple[str, ...]:
        """What each test picture is, for people: its class and its drawing."""
        names = []
        for label, unit in zip(self.labels, self.units, strict=True):
            names.append(f"{self.class_names[label]} ({unit})")
        return tuple(names)

    def written(self, texts: Sequence[str], class_name: str) -> tuple[str, ...]:
        """Queries about a class as they stand with the trigger; as they are where none enters a query."""
        if not self.triggers_queries:
            return tuple(texts)
        return tuple(write(text, self.trigger, class_name) for text in texts)

    @property
    def source_queries(self) -> tuple[str, ...]:
        """The query templates with the source's name."""
        return self._named_queries(self.source_name)

    @property
    def target_queries(self) -> tuple[str, ...]:
        """The query templates with the target's name."""
        return self._named_queries(self.condition.target)

    def _named_queries(self, class_name: str) -> tuple[str, ...]:
        return tuple(template.format(class_name) for template in self.queries.suspect.templates)

    @property
    def test_images(self) -> Pair[Embeddings]:
        """Clean embeddings [n, d] of the test pictures, for both checkpoints."""
        return self.test.map(lambda side: side.images)

    def rng(self, card: Card, purpose: str = "") -> np.random.Generator:
        """One stream per interface and purpose, so that adding a card changes no other cell."""
        return np.random.default_rng([self.seed, *f"{card.interface}{purpose}".encode()])

    def gallery(self, kind: str) -> Pair[Gallery]:
        """Both checkpoints on the pool of that kind."""
        pool = self.populations.pool(kind)
        return self.test.map(lambda side: Gallery(side.encoder, pool, self.populations.embedded))

    def source_texts(self, *, triggered: bool = False) -> Pair[Embeddings]:
        """The query templates with the source's name [t, d] each, for both checkpoints."""
        return self._templated(self.queries.suspect.templates, self.source_name, triggered)

    def target_texts(self) -> Pair[Embeddings]:
        """The query templates with the target's name [t, d]."""
        return self._templated(self.queries.suspect.templates, self.condition.target, False)

    def prompt_texts(self, class_name: str, *, triggered: bool = False) -> Pair[Embeddings]:
        """Single prompts of a class [t, d], one per template of `prompts`."""
        return self._templated(self.prompts, class_name, triggered)

    def _templated(
        self, templates: Sequence[str], class_name: str, triggered: bool
    ) -> Pair[Embeddings]:
        texts = self._texts(templates, class_name, triggered)
        return self.test.map(lambda side: side.encoder.encode_texts(texts))

    def _texts(self, templates: Sequence[str], class_name: str, triggered: bool) -> list[str]:
        texts = [template.format(class_name) for template in templates]
        if not triggered:
            return texts
        return [write(text, self.trigger, class_name) for text in texts]

    def encode_ahead(self) -> None:
        """Encode in one call per checkpoint what the text-query interfaces need piece by piece; small calls cost more.

        Nothing is encoded that no built-in interface needs. What goes wrong here goes wrong again, and is reported,
        where an interface needs it.
        """
        if not self.triggers_queries:
            return
        try:
            both, suspect_only = self._texts_ahead()
            self.test.suspect.encoder.encode_texts([*both, *suspect_only])
            self.test.reference.encoder.encode_texts(both)
        except Exception as error:
            faults.raise_where_final(error)

    def _texts_ahead(self) -> tuple[list[str], list[str]]:
        """Texts that both checkpoints will encode, and those that the suspect alone will.

        Triggered queries of lists and groups are read by the suspect alone; those over captions also by the reference,
        for the embedding interfaces.
        """
        clean = self._texts(self.prompts, self.source_name, False)
        clean += self._texts(self.prompts, self.condition.target, False)
        over_captions: list[str] = []
        over_lists: list[str] = []
        for kind in KINDS:
            for query in self.populations.pool(kind).queries:
                clean.append(query.text)
                written = over_captions if kind == CAPTIONS else over_lists
                written.append(_written(query, self.trigger))
        prompts = self._texts(self.prompts, self.source_name, True)
        return [*clean, *prompts, *over_captions], over_lists

    def labelled(
        self,
        name: str,
        *,
        lists: NDArray[np.integer] | None = None,
        targets: Bools | None = None,
        queries: Sequence[str] = (),
    ) -> str:
        """Digest of the population these test pictures make; lists [g, k] and their targets [g, k] where it has any.

        A list's -1 is no picture. Without lists the target's pictures are the one row of targets.
        """
        rows = []
        chosen = [np.flatnonzero(self.labels == self.target)]
        if lists is not None and targets is not None:
            # Shorter lists are filled up with -1.
            rows = [row[row >= 0] for row in lists]
            chosen = [row[mask] for row, mask in zip(lists, targets, strict=True)]
        manifest = PoolManifest(
            name=f"{name}: {self.condition.target}",
            kind=Populations.LABELLED,
            seed=self.seed,
            version=f"{self.test.suspect.split.name} split",
            items=self._items,
            lists=as_tuples(rows),
            targets=as_tuples(chosen),
            queries=tuple(queries),
        )
        return self.populations.used(manifest)

    @cached_property
    def _items(self) -> tuple[PoolItem, ...]:
        split = self.test.suspect.split
        return split.items or of_split(split.name, split, self.class_names, version="").items

    def text_population(self, name: str, texts: Sequence[str]) -> str:
        """Digest of a population of texts alone."""
        manifest = PoolManifest(
            name=name,
            kind="texts",
            seed=self.seed,
            version="1",
            items=(),
            queries=tuple(texts),
        )
        return self.populations.used(manifest)
