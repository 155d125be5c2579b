"""Which reusable component carries the exposure, and whether the profile bears that out (paper §5).

The order *diagnose, freeze, compare* is a matter of types. `diagnose` is the only way to a `Diagnosis` and never sees a
cell; a `Profile` is made by `profile_after` from a `Diagnosis` and the entries measured after it; `compare` and
`account` take nothing but a `Profile`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum

from dife_scanner.core.cards import CARDS, PROMPTED, ZERO_SHOT, Card
from dife_scanner.core.validity import judge, runs
from dife_scanner.errors import MeasurementError
from dife_scanner.records import (
    BranchSwap,
    Carrier,
    Cell,
    Channel,
    ComponentRepair,
    Condition,
    Diagnosis,
    Entry,
    EntryType,
    decided,
)

EPSILON = 1e-8
SIGNAL_FLOOR = 0.05
"""Rule 1: a weaker signal is *weak*."""
DOMINANT = 0.70
"""Rule 2: the dominant ratio must exceed this …"""
MARGIN = 0.20
"""… and stand this far above the second."""
MIXED_ACCURACY_LOSS = 0.10
"""Towers are interchangeable when no mixed pair loses more clean accuracy than this against the worse pure pair."""
MECHANISM_FLOOR = 0.25
"""Rule 4: the full mechanism stays exposed when it stands this far above the reference …"""
REPAIR_TOLERANCE = 0.10
"""… and a repaired variant has collapsed when it lies this near to it."""
AGREEMENT_SHARE = 0.5
"""A simple diagnosis is matched when at least this share of the interfaces it predicts is exposed, and no other is."""


# --- diagnose -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratios:
    """VRS, TRS and CSS of paper §5: what share of the effect each branch carries alone, and what only both do."""

    vrs: float
    trs: float
    css: float


def ratios(a00: float, a10: float, a01: float, a11: float) -> Ratios:
    """The paper's three ratios with its ε.

    >>> ratios(0.0, 0.0, 1.0, 1.0).trs > 0.99
    True
    """
    span = (a11 - a00) + EPSILON
    return Ratios((a10 - a00) / span, (a01 - a00) / span, (a11 - max(a10, a01)) / span)


def interchangeable(swap: BranchSwap) -> bool:
    """Whether a tower of one checkpoint can stand beside the other's at all, from clean accuracy."""
    pure = min(swap.mixed_accuracy[0], swap.mixed_accuracy[3])
    return min(swap.mixed_accuracy[1], swap.mixed_accuracy[2]) >= pure - MIXED_ACCURACY_LOSS


def diagnose(
    evidence: BranchSwap | ComponentRepair,
    condition: Condition,
    cards: Sequence[Card] = CARDS,
    repair: ComponentRepair | None = None,
) -> Diagnosis:
    """Which component carries the exposure: the paper's rules in its order, our extra states named as ours.

    A condition with a prompt mechanism takes component repair, any other a branch swap; `cards` are the interfaces that
    the prediction is about. Where only both towers together carry it, the `repair` of a trigger of two parts, if given,
    decides whether that is *coupled*. `MeasurementError` for the wrong kind of evidence or values that are not finite.
    """
    _check(evidence, condition)
    a00, a10, a01, a11 = _corners(evidence)
    shares, signal = ratios(a00, a10, a01, a11), abs(a11 - a00)
    carrier, reason = (
        _from_swap(evidence, signal, shares)
        if isinstance(evidence, BranchSwap)
        else _from_repair(evidence, signal, shares)
    )
    if carrier is Carrier.INTERACTION and isinstance(evidence, BranchSwap) and repair is not None:
        found, why = _from_repair(repair, *_span(repair))
        reason = f"only both towers together carry it (CSS {shares.css:.2f}); {why}"
        carrier = Carrier.COUPLED if found is Carrier.COUPLED else carrier
    return decided(
        Diagnosis,
        carrier=carrier,
        channel=condition.channel,
        signal=signal,
        vrs=shares.vrs,
        trs=shares.trs,
        css=shares.css,
        reason=reason,
        predicted=_predicted(carrier, condition, cards),
        diagnostic=(ZERO_SHOT if condition.channel in (Channel.IMAGE, Channel.BOTH) else PROMPTED).interface,
    )


def _check(evidence: BranchSwap | ComponentRepair, condition: Condition) -> None:
    if condition.mechanism is not isinstance(evidence, ComponentRepair):
        needed = "component repair" if condition.mechanism else "a branch swap"
        raise MeasurementError(
            f"this condition is diagnosed from {needed}, not from a {type(evidence).__name__}",
            "gather the evidence that belongs to the trigger's channel",
        )
    if not all(math.isfinite(value) for value in _corners(evidence)):
        raise MeasurementError(f"the diagnostic readout is not finite: {_corners(evidence)}", "it has no verdict")


