"""Discovered triggers as rows keep them, and back again: a verdict can be decided from its row."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from dife_scanner.core import checks
from dife_scanner.core.verdict import Evidence, decide
from dife_scanner.lab.bench.rows.records import Found, Outcome
from dife_scanner.records import (
    CheckResult,
    Hypothesis,
    InCleanReference,
    Interval,
    Position,
    ReverseSearch,
    Trigger,
    Verdict,
)

DIGITS = 4
"""Decimal places of rates and bounds."""


def found_of(result: Hypothesis, *, decides: bool = False) -> Found:
    """What a row keeps of a measured trigger; `decides` as in `Found`."""
    trigger = result.trigger
    effect = result.effect
    return Found(
        kind=str(trigger.kind),
        text=trigger.text,
        position=trigger.position if trigger.text else "",
        source=trigger.source,
        target=trigger.target,
        suspect=rounded(result.suspect or 0.0),
        reference=rounded(result.reference or 0.0),
        low=rounded(effect.low) if effect else 0.0,
        high=rounded(effect.high) if effect else None,
        clean=rounded(result.clean),
        p_value=_significant(result.p_value),
        p_holm=_significant(result.p_holm),
        drawings=result.drawings,
        area=rounded(result.area),
        read_alike=result.read_alike,
        near=tuple(map(_rounded_near, result.near)),
        exchanged=_rounded_exchanged(result.exchanged) if result.exchanged else None,
        origin=result.origin,
        channel=trigger.channel,
        decides=decides,
        text_space=result.text_space,
        picture_space=result.picture_space,
        beyond_classes=result.beyond_classes,
        among_concepts=result.among_concepts,
        leads_to=result.leads_to,
        failed=_failed(result),
    )


def _failed(result: Hypothesis) -> tuple[CheckResult, ...]:
    """The checks for which it is not demonstrated."""
    names = checks.not_passed(checks.completed(result.checks))
    return tuple(one for one in result.checks if one.check in names)


@overload
def rounded(value: float, digits: int = DIGITS) -> float: ...
@overload
def rounded(value: float | None, digits: int = DIGITS) -> float | None: ...
def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """A number as rows have it; what was not measured stays `None`."""
    return None if value is None else round(value, digits)


def _significant(p_value: float) -> float:
    """Four significant digits: p-values are powers of a half, and decimal places would make the small ones 0."""
    return float(f"{p_value:.4g}")


def _rounded_near(near: InCleanReference) -> InCleanReference:
    return replace(
        near,
        distance=rounded(near.distance),
        success=rounded(near.success),
        lift=rounded(near.lift),
    )


def _rounded_exchanged(exchanged: ReverseSearch) -> ReverseSearch:
    return replace(
        exchanged,
        base=rounded(exchanged.base),
        suspect=rounded(exchanged.suspect),
        low=rounded(exchanged.low),
    )


def result_of(found: Found) -> Hypothesis | None:
    """The measured trigger again, as far as checks read it; `None` for a row of older code, which does not say all."""
    if found.p_value is None or found.p_holm is None or found.drawings is None:
        return None
    # The pixels of an image trigger are not kept, so its channel is stated here and not read off its parts.
    trigger = Trigger(
        name=found.text or found.kind,
        kind=found.kind,
        text=found.text,
        position=Position(found.position or Position.PREFIX),
        source=found.source,
        target=found.target,
        enters=found.channel,
    )
    effect = None if found.high is None else Interval(found.low, found.high, "as the row has it")
    without_pictures = bool(found.text_space or found.picture_space) and not found.drawings
    return Hypothesis(
        trigger=trigger,
        train_effect=0.0,
        suspect=None if without_pictures else found.suspect,
        reference=found.reference,
        p_value=found.p_value,
        p_holm=found.p_holm,
        drawings=found.drawings,
        origin=found.origin,
        effect=effect,
        clean=found.clean,
        area=found.area,
        read_alike=found.read_alike,
        near=found.near,
        exchanged=found.exchanged,
        leads_to=found.leads_to,
        text_space=found.text_space,
        picture_space=found.picture_space,
        beyond_classes=found.beyond_classes,
        among_concepts=found.among_concepts,
    )


def decided_again(outcome: Outcome) -> Verdict | None:
    """The verdict that today's checks and rules give what the row holds.

    `None` where the row does not say enough: rows of older code, checkpoints that were compared with no base or are
    identical to it, and demonstrated triggers, whose verdict rests on a diagnosis and a profile too.
    """
    if outcome.reference_accuracy is None or outcome.accuracy is None:
        return None
    known = checks.Circumstances(accuracy_lost=outcome.reference_accuracy - outcome.accuracy)
    hypotheses = []
    for found in outcome.found:
        result = result_of(found)
        if result is None:
            return None
        result = replace(result, checks=checks.run_all(result, known))
        if checks.demonstrated(result.checks):
            return None
        hypotheses.append(result)
    evidence = Evidence(
        hypotheses=tuple(hypotheses), searches=outcome.searches, missing=outcome.missing
    )
    return decide(evidence).verdict
