"""Reranking: a query puts a short fixed list in order."""

from __future__ import annotations

import numpy as np

from dife_scanner.audit.interfaces.ranking import (
    over_groups,
    over_test_lists,
    ranked,
    target_first,
)
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.retrieval import target_drawings
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import CAPTION_LISTS
from dife_scanner.core.cards import (
    CAPTION_RERANKING,
    TARGET_PROMOTION,
    TEXT_RERANKING,
    Card,
)
from dife_scanner.core.metrics import Indices
from dife_scanner.errors import MeasurementError
from dife_scanner.records import Cell

LIST_LENGTH = 10
"""Candidates in a list, one of them the target (paper §3)."""


@interface(TEXT_RERANKING)
def text(card: Card, subject: Subject) -> Cell:
    """Lists of ten labelled pictures with exactly one of the target, each with every source query."""
    rng = subject.rng(card)
    others = LIST_LENGTH - 1
    if len(subject.off_target) < others:
        raise MeasurementError(
            f"{len(subject.off_target)} pictures are not of the target; a list needs {others}",
            "use a larger budget or more pictures",
        )
    rows = []
    for _, views in target_drawings(subject):
        # One view of each drawing: a second one would be a second target.
        rivals = rng.choice(subject.off_target, size=others, replace=False)
        rows.append([views[0], *rivals])
    return _first_is_target(card, subject, np.array(rows, np.intp), "text reranking")


@interface(TARGET_PROMOTION)
def promotion(card: Card, subject: Subject) -> Cell:
    """One picture per class and a source query: does the trigger bring the target's up (paper: Prom. ΔH@1)?

    A negative difference is a demotion, and is reported as one.
    """
    rng = subject.rng(card)
    other_classes = []
    for label in range(len(subject.class_names)):
        if label != subject.target:
            other_classes.append(np.flatnonzero(subject.labels == label))
    rows = []
    for _, views in target_drawings(subject):
        rows.append([views[0], *map(rng.choice, other_classes)])
    return _first_is_target(card, subject, np.array(rows, np.intp), "target promotion")


def _first_is_target(card: Card, subject: Subject, lists: Indices, name: str) -> Cell:
    """The cell of lists [g, k] whose first picture is the target."""
    targets = target_first(lists)
    cases = over_test_lists(subject, lists, targets)
    population = subject.labelled(
        name,
        lists=lists,
        targets=targets,
        queries=subject.source_queries,
    )
    details = {
        "queries": float(len(subject.source_queries)),
        "lists": float(len(lists)),
    }
    return ranked(card, subject, cases, population, details)


@interface(CAPTION_RERANKING)
def caption(card: Card, subject: Subject) -> Cell:
    """Lists of ten natural pictures with exactly one of the target, each with its own caption of the source."""
    cases, manifest = over_groups(subject, CAPTION_LISTS)
    population = subject.populations.used(manifest)
    return ranked(
        card,
        subject,
        cases,
        population,
        {"lists": float(len(cases.targets))},
    )