def _corners(evidence: BranchSwap | ComponentRepair) -> tuple[float, float, float, float]:
    """a00, a10, a01, a11; of a repair: both clean, trigger only (image side), prompt only (text side), full."""
    if isinstance(evidence, BranchSwap):
        return evidence.a00, evidence.a10, evidence.a01, evidence.a11
    return evidence.both_clean, evidence.trigger_only, evidence.prompt_only, evidence.full


def _span(repair: ComponentRepair) -> tuple[float, Ratios]:
    return abs(repair.full - repair.both_clean), ratios(*_corners(repair))


_Decision = tuple[Carrier, str]


def _from_swap(swap: BranchSwap, signal: float, shares: Ratios) -> _Decision:
    nothing = _nothing(swap.a00, swap.a11, signal)
    if nothing:
        return nothing
    if not interchangeable(swap):
        loses = "still loses clean accuracy after they were aligned" if swap.aligned else "loses clean accuracy"
        return Carrier.NOT_INTERCHANGEABLE, f"a mixed pair of towers {loses}, so swapping them proves nothing here"
    one, other = (f"swapping in the suspect's {tower} tower alone" for tower in ("image", "text"))
    return _dominant(shares, one, other)


def _from_repair(repair: ComponentRepair, signal: float, shares: Ratios) -> _Decision:
    nothing = _nothing(repair.both_clean, repair.full, signal)
    if nothing:
        return nothing
    kept = [
        name
        for name, value in (("prompt", repair.prompt_only), ("trigger", repair.trigger_only))
        if abs(value - repair.both_clean) > REPAIR_TOLERANCE
    ]
    if repair.full - repair.both_clean >= MECHANISM_FLOOR and not kept:
        return Carrier.COUPLED, (
            f"the full mechanism stays exposed ({repair.full:.3f}) and each repaired variant falls to the reference "
            f"({repair.both_clean:.3f}): prompt only {repair.prompt_only:.3f}, trigger only {repair.trigger_only:.3f}"
        )
    carrier, reason = _dominant(shares, "the image trigger without the prompt", "the prompt without the trigger")
    if carrier is not Carrier.INTERACTION:
        return carrier, reason
    why = f"the {' and the '.join(kept)} alone keeps part of it" if kept else f"it moves by {signal:.3f} only"
    return Carrier.INTERACTION, f"prompt and trigger act together (CSS {shares.css:.2f}), but {why}: not called coupled"


def _nothing(start: float, end: float, signal: float) -> _Decision | None:
    """Rule 1, and a trigger that works backwards."""
    if signal < SIGNAL_FLOOR:
        return Carrier.WEAK, f"the trigger moves the readout by {signal:.3f}, below {SIGNAL_FLOOR}"
    if end < start:
        return Carrier.DEMOTED, f"the trigger makes the target rarer ({start:.3f} to {end:.3f}): no footprint"
    return None


def _dominant(shares: Ratios, visual: str, textual: str) -> _Decision:
    """Rules 2 and 3; `visual` and `textual` say what was put in alone."""
    vrs, trs, css = astuple(shares)
    if vrs > DOMINANT and trs > DOMINANT:
        return Carrier.REDUNDANT, f"each side alone carries it (VRS {vrs:.2f}, TRS {trs:.2f})"
    (top, carrier), (second, _), _ = sorted(
        ((vrs, Carrier.VISUAL), (trs, Carrier.TEXTUAL), (css, Carrier.INTERACTION)), key=lambda item: -item[0]
    )
    if top <= DOMINANT or top - second < MARGIN:
        return Carrier.AMBIGUOUS, f"no ratio stands out (VRS {vrs:.2f}, TRS {trs:.2f}, CSS {css:.2f})"
    if carrier is Carrier.INTERACTION:
        return carrier, f"only both sides together carry it (CSS {css:.2f}); component repair decides"
    return carrier, f"{visual if carrier is Carrier.VISUAL else textual} carries {top:.0%} of the effect"


def _predicted(carrier: Carrier, condition: Condition, cards: Sequence[Card]) -> tuple[str, ...]:
    """Interfaces that run the carrier and are well formed (paper §5 rule 3; carrier is not channel)."""
    return tuple(card.interface for card in cards if runs(card, carrier) and judge(card, condition) is None)


# --- freeze ---------------------------------------------------------------------------------------------------

_FROZEN = object()


class Profile:
    """A diagnosis and the entries measured after it, which can no longer change each other. See `profile_after`."""

    __slots__ = ("_diagnosis", "_entries")

    def __init__(self, diagnosis: Diagnosis, entries: tuple[Entry, ...], *, _proof: object = None) -> None:
        if _proof is not _FROZEN:
            raise TypeError("a Profile is made by core.footprint.profile_after(diagnosis, entries)")
        self._diagnosis, self._entries = diagnosis, entries

    @property
    def diagnosis(self) -> Diagnosis:
        return self._diagnosis

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self._entries


