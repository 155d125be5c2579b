"""The exposure profile: one numeric cell or one N.E. record per interface card, for a trigger with a fixed target.

Measured on test drawings only, after the diagnosis is frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dife_scanner.audit.sides import Side, readout
from dife_scanner.core import metrics
from dife_scanner.core.cards import (
    CARDS,
    DOWNSTREAM,
    PROMPTED,
    TARGETED_RETRIEVAL,
    TEXT_RERANKING,
    ZERO_SHOT,
    Card,
)
from dife_scanner.core.statistics import entry_type, measure, paired_interval
from dife_scanner.core.validity import judge
from dife_scanner.records import Cell, Channel, Condition, Entry, NotRun, Trigger

LIST_LENGTH = 10
"""Candidates in a reranking list, one of them the target (paper §3)."""


@dataclass(frozen=True)
class Subject:
    """What a profile is measured on. `train_*` only fit the downstream classifiers; `queries_*` ask one by one."""

    trigger: Trigger
    suspect: Side
    reference: Side
    train_suspect: Side
    train_reference: Side
    queries_suspect: Side
    queries_reference: Side
    seed: int

    @property
    def target(self) -> int:
        return self.suspect.class_names.index(self.trigger.target)

    @cached_property
    def off_target(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.flatnonzero(self.suspect.split.labels != self.target)

    def rng(self, card: Card) -> np.random.Generator:
        """One stream per interface, so that adding a card changes no other cell."""
        return np.random.default_rng([self.seed, *card.interface.encode()])


def exposure_profile(subject: Subject, condition: Condition) -> tuple[Entry, ...]:
    """Every card's line: N.E. where the question is not well formed, a cell where it was measured, else *not run*."""
    return tuple(judge(card, condition) or _measured(card, subject) for card in CARDS)


def _measured(card: Card, subject: Subject) -> Cell | NotRun:
    if card not in _MEASURES or (card is ZERO_SHOT and subject.trigger.channel is Channel.TEXT):
        return NotRun(card.interface, "this audit did not ask")
    return _MEASURES[card](card, subject)


def _zero_shot(card: Card, subject: Subject) -> Cell:
    attack, drawings = readout(subject.suspect, subject.suspect, subject.trigger, with_target=True)
    reference, _ = readout(subject.reference, subject.reference, subject.trigger, with_target=True)
    other = subject.off_target
    return _cell(
        card,
        subject,
        attack,
        reference,
        drawings,
        {
            "ts_without_target": float(attack[other].mean()),
            "reference_ts_without_target": float(reference[other].mean()),
            "clean_rate_without_target": float(metrics.wins(subject.suspect.scores[other], subject.target).mean()),
        },
    )


def _prompted(card: Card, subject: Subject) -> Cell:
    attack, drawings = readout(subject.suspect, subject.suspect, subject.trigger, with_target=True)
    reference, _ = readout(subject.reference, subject.reference, subject.trigger, with_target=True)
    return _cell(
        card,
        subject,
        attack,
        reference,
        drawings,
        {
            "off_target_leakage": _leakage(subject.suspect, subject.trigger),
            "reference_off_target_leakage": _leakage(subject.reference, subject.trigger),
            "visual_only_exposure": _visual_only(subject.suspect, subject.train_suspect, subject.target),
            "reference_visual_only_exposure": _visual_only(subject.reference, subject.train_reference, subject.target),
        },
    )


def _leakage(side: Side, trigger: Trigger) -> float:
    """Share of images of neither source nor target that the triggered source text wins (OTL, paper §4)."""
    source, target = side.class_names.index(trigger.source), side.class_names.index(trigger.target)
    keep = (side.split.labels != source) & (side.split.labels != target)
    written = side.prompts_with(trigger)[source]
    return float(metrics.triggered_source_wins(side.images[keep], side.prompts, written, source).mean())


def _visual_only(test: Side, train: Side, target: int) -> float:
    """Share of clean non-target images that a classifier on frozen features gives to the target."""
    weights = metrics.logistic_readout(train.images, train.split.labels, len(train.class_names))
    keep = test.split.labels != target
    return float(metrics.wins(metrics.classify(test.images[keep], weights), target).mean())


