"""From case outcomes to a cell: attack, reference, both parts of the difference, headroom, intervals over drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.core import metrics, statistics
from dife_scanner.core.cards import Card
from dife_scanner.core.statistics import (
    entry_type,
    measure,
    paired_interval,
)
from dife_scanner.errors import MeasurementError
from dife_scanner.records import Cell, Change, SelectorControl

Outcome = metrics.Outcomes
Details = Mapping[str, float]
"""Further numbers of a cell, by name."""


class Against(StrEnum):
    """Which of a cell's outcomes is its reference (the card says it in words)."""

    TRIGGERED_REFERENCE = "triggered, clean checkpoint"
    CLEAN = "clean, same checkpoint"
    CLEAN_REFERENCE = "clean, clean checkpoint"


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of the same cases, each in 0..1 and [n], in the same order.

    The two parts of a difference come from three of them: Δ_trigger = triggered − clean, Δ_drift = clean −
    clean_reference.
    """

    triggered: Outcome
    """The suspect with the trigger."""
    clean: Outcome
    """The suspect without it."""
    clean_reference: Outcome
    units: Sequence[str]
    """Drawing (or template) behind each case: the unit of every interval."""
    triggered_reference: Outcome | None = None
    unit: str = "drawing"
    """What a unit is, as `Measure.unit`."""

    def reference(self, against: Against) -> Outcome:
        """The outcomes that the cell is compared with. Raises `MeasurementError` where they were not measured."""
        if against is Against.CLEAN:
            return self.clean
        if against is Against.CLEAN_REFERENCE:
            return self.clean_reference
        if self.triggered_reference is None:
            raise MeasurementError(
                "this cell's reference was not measured",
                "pass `triggered_reference`",
            )
        return self.triggered_reference


def cell(
    card: Card,
    subject: Subject,
    outcomes: Outcomes,
    against: Against,
    population: str,
    details: Details | None = None,
) -> Cell:
    """The card's cell. Raises `MeasurementError` where there is no case, or an outcome is not finite."""
    _check(outcomes)
    attack = outcomes.triggered
    reference = outcomes.reference(against)
    interval = paired_interval(
        attack,
        reference,
        outcomes.units,
        subject.rng(card),
        outcomes.unit,
    )
    # Intervals resample units, not cases: pictures of one drawing stand or fall together.
    measured = measure(attack, outcomes.units, outcomes.unit)
    base = measure(reference, outcomes.units, outcomes.unit)
    return Cell(
        interface=card.interface,
        metric=card.metric,
        attack=measured,
        reference=base,
        reference_condition=card.reference,
        delta=float(np.mean(attack) - np.mean(reference)),
        delta_interval=interval,
        entry=entry_type(interval, measured.drawings),
        details=dict(details or {}),
        trigger=_by_trigger(card, subject, outcomes),
        drift=_by_drift(card, subject, outcomes),
        headroom=1.0 - base.value,
        population=population,
    )


def control(card: Card, subject: Subject, outcomes: Outcomes, reason: str) -> SelectorControl:
    """Both clean selectors side by side; the triggered outcomes are not read."""
    return SelectorControl(
        interface=card.interface,
        metric=card.metric,
        suspect=measure(outcomes.clean, outcomes.units, outcomes.unit),
        reference=measure(outcomes.clean_reference, outcomes.units, outcomes.unit),
        drift=_by_drift(card, subject, outcomes),
        reason=reason,
    )


def _by_trigger(card: Card, subject: Subject, outcomes: Outcomes) -> Change:
    """Δ_trigger: the suspect with the trigger less the suspect without."""
    return _change(
        card,
        subject,
        "trigger",
        outcomes,
        outcomes.triggered,
        outcomes.clean,
    )


def _by_drift(card: Card, subject: Subject, outcomes: Outcomes) -> Change:
    """Δ_drift: the clean suspect less the clean checkpoint."""
    return _change(
        card,
        subject,
        "drift",
        outcomes,
        outcomes.clean,
        outcomes.clean_reference,
    )


def _change(
    card: Card,
    subject: Subject,
    part: str,
    outcomes: Outcomes,
    new: Outcome,
    old: Outcome,
) -> Change:
    """Mean of new − old with its paired interval."""
    rng = subject.rng(card, f":{part}")
    return statistics.change(new, old, outcomes.units, rng, outcomes.unit)


def mean(outcome: Outcome) -> float:
    """Mean of the outcomes; 0 where there is none."""
    if not len(outcome):
        return 0.0
    return float(np.mean(outcome))


def _check(outcomes: Outcomes) -> None:
    if not len(outcomes.triggered):
        raise MeasurementError(
            "there is not a single case to measure",
            "use a larger pool or another target",
        )
    for name in (
        "triggered",
        "clean",
        "clean_reference",
        "triggered_reference",
    ):
        values = getattr(outcomes, name)
        if values is not None and not np.isfinite(values).all():
            raise MeasurementError(
                f"an outcome of `{name}` is not a finite number",
                "the checkpoint has no verdict",
            )