def profile_after(diagnosis: Diagnosis, entries: Iterable[Entry]) -> Profile:
    """The profile of a checkpoint whose diagnosis is fixed. `TypeError` without one, so that it has to come first.

    A generator is only run once the diagnosis has been accepted.
    """
    if not isinstance(diagnosis, Diagnosis):
        raise TypeError(f"a profile is measured after a Diagnosis; {type(diagnosis).__name__} is none")
    return Profile(diagnosis, tuple(entries), _proof=_FROZEN)


# --- compare --------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How a diagnosis and its profile relate, for the paper's accounting."""

    MATCH = "simple match"
    MISMATCH = "simple mismatch"
    BOUNDARY = "boundary"
    AMBIGUOUS = "ambiguous"
    MISSING = "missing"


@dataclass(frozen=True)
class Agreement:
    """A diagnosis compared with its profile, in words and as one of five outcomes."""

    text: str
    outcome: Outcome


_SIMPLE = frozenset({Carrier.VISUAL, Carrier.TEXTUAL})
_BOUNDARY = frozenset({Carrier.COUPLED, Carrier.REDUNDANT})


def compare(profile: Profile) -> Agreement:
    """Count where the diagnosis is borne out (paper §5 rule 5).

    Only interfaces other than the diagnostic's own count, and only numeric cells with enough drawings.
    *Simple*: one branch carries it. A match: at least half of the predicted interfaces that were measured are exposed,
    and none that was not predicted. *Boundary*: decided, but not on one branch (coupled, redundant). *Ambiguous*: no
    component was named. *Missing*: none of the predicted interfaces was measured.
    """
    if not isinstance(profile, Profile):
        raise TypeError(f"compare takes a Profile, made by profile_after, not a {type(profile).__name__}")
    diagnosis = profile.diagnosis
    exposed, others = _measured(profile)
    if diagnosis.carrier not in _SIMPLE | _BOUNDARY:
        return Agreement(_nothing_expected(diagnosis, exposed), Outcome.AMBIGUOUS)
    expected = [name for name in others if name in diagnosis.predicted]
    hits = [name for name in expected if name in exposed]
    extra = [name for name in exposed if name not in diagnosis.predicted]
    text = _counted(expected, hits, extra)
    if diagnosis.carrier in _BOUNDARY:
        return Agreement(text, Outcome.BOUNDARY)
    if not expected:
        return Agreement(text, Outcome.MISSING)
    matched = not extra and len(hits) >= AGREEMENT_SHARE * len(expected)
    return Agreement(text, Outcome.MATCH if matched else Outcome.MISMATCH)


def _measured(profile: Profile) -> tuple[list[str], list[str]]:
    """(exposed interfaces, all that could tell), without the diagnostic's own, in the order of the profile."""
    cells = [
        entry
        for entry in profile.entries
        if isinstance(entry, Cell)
        and entry.interface != profile.diagnosis.diagnostic
        and entry.entry is not EntryType.N_TOO_SMALL
    ]
    exposed = dict.fromkeys(cell.interface for cell in cells if cell.entry is EntryType.EXPOSED)
    return list(exposed), list(dict.fromkeys(cell.interface for cell in cells))


def _nothing_expected(diagnosis: Diagnosis, exposed: Sequence[str]) -> str:
    if exposed:
        return f"{diagnosis.carrier.value}: yet exposed through {', '.join(exposed)}"
    return f"{diagnosis.carrier.value}: no component is named, and no other interface is exposed"


def _counted(expected: Sequence[str], hits: Sequence[str], extra: Sequence[str]) -> str:
    if not expected:
        text = "no other predicted interface was measured"
    else:
        text = f"{len(hits)} of {len(expected)} other predicted interfaces are exposed"
    missed = [name for name in expected if name not in hits]
    text += f"; not exposed: {', '.join(missed)}" if missed else ""
    return text + (f"; exposed, not predicted: {', '.join(extra)}" if extra else "")


# --- account --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accounting:
    """How many checkpoints bear their diagnosis out, as the paper counts them."""

    simple: int
    matched: int
    boundary: int
    ambiguous: int
    missing: int

    def __str__(self) -> str:
        return (
            f"{self.matched}/{self.simple} simple cases matched, {self.boundary} boundary, "
            f"{self.ambiguous} ambiguous, {self.missing} missing"
        )


def account(profiles: Iterable[Profile | None]) -> Accounting:
    """The paper's accounting over checkpoints; `None` stands for one whose evidence or profile is missing."""
    outcomes = [Outcome.MISSING if profile is None else compare(profile).outcome for profile in profiles]
    matched, mismatched, boundary, ambiguous, missing = (outcomes.count(kind) for kind in Outcome)
    return Accounting(matched + mismatched, matched, boundary, ambiguous, missing)
