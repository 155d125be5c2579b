"""Which reusable component carries the exposure (the paper, arXiv 2606.17815, §5).

`diagnose` is the only way to a `Diagnosis` and never sees a cell: the diagnosis is fixed before anything is measured
through an interface. `core.agreement` compares the two afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dife_scanner.core.cards import CARDS, PROMPTED, ZERO_SHOT, Card
from dife_scanner.core.validity import judge, runs
from dife_scanner.errors import MeasurementError
from dife_scanner.records import (
    BranchSwap,
    Carrier,
    Channel,
    ComponentRepair,
    Condition,
    Diagnosis,
    decided,
)

# The first four are the paper's own (§5); the others it leaves open, and they are ours (docs/states.md).
EPSILON = 1e-8
"""Keeps the ratios finite where the suspect changes nothing."""
SIGNAL_FLOOR = 0.05
"""Rule 1: a weaker signal is *weak*."""
DOMINANT = 0.70
"""Rule 2: the dominant ratio must exceed this …"""
MARGIN = 0.20
"""… and stand this far above the second."""
MIXED_ACCURACY_LOSS = 0.10
"""Towers are interchangeable when no mixed pair loses more clean accuracy than this against the worse pure pair: one
rotation of both projections changes no score of a pure pair and takes a mixed one to chance."""
MECHANISM_FLOOR = 0.25
"""Rule 4: the full mechanism stays exposed when it stands this far above the reference, the same cut as for a cell …"""
REPAIR_TOLERANCE = 0.10
"""… and a repaired variant has collapsed when it lies this near to it. The paper's own lie within .003 of it, those of
our reproduction within .043 (docs/reproduction.md)."""


# --- diagnose -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratios:
    """What share of the attack success rate each branch carries alone, and what only both do (paper §5).

    Of the four attack success rates a_vt of a branch swap (TS or QHR in 0..1; v the image branch, t the text branch,
    0 clean and 1 suspect), with span = (a11 − a00) + ε. About 0..1 where the suspect's rate is the higher one.
    """

    vrs: float
    """(a10 − a00) / span: the image branch alone."""
    trs: float
    """(a01 − a00) / span: the text branch alone."""
    css: float
    """(a11 − max(a10, a01)) / span: only both together."""


def ratios(a00: float, a10: float, a01: float, a11: float) -> Ratios:
    """VRS, TRS and CSS of four attack success rates in 0..1, with the paper's ε (§5).

    >>> ratios(0.0, 0.0, 1.0, 1.0).trs > 0.99
    True
    """
    span = (a11 - a00) + EPSILON
    if (
        span == 0.0
    ):  # a11 below a00 by the very ε: a rate that fell has no footprint, whatever the ratios
        span = EPSILON
    return Ratios(
        vrs=(a10 - a00) / span,
        trs=(a01 - a00) / span,
        css=(a11 - max(a10, a01)) / span,
    )


def interchangeable(swap: BranchSwap) -> bool:
    """Whether a tower of one checkpoint works with the other's at all, from clean accuracy."""
    clean, image_swapped, text_swapped, suspect = swap.mixed_accuracy
    worse_pure_pair = min(clean, suspect)
    worse_mixed_pair = min(image_swapped, text_swapped)
    return worse_mixed_pair >= worse_pure_pair - MIXED_ACCURACY_LOSS


def diagnose(
    evidence: BranchSwap | ComponentRepair,
    condition: Condition,
    cards: Sequence[Card] = CARDS,
    repair: ComponentRepair | None = None,
) -> Diagnosis:
    """Which component carries the exposure: the paper's rules in its order (§5), our extra states named as ours.

    A condition with a prompt mechanism takes component repair, any other a branch swap; `cards` are the interfaces that
    the prediction is about. Where only both towers together carry it, the `repair` of a trigger of two parts, if given,
    decides whether that is *coupled*. `MeasurementError` for the wrong kind of evidence or values that are not finite.
    """
    _check_kind(evidence, condition)
    _check_finite(evidence)
    shares = ratios(*_corners(evidence))
    carrier, reason = _carrier(evidence, shares, repair)
    return decided(
        Diagnosis,
        carrier=carrier,
        channel=condition.channel,
        signal=_signal(evidence),
        vrs=shares.vrs,
        trs=shares.trs,
        css=shares.css,
        reason=reason,
        predicted=_predicted(carrier, condition, cards),
        diagnostic=_diagnostic_card(condition).interface,
    )


def _diagnostic_card(condition: Condition) -> Card:
    """The interface whose readout the evidence was measured through: an image trigger is measured by zero-shot TS."""
    if condition.channel in (Channel.IMAGE, Channel.BOTH):
        return ZERO_SHOT
    return PROMPTED


def _check_kind(evidence: BranchSwap | ComponentRepair, condition: Condition) -> None:
    if condition.mechanism is not isinstance(evidence, ComponentRepair):
        needed = "component repair" if condition.mechanism else "a branch swap"
        raise MeasurementError(
            f"this condition is diagnosed from {needed}, not from a {type(evidence).__name__}",
            "gather the evidence that belongs to the trigger's channel",
        )


def _check_finite(evidence: BranchSwap | ComponentRepair) -> None:
    corners = _corners(evidence)
    if not all(map(math.isfinite, corners)):
        raise MeasurementError(
            f"the diagnostic readout is not finite: {corners}", "it has no verdict"
        )


def _corners(evidence: BranchSwap | ComponentRepair) -> tuple[float, float, float, float]:
    """a00, a10, a01, a11; of a repair: both clean, trigger only (image side), prompt only (text side), full."""
    if isinstance(evidence, BranchSwap):
        return evidence.a00, evidence.a10, evidence.a01, evidence.a11
    return evidence.both_clean, evidence.trigger_only, evidence.prompt_only, evidence.full


