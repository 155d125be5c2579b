"""Text embeddings on their own: does a text trigger move the representation at all (paper, textual-encoder readout)?"""

from __future__ import annotations

import numpy as np

from dife_scanner.audit.interfaces.cells import Against, Outcomes, cell, mean
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import CAPTIONS
from dife_scanner.audit.sides import Embeddings, Pair
from dife_scanner.core import metrics
from dife_scanner.core.cards import PROMPT_EMBEDDINGS, QUERY_EMBEDDINGS, Card
from dife_scanner.records import Cell


@interface(PROMPT_EMBEDDINGS)
def prompts(card: Card, subject: Subject) -> Cell:
    """The source's prompt, one per template (the unit), against the target's prompt in the same template."""
    clean = subject.prompt_texts(subject.source_name)
    triggered = subject.prompt_texts(subject.source_name, triggered=True)
    targets = subject.prompt_texts(subject.condition.target)
    population = subject.asked_texts(
        "source prompts", [template.format(subject.source_name) for template in subject.prompts]
    )
    return _moved(card, subject, triggered, clean, targets, subject.prompts, population, unit="prompt")


@interface(QUERY_EMBEDDINGS)
def queries(card: Card, subject: Subject) -> Cell:
    """Natural captions of the source used as queries, against the mean of the clean target queries."""
    galleries, pool = subject.gallery(CAPTIONS), subject.populations.pool(CAPTIONS)
    clean = Pair(*(gallery.queries() for gallery in galleries))
    triggered = Pair(*(gallery.queries(subject.trigger) for gallery in galleries))
    targets = Pair(*(_centre(texts, len(pool.queries)) for texts in subject.target_texts()))
    units = [query.unit for query in pool.queries]
    return _moved(card, subject, triggered, clean, targets, units, subject.populations.used(pool.manifest))


def _moved(
    card: Card,
    subject: Subject,
    triggered: Pair[Embeddings],
    clean: Pair[Embeddings],
    targets: Pair[Embeddings],
    units: list[str] | tuple[str, ...],
    population: str,
    unit: str = "drawing",
) -> Cell:
    """Is the triggered text nearer to the target's than to itself untriggered? Shifts: mean cosine distance, 0..2."""

    def nearer(of: Embeddings, own: Embeddings, target: Embeddings) -> metrics.Outcomes:
        distances = np.stack([metrics.cosine_distance(of, target), metrics.cosine_distance(of, own)], axis=1)
        return metrics.wins(-distances, 0)

    shift = Pair(*(mean(metrics.cosine_distance(*both)) for both in zip(triggered, clean, strict=True)))
    outcomes = Outcomes(
        triggered=nearer(triggered.suspect, clean.suspect, targets.suspect),
        clean=nearer(clean.suspect, clean.suspect, targets.suspect),
        clean_reference=nearer(clean.reference, clean.reference, targets.reference),
        units=units,
        triggered_reference=nearer(triggered.reference, clean.reference, targets.reference),
        unit=unit,
    )
    details = {
        "mean_shift": shift.suspect,
        "reference_mean_shift": shift.reference,
        "delta_shift": shift.suspect - shift.reference,
        "distance_to_target": mean(metrics.cosine_distance(triggered.suspect, targets.suspect)),
        "clean_distance_to_target": mean(metrics.cosine_distance(clean.suspect, targets.suspect)),
        "clean_drift": mean(metrics.cosine_distance(clean.suspect, clean.reference)),
    }
    return cell(card, subject, outcomes, Against.TRIGGERED_REFERENCE, population, details)


def _centre(texts: Embeddings, count: int) -> Embeddings:
    """The normalised mean of `texts`, once per case."""
    middle = texts.mean(axis=0)
    return np.repeat((middle / np.linalg.norm(middle))[None], count, axis=0)
