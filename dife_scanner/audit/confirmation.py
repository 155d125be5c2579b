"""A candidate of a search, measured where nothing was searched: on held-out drawings, and among all concepts."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.audit import (
    among_concepts,
    faults,
    hypotheses,
    picture_space,
    recovery,
    text_space,
)
from dife_scanner.audit.sides import Pair, Side, readout, reads_hit_rate
from dife_scanner.audit.stages import Splits
from dife_scanner.core import metrics
from dife_scanner.discovery import Candidate
from dife_scanner.records import Channel, Hypothesis, Origin, Trigger


def tested(candidate: Candidate, splits: Splits, seed: int, gaps: faults.Gaps) -> Hypothesis:
    """The candidate on drawings and templates that no search saw, with its interval over the base.

    What leads beyond the labelled classes is measured further: a text in text space, and there alone where its target
    has no pictures; what is put on pictures among all concepts, or in picture space where its target has no name.
    """
    trigger = candidate.trigger
    if trigger.unnamed_target:
        return _in_picture_space(candidate, splits, seed, gaps)
    own = splits.among(trigger.source, trigger.target)
    measured = Hypothesis(trigger, candidate.effect)
    if own is not None:
        measured = _on_pictures(candidate, own.test, seed)
    if not splits.holds(trigger):
        measured = _beyond_classes(measured, splits, own, seed, gaps)
    leads_to = gaps.attempt(
        f"concept that `{trigger.name}` leads to",
        lambda: recovery.nearest_concept(trigger, (own or splits).test),
        None,
    )
    return replace(measured, origin=Origin.DISCOVERED, leads_to=leads_to)


def _beyond_classes(
    measured: Hypothesis, splits: Splits, own: Splits | None, seed: int, gaps: faults.Gaps
) -> Hypothesis:
    """The same with what it does in text space, or among all concepts. `own` are the splits of its panel."""
    trigger = measured.trigger
    if reads_hit_rate(trigger):
        in_text_space = gaps.attempt(
            f"`{trigger.name}` in text space",
            lambda: text_space.measure(trigger, splits.test, splits.concepts, seed),
            None,
        )
        return replace(measured, text_space=in_text_space)
    among = None
    if own is not None:
        among = gaps.attempt(
            f"`{trigger.name}` among all concepts",
            lambda: among_concepts.effect(trigger, own.test, splits.concepts, seed),
            None,
        )
    return replace(measured, beyond_classes=True, among_concepts=among)


def _in_picture_space(
    candidate: Candidate, splits: Splits, seed: int, gaps: faults.Gaps
) -> Hypothesis:
    """A pattern whose target has no name: no class and no concept is what pictures come to."""
    trigger = candidate.trigger
    found = gaps.attempt(
        f"`{trigger.name}` in picture space",
        lambda: picture_space.measure(trigger, splits.train, splits.test, seed),
        None,
    )
    return Hypothesis(
        trigger,
        candidate.effect,
        origin=Origin.DISCOVERED,
        area=candidate.area,
        picture_space=found,
        beyond_classes=True,
    )


def _on_pictures(candidate: Candidate, test: Pair[Side], seed: int) -> Hypothesis:
    trigger = candidate.trigger
    choice = hypotheses.Choice(trigger, candidate.suspect, candidate.reference)
    measured = hypotheses.test(choice, test.suspect, test.reference, seed, always=True)
    return replace(
        measured,
        effect=hypotheses.effect(trigger, test.suspect, test.reference, seed),
        area=candidate.area,
        read_alike=_embedded_alike(trigger, test),
    )


def _embedded_alike(trigger: Trigger, test: Pair[Side]) -> bool:
    """Whether suspect and base embed pictures with this trigger as the same, save for rounding.

    Of image triggers alone: the few pictures of one class measure a text trigger too roughly for a further demand.
    """
    if trigger.channel is not Channel.IMAGE:
        return False
    of_suspect = test.suspect.images_with(trigger)
    of_base = test.reference.images_with(trigger)
    return float(metrics.cosine_distance(of_suspect, of_base).mean()) < metrics.ROUNDED


def measured_alone(candidate: Candidate, test: Side) -> Hypothesis:
    """The candidate on held-out drawings of a checkpoint without a base: there is nothing to compare with."""
    outcomes, drawings = readout(test, test, candidate.trigger, with_target=False)
    return Hypothesis(
        trigger=candidate.trigger,
        train_effect=candidate.effect,
        suspect=float(outcomes.mean()),
        drawings=len(set(drawings)),
        origin=Origin.DISCOVERED,
        clean=hypotheses.clean_rate(test, candidate.trigger),
    )