def _signal(evidence: BranchSwap | ComponentRepair) -> float:
    a00, _, _, a11 = _corners(evidence)
    return abs(a11 - a00)


# --- the rules, in the paper's order --------------------------------------------------------------------------

_Decision = tuple[Carrier, str]
"""A carrier, and why, in words."""


def _carrier(
    evidence: BranchSwap | ComponentRepair, shares: Ratios, repair: ComponentRepair | None
) -> _Decision:
    if isinstance(evidence, ComponentRepair):
        return _from_repair(evidence)
    carrier, reason = _from_swap(evidence, shares)
    if carrier is not Carrier.INTERACTION or repair is None:
        return carrier, reason
    repaired, why = _from_repair(repair)
    reason = f"only both towers together carry it (CSS {shares.css:.2f}); {why}"
    if repaired is Carrier.COUPLED:
        return Carrier.COUPLED, reason
    return Carrier.INTERACTION, reason


def _from_swap(swap: BranchSwap, shares: Ratios) -> _Decision:
    nothing = _no_footprint(swap)
    if nothing:
        return nothing
    if not interchangeable(swap):
        loses = (
            "still loses clean accuracy after they were aligned"
            if swap.aligned
            else "loses clean accuracy"
        )
        return (
            Carrier.NOT_INTERCHANGEABLE,
            f"a mixed pair of towers {loses}, so swapping them proves nothing here",
        )
    return _dominant(
        shares,
        visual="swapping in the suspect's image tower alone",
        textual="swapping in the suspect's text tower alone",
    )


def _from_repair(repair: ComponentRepair) -> _Decision:
    """Rule 4: *coupled* when the full mechanism stays exposed and every repaired variant falls to the reference."""
    nothing = _no_footprint(repair)
    if nothing:
        return nothing
    kept = _variants_that_stay(repair)
    if repair.full - repair.both_clean >= MECHANISM_FLOOR and not kept:
        return Carrier.COUPLED, _why_coupled(repair)
    shares = ratios(*_corners(repair))
    carrier, reason = _dominant(
        shares,
        visual="the image trigger without the prompt",
        textual="the prompt without the trigger",
    )
    if carrier is Carrier.INTERACTION:
        why = _why_not_coupled(repair, kept)
        reason = (
            f"prompt and trigger act together (CSS {shares.css:.2f}), but {why}: not called coupled"
        )
    return carrier, reason


def _why_coupled(repair: ComponentRepair) -> str:
    return (
        f"the full mechanism stays exposed ({repair.full:.3f}) and each repaired variant falls to the reference "
        f"({repair.both_clean:.3f}): prompt only {repair.prompt_only:.3f}, trigger only {repair.trigger_only:.3f}"
    )


def _why_not_coupled(repair: ComponentRepair, kept: Sequence[str]) -> str:
    if kept:
        return f"the {' and the '.join(kept)} alone keeps part of it"
    return f"it moves by {_signal(repair):.3f} only"


def _variants_that_stay(repair: ComponentRepair) -> list[str]:
    """Names of the halves whose attack success rate alone does not fall to the reference."""
    kept = []
    if abs(repair.prompt_only - repair.both_clean) > REPAIR_TOLERANCE:
        kept.append("prompt")
    if abs(repair.trigger_only - repair.both_clean) > REPAIR_TOLERANCE:
        kept.append("trigger")
    return kept


def _no_footprint(evidence: BranchSwap | ComponentRepair) -> _Decision | None:
    """Rule 1, and a trigger that works backwards."""
    start, _, _, end = _corners(evidence)
    signal = _signal(evidence)
    if signal < SIGNAL_FLOOR:
        return Carrier.WEAK, f"the trigger moves the readout by {signal:.3f}, below {SIGNAL_FLOOR}"
    if end < start:
        return (
            Carrier.DEMOTED,
            f"the trigger makes the target rarer ({start:.3f} to {end:.3f}): no footprint",
        )
    return None


def _dominant(shares: Ratios, *, visual: str, textual: str) -> _Decision:
    """Rules 2 and 3; `visual` and `textual` say what was put in alone."""
    vrs = shares.vrs
    trs = shares.trs
    css = shares.css
    if vrs > DOMINANT and trs > DOMINANT:
        return Carrier.REDUNDANT, f"each side alone carries it (VRS {vrs:.2f}, TRS {trs:.2f})"
    by_carrier = {Carrier.VISUAL: vrs, Carrier.TEXTUAL: trs, Carrier.INTERACTION: css}
    carrier, second, _ = sorted(by_carrier, key=lambda one: -by_carrier[one])
    top = by_carrier[carrier]
    if top <= DOMINANT or top - by_carrier[second] < MARGIN:
        return (
            Carrier.AMBIGUOUS,
            f"no ratio stands out (VRS {vrs:.2f}, TRS {trs:.2f}, CSS {css:.2f})",
        )
    if carrier is Carrier.INTERACTION:
        return (
            carrier,
            f"only both sides together carry it (CSS {css:.2f}); component repair decides",
        )
    alone = visual if carrier is Carrier.VISUAL else textual
    return carrier, f"{alone} carries {top:.0%} of the effect"


def _predicted(carrier: Carrier, condition: Condition, cards: Sequence[Card]) -> tuple[str, ...]:
    """Interfaces that run the carrier and are well formed (paper §5 rule 3; carrier is not channel)."""
    running = [card for card in cards if runs(card, carrier)]
    return tuple(card.interface for card in running if judge(card, condition) is None)
