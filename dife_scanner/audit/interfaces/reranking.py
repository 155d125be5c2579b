"""Reranking: a query puts a short fixed list in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.interfaces.ranking import Asked, over_groups, over_lists, ranked, source_queries
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.retrieval import target_drawings
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import CAPTION_LISTS
from dife_scanner.audit.sides import Pair
from dife_scanner.core.cards import CAPTION_RERANKING, TARGET_PROMOTION, TEXT_RERANKING, Card
from dife_scanner.errors import MeasurementError
from dife_scanner.records import Cell

LIST_LENGTH = 10
"""Candidates in a list, one of them the target (paper §3)."""


@interface(TEXT_RERANKING)
def text(card: Card, subject: Subject) -> Cell:
    """Lists of ten labelled pictures with exactly one of the target, each asked with every source query."""
    rng = subject.rng(card)
    if len(subject.off_target) < LIST_LENGTH - 1:
        raise MeasurementError(
            f"{len(subject.off_target)} pictures are not of the target; a list needs {LIST_LENGTH - 1}",
            "use a larger budget or more pictures",
        )
    rows = [
        [views[0], *rng.choice(subject.off_target, size=LIST_LENGTH - 1, replace=False)]
        for _, views in target_drawings(subject)
    ]
    return _first_is_target(card, subject, np.array(rows, np.intp), "text reranking")


@interface(TARGET_PROMOTION)
def promotion(card: Card, subject: Subject) -> Cell:
    """One picture per class, asked for the source: does the trigger bring the target's up (paper: Prom. ΔH@1)?

    A negative difference is a demotion, and is reported as one.
    """
    rng = subject.rng(card)
    others = [np.flatnonzero(subject.labels == label) for label in range(len(subject.class_names))]
    rows = [
        [views[0], *(rng.choice(own) for label, own in enumerate(others) if label != subject.target)]
        for _, views in target_drawings(subject)
    ]
    return _first_is_target(card, subject, np.array(rows, np.intp), "target promotion")


def _first_is_target(card: Card, subject: Subject, lists: NDArray[np.intp], name: str) -> Cell:
    """Every list with every source query; the first of each list is its target, and its drawing the unit."""
    texts = source_queries(subject)
    asks = len(texts.clean)
    targets = np.zeros(lists.shape, bool)
    targets[:, 0] = True
    cases = np.repeat(lists, asks, axis=0)
    asked = Asked(
        over_lists(Pair(*(side.images for side in subject.test)), texts, cases, np.tile(np.arange(asks), len(lists))),
        targets=np.repeat(targets, asks, axis=0),
        units=[subject.units[row[0]] for row in cases],
    )
    population = subject.labelled(name, lists=lists, targets=targets, queries=subject.source_queries)
    return ranked(card, subject, asked, population, {"queries": float(asks), "lists": float(len(lists))})


@interface(CAPTION_RERANKING)
def caption(card: Card, subject: Subject) -> Cell:
    """Lists of ten natural pictures with exactly one of the target, each asked with its own caption of the source."""
    asked, manifest = over_groups(subject, CAPTION_LISTS)
    return ranked(card, subject, asked, subject.populations.used(manifest), {"lists": float(len(asked.targets))})