def _downstream(card: Card, subject: Subject) -> Cell:
    def outcomes(test: Side, train: Side) -> tuple[metrics.Floats, float]:
        weights = metrics.logistic_readout(train.images, train.split.labels, len(train.class_names))
        clean = metrics.accuracy(metrics.classify(test.images, weights), test.split.labels).mean()
        return metrics.wins(metrics.classify(test.images_with(subject.trigger), weights), subject.target), float(clean)

    attack, clean = outcomes(subject.suspect, subject.train_suspect)
    reference, reference_clean = outcomes(subject.reference, subject.train_reference)
    other = subject.off_target
    return _cell(
        card,
        subject,
        attack,
        reference,
        list(subject.suspect.split.drawings),
        {
            "ts_without_target": float(attack[other].mean()),
            "reference_ts_without_target": float(reference[other].mean()),
            "clean_accuracy": clean,
            "reference_clean_accuracy": reference_clean,
        },
    )


def _targeted_retrieval(card: Card, subject: Subject) -> Cell:
    pools = [(views, subject.off_target) for _, views in _target_drawings(subject)]
    return _ranked(card, subject, pools, k=1)


def _text_reranking(card: Card, subject: Subject) -> Cell:
    rng = subject.rng(card)
    lists = []
    for _, views in _target_drawings(subject):
        others = rng.choice(subject.off_target, size=LIST_LENGTH - 1, replace=False)
        lists.append((views[:1], others))
    return _ranked(card, subject, lists, k=1)


def _target_drawings(subject: Subject) -> list[tuple[str, list[int]]]:
    """(drawing, its picture indices) for each target-class drawing of the test split, sorted."""
    found: dict[str, list[int]] = {}
    for index in np.flatnonzero(subject.suspect.split.labels == subject.target):
        found.setdefault(subject.suspect.split.drawings[index], []).append(int(index))
    return sorted(found.items())


Pool = tuple[list[int], np.ndarray[tuple[int, ...], np.dtype[np.int64]]]


def _ranked(card: Card, subject: Subject, pools: list[Pool], k: int) -> Cell:
    """H@K over (pool, query) cases: triggered against clean query in the suspect, drift against the reference."""
    source = subject.trigger.source
    drawings = [name for name, _ in _target_drawings(subject)]
    asked = subject.queries_suspect
    clean_text, attack_text = asked.texts_for(source), asked.texts_for(source, subject.trigger)
    reference_text = subject.queries_reference.texts_for(source)
    case_drawings = [name for name in drawings for _ in asked.templates]

    def cases(images: Side, texts: metrics.Floats, score: Callable[..., metrics.Floats]) -> metrics.Floats:
        return np.concatenate([_score(images, pool, texts, score) for pool in pools])

    def hits(scores: metrics.Floats, targets: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> metrics.Floats:
        return metrics.hit_at(scores, targets, k)

    attack = cases(subject.suspect, attack_text, hits)
    clean = cases(subject.suspect, clean_text, hits)
    drift = clean - cases(subject.reference, reference_text, hits)
    mrr = cases(subject.suspect, attack_text, metrics.reciprocal_rank)
    clean_mrr = cases(subject.suspect, clean_text, metrics.reciprocal_rank)
    return _cell(
        card,
        subject,
        attack,
        clean,
        case_drawings,
        {
            "mrr": float(mrr.mean()),
            "delta_mrr": float((mrr - clean_mrr).mean()),
            "delta_drift": float(drift.mean()),
            "headroom": float(1 - clean.mean()),
            "queries": float(len(asked.templates)),
            "pool": float(np.mean([len(targets) + len(others) for targets, others in pools])),
        },
    )


def _score(images: Side, pool: Pool, texts: metrics.Floats, score: Callable[..., metrics.Floats]) -> metrics.Floats:
    targets, others = pool
    order = np.concatenate([np.asarray(targets), others])
    scores = metrics.cosines(texts, images.images[order])
    return score(scores, np.broadcast_to(np.arange(len(order)) < len(targets), scores.shape))


def _cell(
    card: Card,
    subject: Subject,
    attack: metrics.Floats,
    reference: metrics.Floats,
    drawings: list[str],
    details: dict[str, float],
) -> Cell:
    interval = paired_interval(attack, reference, drawings, subject.rng(card))
    measured = measure(attack, drawings)
    return Cell(
        interface=card.interface,
        metric=card.metric,
        attack=measured,
        reference=measure(reference, drawings),
        reference_condition=card.reference,
        delta=float(np.mean(attack) - np.mean(reference)),
        delta_interval=interval,
        entry=entry_type(interval, measured.drawings),
        details=details,
    )


_MEASURES: dict[Card, Callable[[Card, Subject], Cell]] = {
    ZERO_SHOT: _zero_shot,
    PROMPTED: _prompted,
    TARGETED_RETRIEVAL: _targeted_retrieval,
    TEXT_RERANKING: _text_reranking,
    DOWNSTREAM: _downstream,
}
