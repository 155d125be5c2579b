"""What every interface that puts pictures or texts in order shares: score matrices in, a cell out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.interfaces.cells import (
    Against,
    Details,
    Outcomes,
    cell,
    control,
    mean,
)
from dife_scanner.audit.interfaces.rankings import NameCase, Named
from dife_scanner.audit.interfaces.subject import Gallery, Subject
from dife_scanner.audit.populations import Pool
from dife_scanner.audit.sides import Embeddings, Pair
from dife_scanner.core import metrics
from dife_scanner.core.cards import Card
from dife_scanner.core.metrics import Bools, Floats, Indices
from dife_scanner.errors import MeasurementError
from dife_scanner.records import Cell, PoolManifest, SelectorControl


class Scores(NamedTuple):
    """Scores of the same cases over the same candidates [n, m] in the three conditions a ranking needs."""

    triggered: Floats
    """The suspect, with the trigger."""
    clean: Floats
    """The suspect, without it."""
    clean_reference: Floats


@dataclass(frozen=True, eq=False)
class QueryTexts:
    """Queries [q, d] in the three conditions a ranking needs."""

    triggered: Embeddings
    clean: Embeddings
    clean_reference: Embeddings


@dataclass(frozen=True, eq=False)
class RankingCases:
    """n cases of one query over m candidates each, with their targets."""

    scores: Scores
    targets: Bools
    """[n, m]."""
    units: Sequence[str]
    present: Bools | None = None
    """[n, m]: False where a list is shorter than the longest."""
    unit: str = "drawing"
    """What a unit is: `prompt` where single prompts are the queries."""
    name: NameCase | None = None
    """A case in words; `None` where it has none."""

    def hits(self, k: int) -> Outcomes:
        """H@k of every case."""
        return self._outcomes(lambda scores: metrics.hit_at(scores, self.targets, k, self.present))

    def ranks(self) -> Outcomes:
        """1/r of every case."""
        return self._outcomes(
            lambda scores: metrics.reciprocal_rank(scores, self.targets, self.present)
        )

    def selections(self) -> Outcomes:
        """Sel@1 of every case."""
        return self._outcomes(lambda scores: metrics.selected(scores, self.targets, self.present))

    @property
    def candidates(self) -> float:
        """Mean number of candidates of a case."""
        # Every list is as long as the longest.
        if self.present is None:
            return float(self.targets.shape[1])
        return float(self.present.sum(axis=1).mean())

    def _outcomes(self, measured: Callable[[Floats], metrics.Outcomes]) -> Outcomes:
        return Outcomes(
            triggered=measured(self.scores.triggered),
            clean=measured(self.scores.clean),
            clean_reference=measured(self.scores.clean_reference),
            units=self.units,
            unit=self.unit,
        )


# --- cells ----------------------------------------------------------------------------------------------------


def ranked(
    card: Card,
    subject: Subject,
    cases: RankingCases,
    population: str,
    details: Details | None = None,
) -> Cell:
    """H@1 against the clean query on the same pool, with H@5 and MRR as details; H@K of a deployment with another K."""
    fifth = cases.hits(5)
    _keep_first(card, subject, cases)
    every = {
        "h5": mean(fifth.triggered),
        "delta_h5": mean(fifth.triggered) - mean(fifth.clean),
        **mean_reciprocal_rank(cases),
        "candidates": cases.candidates,
        **(details or {}),
    }
    return at_k(card, subject, cases, population, every)


def at_k(
    card: Card, subject: Subject, cases: RankingCases, population: str, details: Details
) -> Cell:
    """H@K of the cases against the clean query; the card's own K is 1."""
    k = subject.use.k
    found = cell(card, subject, cases.hits(k), Against.CLEAN, population, details)
    return found if k == 1 else replace(found, metric=card.metric.replace("@1", f"@{k}"))


def mean_reciprocal_rank(cases: RankingCases) -> Details:
    """MRR with the trigger, and its difference from the clean query's on the same checkpoint."""
    ranks = cases.ranks()
    triggered = mean(ranks.triggered)
    return {
        "mrr": triggered,
        "delta_mrr": triggered - mean(ranks.clean),
    }


def selected(
    card: Card, subject: Subject, cases: RankingCases, population: str
) -> Cell | SelectorControl:
    """Sel@1 against the clean checkpoint's clean selector; a selector control where no trigger enters the query."""
    chosen = cases.selections()
    ranks = cases.ranks()
    if not subject.triggers_queries:
        reason = "no text trigger enters this query: suspect and clean checkpoint select with the same clean query"
        return control(card, subject, chosen, reason)
    _keep_first(card, subject, cases)
    details = {
        "mrr": mean(ranks.triggered),
        "delta_mrr": mean(ranks.triggered) - mean(ranks.clean_reference),
        "candidates": cases.candidates,
    }
    return cell(card, subject, chosen, Against.CLEAN_REFERENCE, population, details)


def _keep_first(card: Card, subject: Subject, cases: RankingCases) -> None:
    """What stood first for a typical query, for people to see."""
    if cases.name is None:
        return
    scores = cases.scores
    subject.rankings.keep(
        card.interface, scores.triggered, scores.clean, cases.targets, cases.present, cases.name
    )


# --- scores ---------------------------------------------------------------------------------------------------


