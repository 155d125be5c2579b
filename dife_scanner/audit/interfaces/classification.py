"""Classification: by class prompts, by somebody's prompts, by a classifier on frozen image features."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.audit.interfaces.cells import (
    Against,
    Details,
    Outcomes,
    cell,
    mean,
)
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.sides import Embeddings, Pair, Side, spared
from dife_scanner.core import metrics
from dife_scanner.core.cards import DOWNSTREAM, PROMPTED, ZERO_SHOT, Card
from dife_scanner.core.metrics import Floats, Indices
from dife_scanner.records import Cell

TEST_PICTURES = "test pictures"


@interface(ZERO_SHOT)
def zero_shot(card: Card, subject: Subject) -> Cell:
    """TS over all test pictures (paper §4): the target class wins among the class prompts.

    The trigger is applied wherever the condition lets it enter: on every picture, in every class prompt, or both. For a
    plain text trigger that means: all class prompts carry it, and the target still has to beat the others. A
    source-conditional trigger does not promote the target that way, so such a cell is expected near its reference;
    that the triggered *source* prompt wins is what prompted classification measures.
    """
    triggered = subject.test.map(lambda side: side.scores_with(subject.trigger))
    clean = subject.test.map(lambda side: side.scores)
    outcomes = _target_wins(subject, triggered, clean)
    details = {
        **_triggered_without_target(subject, outcomes),
        "clean_rate_without_target": mean(outcomes.clean[subject.off_target]),
        "clean_accuracy": subject.test.suspect.accuracy,
        "reference_clean_accuracy": subject.test.reference.accuracy,
    }
    return _on_test_pictures(card, subject, outcomes, details)


@interface(PROMPTED)
def prompted(card: Card, subject: Subject) -> Cell:
    """QHR for a text trigger, TS with the learned prompts for a prompt mechanism (paper §3-4)."""
    if subject.condition.mechanism:
        return _with_mechanism(card, subject)
    return _hit_rate(card, subject)


def _hit_rate(card: Card, subject: Subject) -> Cell:
    """QHR: the triggered source text *replaces* the clean one in the class-prompt set; target-class pictures only."""
    # The question is whether the source's text wins pictures of the target (paper §4).
    keep = metrics.of_class(subject.labels, subject.target)
    triggered = subject.test.map(lambda side: _triggered_source_wins(subject, side, keep))
    clean = subject.test.map(lambda side: metrics.wins(side.scores[keep], subject.source))
    outcomes = Outcomes(
        triggered=triggered.suspect,
        clean=clean.suspect,
        clean_reference=clean.reference,
        units=[subject.units[index] for index in keep],
        triggered_reference=triggered.reference,
    )
    return _on_test_pictures(card, subject, outcomes, _hit_rate_details(subject))


def _hit_rate_details(subject: Subject) -> Details:
    """Off-target leakage and visual-only exposure of both checkpoints."""
    test, train = subject.test, subject.train
    return {
        "off_target_leakage": _leakage(subject, test.suspect),
        "reference_off_target_leakage": _leakage(subject, test.reference),
        "visual_only_exposure": _visual_only(subject, test.suspect, train.suspect),
        "reference_visual_only_exposure": _visual_only(subject, test.reference, train.reference),
    }


def _triggered_source_wins(subject: Subject, side: Side, keep: Indices) -> metrics.Outcomes:
    """Whether the triggered source text wins among the class prompts, for each picture in `keep`."""
    written = side.prompts_with(subject.trigger)[subject.source]
    images = side.images_with(subject.trigger)[keep]
    return metrics.triggered_source_wins(images, side.prompts, written, subject.source)


def _leakage(subject: Subject, side: Side) -> float:
    """Share of pictures of neither source nor target that the triggered source text wins (OTL, paper §4)."""
    leaked = metrics.off_target_leakage(
        side.images,
        subject.labels,
        side.prompts,
        side.prompts_with(subject.trigger)[subject.source],
        source=subject.source,
        target=subject.target,
    )
    return mean(leaked)


def _visual_only(subject: Subject, test: Side, train: Side) -> float:
    """Share of clean non-target pictures that a classifier on frozen features gives to the target."""
    scores = metrics.classify(test.images[subject.off_target], train.classifier)
    return mean(metrics.wins(scores, subject.target))


def _with_mechanism(card: Card, subject: Subject) -> Cell:
    """TS with learned prompts and triggered pictures; the clean checkpoint reads them with its written prompts."""
    suspect, reference = subject.test
    learned = suspect.learned_scores(subject.trigger, triggered=False)
    outcomes = _target_wins(
        subject,
        triggered=Pair(
            suspect.scores_with(subject.trigger),
            spared(reference, subject.trigger),
        ),
        clean=Pair(learned, reference.scores),
    )
    details = {
        "ts_without_target": mean(outcomes.triggered[subject.off_target]),
        "clean_rate_without_target": mean(outcomes.clean[subject.off_target]),
        "learned_clean_accuracy": mean(metrics.accuracy(learned, subject.labels)),
        "clean_accuracy": suspect.accuracy,
        "reference_clean_accuracy": reference.accuracy,
    }
    measured = _on_test_pictures(card, subject, outcomes, details)
    condition = "the clean checkpoint with written class prompts on the same triggered pictures"
    return replace(measured, metric="TS", reference_condition=condition)


@interface(DOWNSTREAM)
def downstream(card: Card, subject: Subject) -> Cell:
    """TS of a logistic classifier on frozen clean features of the same checkpoint (paper §3)."""
    triggered = _classified(
        subject,
        subject.test.map(lambda side: side.images_with(subject.trigger)),
    )
    clean = _classified(subject, subject.test_images)
    outcomes = _target_wins(subject, triggered, clean)
    details = {
        **_triggered_without_target(subject, outcomes),
        "clean_accuracy": mean(metrics.accuracy(clean.suspect, subject.labels)),
        "reference_clean_accuracy": mean(metrics.accuracy(clean.reference, subject.labels)),
    }
    return _on_test_pictures(card, subject, outcomes, details)


def _classified(subject: Subject, images: Pair[Embeddings]) -> Pair[Floats]:
    """Scores [n, c] of each checkpoint's embeddings by the classifier on its own clean features."""
    # Fitted on train pictures, which are measured nowhere.
    classifiers = subject.train.map(lambda side: side.classifier)
    return Pair(
        metrics.classify(images.suspect, classifiers.suspect),
        metrics.classify(images.reference, classifiers.reference),
    )


def _target_wins(subject: Subject, triggered: Pair[Floats], clean: Pair[Floats]) -> Outcomes:
    """TS outcomes from score matrices [n, c] of both checkpoints."""

    def wins(scores: Floats) -> metrics.Outcomes:
        return metrics.wins(scores, subject.target)

    return Outcomes(
        triggered=wins(triggered.suspect),
        clean=wins(clean.suspect),
        clean_reference=wins(clean.reference),
        units=subject.units,
        triggered_reference=wins(triggered.reference),
    )


def _triggered_without_target(subject: Subject, outcomes: Outcomes) -> Details:
    """TS of both checkpoints without the target's own pictures, which win anyway."""
    reference = outcomes.reference(Against.TRIGGERED_REFERENCE)
    return {
        "ts_without_target": mean(outcomes.triggered[subject.off_target]),
        "reference_ts_without_target": mean(reference[subject.off_target]),
    }


def _on_test_pictures(card: Card, subject: Subject, outcomes: Outcomes, details: Details) -> Cell:
    """The cell against the clean checkpoint under the same trigger."""
    population = subject.labelled(TEST_PICTURES)
    return cell(
        card,
        subject,
        outcomes,
        Against.TRIGGERED_REFERENCE,
        population,
        details,
    )
