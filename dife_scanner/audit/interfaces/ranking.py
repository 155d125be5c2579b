"""What every interface that puts pictures or texts in order shares: score matrices in, a cell out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.interfaces.cells import Against, Outcomes, cell, control, mean
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.sides import Embeddings, Pair
from dife_scanner.core import metrics
from dife_scanner.core.cards import Card
from dife_scanner.errors import MeasurementError
from dife_scanner.records import Cell, PoolManifest, SelectorControl


class Scores(NamedTuple):
    """Scores of the same texts or cases over the same candidates [n, m] in the three conditions a ranking needs."""

    triggered: metrics.Floats
    """The suspect, asked with the trigger."""
    clean: metrics.Floats
    """The suspect, asked without it."""
    clean_reference: metrics.Floats


@dataclass(frozen=True, eq=False)
class Asked:
    """n cases of one query over m candidates each, with their targets."""

    scores: Scores
    targets: NDArray[np.bool_]
    """[n, m]."""
    units: Sequence[str]
    present: NDArray[np.bool_] | None = None
    """[n, m]: False where a list is shorter than the longest."""
    unit: str = "drawing"
    """What a unit is: `prompt` where single prompts ask."""

    def hits(self, k: int) -> Outcomes:
        """H@k of every case."""
        return self._outcomes(lambda scores: metrics.hit_at(scores, self.targets, k, self.present))

    def ranks(self) -> Outcomes:
        """1/r of every case."""
        return self._outcomes(lambda scores: metrics.reciprocal_rank(scores, self.targets, self.present))

    def selections(self) -> Outcomes:
        """Sel@1 of every case."""
        return self._outcomes(lambda scores: metrics.selected(scores, self.targets, self.present))

    def _outcomes(self, of: Callable[[metrics.Floats], metrics.Outcomes]) -> Outcomes:
        triggered, clean, clean_reference = (of(scores) for scores in self.scores)
        return Outcomes(triggered, clean, clean_reference, self.units, unit=self.unit)


def ranked(
    card: Card, subject: Subject, asked: Asked, population: str, details: Mapping[str, float] | None = None
) -> Cell:
    """H@1 against the clean query on the same pool, with H@5 and MRR as details."""
    first, fifth, ranks = asked.hits(1), asked.hits(5), asked.ranks()
    more = {
        "h5": mean(fifth.triggered),
        "delta_h5": mean(fifth.triggered) - mean(fifth.clean),
        "mrr": mean(ranks.triggered),
        "delta_mrr": mean(ranks.triggered) - mean(ranks.clean),
        "candidates": _candidates(asked),
    }
    return cell(card, subject, first, Against.CLEAN, population, more | dict(details or {}))


def selected(card: Card, subject: Subject, asked: Asked, population: str) -> Cell | SelectorControl:
    """Sel@1 against the clean checkpoint's clean selector; a selector control where no trigger enters the query."""
    chosen, ranks = asked.selections(), asked.ranks()
    if not subject.asks_with_trigger:
        return control(
            card,
            subject,
            chosen,
            "no text trigger enters this query: suspect and clean checkpoint select with the same clean query",
        )
    more = {
        "mrr": mean(ranks.triggered),
        "delta_mrr": mean(ranks.triggered) - mean(ranks.clean_reference),
        "candidates": _candidates(asked),
    }
    return cell(card, subject, chosen, Against.CLEAN_REFERENCE, population, more)


def over_pool(images: Pair[Embeddings], texts: Triple) -> Scores:
    """Scores [n, m] of n texts over all m pictures."""
    return Scores(
        metrics.cosines(texts.triggered, images.suspect),
        metrics.cosines(texts.clean, images.suspect),
        metrics.cosines(texts.clean_reference, images.reference),
    )


def over_lists(
    images: Pair[Embeddings], texts: Triple, lists: NDArray[np.integer], asked: NDArray[np.integer]
) -> Scores:
    """Scores [n, k] of the texts `asked[i]`, each over the pictures `lists[i]`."""
    return Scores(*(np.take_along_axis(scores[asked], lists, axis=1) for scores in over_pool(images, texts)))


def over_groups(subject: Subject, kind: str) -> tuple[Asked, PoolManifest]:
    """The pool's lists or groups of pictures, each asked with its own query. `MeasurementError` where it has none."""
    galleries, pool = subject.gallery(kind), subject.populations.pool(kind)
    if pool.lists is None or pool.targets is None:
        raise MeasurementError("the pool has no lists or groups", f"draw it as {kind}")
    images, asks = Pair(*(gallery.images for gallery in galleries)), np.arange(len(pool.lists))
    scores = over_lists(images, pool_queries(subject, kind), pool.lists, asks)
    return Asked(scores, pool.targets, [query.unit for query in pool.queries]), pool.manifest


@dataclass(frozen=True, eq=False)
class Triple:
    """Texts [q, d] in the three conditions a ranking needs."""

    triggered: Embeddings
    clean: Embeddings
    clean_reference: Embeddings


def source_queries(subject: Subject) -> Triple:
    """The query templates [t, d] with the source's name."""
    clean = subject.source_texts()
    triggered = subject.source_texts(triggered=True).suspect if subject.asks_with_trigger else clean.suspect
    return Triple(triggered, clean.suspect, clean.reference)


def pool_queries(subject: Subject, kind: str) -> Triple:
    """The pool's own queries [q, d]."""
    galleries = subject.gallery(kind)
    clean = Pair(*(gallery.queries() for gallery in galleries))
    triggered = galleries.suspect.queries(subject.trigger) if subject.asks_with_trigger else clean.suspect
    return Triple(triggered, clean.suspect, clean.reference)


def _candidates(asked: Asked) -> float:
    return float(asked.targets.shape[1] if asked.present is None else asked.present.sum(axis=1).mean())