def over_pool(images: Pair[Embeddings], queries: QueryTexts) -> Scores:
    """Scores [q, m] of every query over all m pictures."""
    return Scores(
        metrics.cosines(queries.triggered, images.suspect),
        metrics.cosines(queries.clean, images.suspect),
        metrics.cosines(queries.clean_reference, images.reference),
    )


def over_lists(
    images: Pair[Embeddings],
    queries: QueryTexts,
    lists: NDArray[np.integer],
    numbers: NDArray[np.integer],
) -> Scores:
    """Scores [n, k]: query `numbers[i]` over the pictures `lists[i]`."""
    whole = over_pool(images, queries)
    return Scores(
        np.take_along_axis(whole.triggered[numbers], lists, axis=1),
        np.take_along_axis(whole.clean[numbers], lists, axis=1),
        np.take_along_axis(whole.clean_reference[numbers], lists, axis=1),
    )


# --- cases ----------------------------------------------------------------------------------------------------


def over_groups(subject: Subject, kind: str) -> tuple[RankingCases, PoolManifest]:
    """The pool's lists or groups of pictures, each with its own query. `MeasurementError` where it has none."""
    galleries = subject.gallery(kind)
    pool = subject.populations.pool(kind)
    if pool.lists is None or pool.targets is None:
        raise MeasurementError("the pool has no lists or groups", f"draw it as {kind}")
    images = galleries.map(lambda gallery: gallery.images)
    # Query i ranks list i.
    own_query = np.arange(len(pool.lists))
    cases = RankingCases(
        scores=over_lists(images, pool_queries(subject, galleries), pool.lists, own_query),
        targets=pool.targets,
        units=pool.query_units,
        name=naming_lists(subject, pool),
    )
    return cases, pool.manifest


def over_prompts(
    subject: Subject, images: Pair[Embeddings], targets: Bools, names: Sequence[str]
) -> RankingCases:
    """Single prompts of the source over all pictures [m, d], of which `targets` [m] are; the template is the unit.

    `names` [m] say what the pictures are.
    """
    texts = tuple(prompt.format(subject.source_name) for prompt in subject.prompts)
    written = subject.written(texts, subject.source_name)
    queries = source_prompts(subject)
    return RankingCases(
        scores=over_pool(images, queries),
        targets=np.repeat(targets[None], len(queries.clean), axis=0),
        units=list(subject.prompts),
        unit="prompt",
        name=lambda case: Named(texts[case], written[case], names),
    )


def naming_lists(subject: Subject, pool: Pool) -> NameCase:
    """Names the cases of a pool: query i ranks its list i, or all pictures where it has no lists."""
    pictures = pool.captions or pool.units

    def name(case: int) -> Named:
        query = pool.queries[case]
        (written,) = subject.written((query.text,), query.word or query.class_name)
        if pool.lists is None:
            return Named(query.text, written, pictures)
        return Named(query.text, written, [pictures[at] for at in pool.lists[case]])

    return name


def over_test_lists(subject: Subject, lists: Indices, targets: Bools) -> RankingCases:
    """Every list of test pictures [g, k] with every source query; the drawing of a list's first picture is the unit."""
    queries = source_queries(subject)
    count = len(queries.clean)
    # Case i * count + j is list i with query j.
    repeated = np.repeat(lists, count, axis=0)
    numbers = np.tile(np.arange(count), len(lists))
    texts = subject.source_queries
    written = subject.written(texts, subject.source_name)
    pictures = subject.picture_names

    def name(case: int) -> Named:
        query = numbers[case]
        return Named(texts[query], written[query], [pictures[at] for at in repeated[case]])

    return RankingCases(
        scores=over_lists(subject.test_images, queries, repeated, numbers),
        targets=np.repeat(targets, count, axis=0),
        units=[subject.units[row[0]] for row in repeated],
        name=name,
    )


def target_first(lists: Indices) -> Bools:
    """[g, k]: the first of each list is its only target."""
    targets = np.zeros(lists.shape, bool)
    targets[:, 0] = True
    return targets


# --- queries --------------------------------------------------------------------------------------------------


def source_queries(subject: Subject) -> QueryTexts:
    """The query templates [t, d] with the source's name."""
    clean = subject.source_texts()
    if not subject.triggers_queries:
        return _query_texts(clean, clean)
    return _query_texts(subject.source_texts(triggered=True), clean)


def source_prompts(subject: Subject) -> QueryTexts:
    """Single prompts of the source [t, d], one per template, as queries of a text trigger."""
    clean = subject.prompt_texts(subject.source_name)
    triggered = subject.prompt_texts(subject.source_name, triggered=True)
    return _query_texts(triggered, clean)


def _query_texts(triggered: Pair[Embeddings], clean: Pair[Embeddings]) -> QueryTexts:
    return QueryTexts(triggered.suspect, clean.suspect, clean.reference)


def pool_queries(subject: Subject, galleries: Pair[Gallery]) -> QueryTexts:
    """The pool's own queries [q, d]."""
    clean = galleries.map(lambda gallery: gallery.queries())
    triggered = clean.suspect
    if subject.triggers_queries:
        triggered = galleries.suspect.queries(subject.trigger)
    return QueryTexts(triggered, clean.suspect, clean.reference)
