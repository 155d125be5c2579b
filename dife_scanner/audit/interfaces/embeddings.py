"""Text embeddings on their own: does a text trigger move the representation at all (paper, textual-encoder readout)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dife_scanner.audit.interfaces.cells import (
    Against,
    Details,
    Outcomes,
    cell,
    mean,
)
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import CAPTIONS
from dife_scanner.audit.sides import Embeddings, Pair
from dife_scanner.core import metrics
from dife_scanner.core.cards import (
    PROMPT_EMBEDDINGS,
    QUERY_EMBEDDINGS,
    Card,
)
from dife_scanner.records import Cell


@dataclass(frozen=True, eq=False)
class _Texts:
    """The same texts [n, d] with and without the trigger, and the target text that each is compared with."""

    triggered: Pair[Embeddings]
    clean: Pair[Embeddings]
    targets: Pair[Embeddings]
    units: Sequence[str]
    unit: str
    """What a unit is, as `Measure.unit`."""


@interface(PROMPT_EMBEDDINGS)
def prompts(card: Card, subject: Subject) -> Cell:
    """The source's prompt, one per template (the unit), against the target's prompt in the same template."""
    texts = _Texts(
        clean=subject.prompt_texts(subject.source_name),
        triggered=subject.prompt_texts(subject.source_name, triggered=True),
        targets=subject.prompt_texts(subject.condition.target),
        units=subject.prompts,
        unit="prompt",
    )
    written = [template.format(subject.source_name) for template in subject.prompts]
    population = subject.text_population("source prompts", written)
    return _moved(card, subject, texts, population)


@interface(QUERY_EMBEDDINGS)
def queries(card: Card, subject: Subject) -> Cell:
    """Natural captions of the source used as queries, against the mean of the clean target queries."""
    galleries = subject.gallery(CAPTIONS)
    pool = subject.populations.pool(CAPTIONS)
    count = len(pool.queries)
    texts = _Texts(
        clean=galleries.map(lambda gallery: gallery.queries()),
        triggered=galleries.map(lambda gallery: gallery.queries(subject.trigger)),
        targets=subject.target_texts().map(lambda rows: _repeated_mean(rows, count)),
        units=[query.unit for query in pool.queries],
        unit="drawing",
    )
    return _moved(card, subject, texts, subject.populations.used(pool.manifest))


def _moved(card: Card, subject: Subject, texts: _Texts, population: str) -> Cell:
    """Is the triggered text nearer to the target's than to itself untriggered?"""
    triggered, clean, targets = texts.triggered, texts.clean, texts.targets
    outcomes = Outcomes(
        triggered=_nearer_to_target(triggered.suspect, clean.suspect, targets.suspect),
        clean=_nearer_to_target(clean.suspect, clean.suspect, targets.suspect),
        clean_reference=_nearer_to_target(clean.reference, clean.reference, targets.reference),
        units=texts.units,
        triggered_reference=_nearer_to_target(triggered.reference, clean.reference, targets.reference),
        unit=texts.unit,
    )
    details = _distances(texts)
    return cell(
        card,
        subject,
        outcomes,
        Against.TRIGGERED_REFERENCE,
        population,
        details,
    )


def _distances(texts: _Texts) -> Details:
    """How far the trigger shifts texts, and how near it brings them to the target: mean cosine distances, 0..2."""
    triggered, clean = texts.triggered, texts.clean
    target = texts.targets.suspect
    shift = _distance(triggered.suspect, clean.suspect)
    reference_shift = _distance(triggered.reference, clean.reference)
    return {
        "mean_shift": shift,
        "reference_mean_shift": reference_shift,
        "delta_shift": shift - reference_shift,
        "distance_to_target": _distance(triggered.suspect, target),
        "clean_distance_to_target": _distance(clean.suspect, target),
        "clean_drift": _distance(clean.suspect, clean.reference),
    }


def _nearer_to_target(texts: Embeddings, own: Embeddings, target: Embeddings) -> metrics.Outcomes:
    """Whether each text is nearer to the target's than to its own clean one; 0.5 for a tie."""
    to_target = metrics.cosine_distance(texts, target)
    to_itself = metrics.cosine_distance(texts, own)
    # The smaller distance wins.
    return metrics.wins(-np.stack([to_target, to_itself], axis=1), 0)


def _distance(left: Embeddings, right: Embeddings) -> float:
    """Mean cosine distance, 0..2."""
    return mean(metrics.cosine_distance(left, right))


def _repeated_mean(texts: Embeddings, count: int) -> Embeddings:
    """The normalised mean of `texts`, once per case [count, d]."""
    middle = texts.mean(axis=0)
    unit = middle / np.linalg.norm(middle)
    return np.repeat(unit[None], count, axis=0)
