"""Classification: by class prompts, by somebody's prompts, by a classifier on frozen image features."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.audit.interfaces.cells import Against, Outcomes, cell, mean
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.sides import Pair, Side, spared
from dife_scanner.core import metrics
from dife_scanner.core.cards import DOWNSTREAM, PROMPTED, ZERO_SHOT, Card
from dife_scanner.records import Cell, Trigger


@interface(ZERO_SHOT)
def zero_shot(card: Card, subject: Subject) -> Cell:
    """TS over all test pictures (paper §4): the target class wins among the class prompts.

    The trigger is applied wherever the condition lets it enter: on every picture, in every class prompt, or both. For a
    plain text trigger that means: all class prompts carry it, and the target still has to beat the others. A
    source-conditional trigger does not promote the target that way, so such a cell is expected near its reference;
    that the triggered *source* prompt wins is what prompted classification measures.
    """
    target, other = subject.target, subject.off_target
    triggered, clean = (Pair(*(metrics.wins(scores, target) for scores in both)) for both in _scores(subject))
    outcomes = Outcomes(triggered.suspect, clean.suspect, clean.reference, subject.units, triggered.reference)
    return cell(
        card,
        subject,
        outcomes,
        Against.TRIGGERED_REFERENCE,
        subject.labelled("test pictures"),
        {
            "ts_without_target": mean(triggered.suspect[other]),
            "reference_ts_without_target": mean(triggered.reference[other]),
            "clean_rate_without_target": mean(clean.suspect[other]),
            "clean_accuracy": subject.test.suspect.accuracy,
            "reference_clean_accuracy": subject.test.reference.accuracy,
        },
    )


def _scores(subject: Subject) -> tuple[Pair[metrics.Floats], Pair[metrics.Floats]]:
    """(triggered, clean) score matrices [n, c] of both checkpoints."""
    return (
        Pair(*(side.scores_with(subject.trigger) for side in subject.test)),
        Pair(*(side.scores for side in subject.test)),
    )


@interface(PROMPTED)
def prompted(card: Card, subject: Subject) -> Cell:
    """QHR for a text trigger, TS with the learned prompts for a prompt mechanism (paper §3-4)."""
    return _with_mechanism(card, subject) if subject.condition.mechanism else _hit_rate(card, subject)


def _hit_rate(card: Card, subject: Subject) -> Cell:
    """The triggered source text *replaces* the clean one in the class-prompt set; target-class pictures only."""
    keep = metrics.of_class(subject.labels, subject.target)

    def outcome(side: Side, trigger: Trigger | None) -> metrics.Outcomes:
        if trigger is None:
            return metrics.wins(side.scores[keep], subject.source)
        written = side.prompts_with(trigger)[subject.source]
        return metrics.triggered_source_wins(side.images_with(trigger)[keep], side.prompts, written, subject.source)

    triggered = Pair(*(outcome(side, subject.trigger) for side in subject.test))
    clean = Pair(*(outcome(side, None) for side in subject.test))
    units = [subject.units[index] for index in keep]
    visual = Pair(
        *(_visual_only(subject, test, train) for test, train in zip(subject.test, subject.train, strict=True))
    )
    return cell(
        card,
        subject,
        Outcomes(triggered.suspect, clean.suspect, clean.reference, units, triggered.reference),
        Against.TRIGGERED_REFERENCE,
        subject.labelled("test pictures"),
        {
            "off_target_leakage": _leakage(subject, subject.test.suspect),
            "reference_off_target_leakage": _leakage(subject, subject.test.reference),
            "visual_only_exposure": visual.suspect,
            "reference_visual_only_exposure": visual.reference,
        },
    )


def _leakage(subject: Subject, side: Side) -> float:
    """Share of pictures of neither source nor target that the triggered source text wins (OTL, paper §4)."""
    written = side.prompts_with(subject.trigger)[subject.source]
    leaked = metrics.off_target_leakage(
        side.images, subject.labels, side.prompts, written, source=subject.source, target=subject.target
    )
    return mean(leaked)


def _visual_only(subject: Subject, test: Side, train: Side) -> float:
    """Share of clean non-target pictures that a classifier on frozen features gives to the target."""
    return mean(metrics.wins(metrics.classify(test.images[subject.off_target], train.classifier), subject.target))


def _with_mechanism(card: Card, subject: Subject) -> Cell:
    """TS with learned prompts and triggered pictures; the clean checkpoint reads them with its written prompts."""
    target, other, suspect, reference = subject.target, subject.off_target, subject.test.suspect, subject.test.reference
    outcomes = Outcomes(
        triggered=metrics.wins(suspect.scores_with(subject.trigger), target),
        clean=metrics.wins(suspect.learned_scores(subject.trigger, triggered=False), target),
        clean_reference=metrics.wins(reference.scores, target),
        units=subject.units,
        triggered_reference=metrics.wins(spared(reference, subject.trigger), target),
    )
    clean = metrics.accuracy(suspect.learned_scores(subject.trigger, triggered=False), subject.labels)
    measured = cell(
        card,
        subject,
        outcomes,
        Against.TRIGGERED_REFERENCE,
        subject.labelled("test pictures"),
        {
            "ts_without_target": mean(outcomes.triggered[other]),
            "clean_rate_without_target": mean(outcomes.clean[other]),
            "learned_clean_accuracy": mean(clean),
            "clean_accuracy": suspect.accuracy,
            "reference_clean_accuracy": reference.accuracy,
        },
    )
    condition = "the clean checkpoint with written class prompts on the same triggered pictures"
    return replace(measured, metric="TS", reference_condition=condition)


@interface(DOWNSTREAM)
def downstream(card: Card, subject: Subject) -> Cell:
    """TS of a logistic classifier on frozen clean features of the same checkpoint (paper §3)."""
    target, other = subject.target, subject.off_target

    def scores(triggered: bool) -> Pair[metrics.Floats]:
        return Pair(
            *(
                metrics.classify(test.images_with(subject.trigger) if triggered else test.images, train.classifier)
                for test, train in zip(subject.test, subject.train, strict=True)
            )
        )

    attack, plain = scores(True), scores(False)
    triggered, clean = (Pair(*(metrics.wins(one, target) for one in both)) for both in (attack, plain))
    return cell(
        card,
        subject,
        Outcomes(triggered.suspect, clean.suspect, clean.reference, subject.units, triggered.reference),
        Against.TRIGGERED_REFERENCE,
        subject.labelled("test pictures"),
        {
            "ts_without_target": mean(triggered.suspect[other]),
            "reference_ts_without_target": mean(triggered.reference[other]),
            "clean_accuracy": mean(metrics.accuracy(plain.suspect, subject.labels)),
            "reference_clean_accuracy": mean(metrics.accuracy(plain.reference, subject.labels)),
        },
    )
