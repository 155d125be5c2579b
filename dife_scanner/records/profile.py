"""The exposure profile: one entry per interface, a number or a stated reason why there is none (paper §2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from dife_scanner.records.measures import Change, Interval, Measure
from dife_scanner.records.vocabulary import Category, EntryType


@dataclass(frozen=True)
class Cell:
    """A numeric cell of the exposure profile (paper §2)."""

    interface: str
    metric: str
    attack: Measure
    reference: Measure
    reference_condition: str
    """In words: what the reference value was measured on."""
    delta: float
    delta_interval: Interval
    """Paired bootstrap over drawings of attack minus reference."""
    entry: EntryType
    details: dict[str, float] = field(default_factory=dict)
    """Further numbers of the same cell, e.g. `ts_without_target`, `off_target_leakage`."""
    trigger: Change | None = None
    """Δ_trigger: the suspect, triggered minus clean query."""
    drift: Change | None = None
    """Δ_drift: the clean query, suspect minus reference."""
    headroom: float | None = None
    """1 − reference: how far the metric could rise at all."""
    population: str = ""
    """Digest of the `PoolManifest` it was measured on; empty for the labelled probe set."""


@dataclass(frozen=True)
class NotEvaluable:
    """N.E.: the question is not well formed for this condition (paper §2). Never zero, never in a denominator."""

    word: ClassVar[str] = "N.E."

    interface: str
    category: Category
    reason: str


@dataclass(frozen=True)
class NotRun:
    """Well formed, and this audit did not ask, or could not: a matter of coverage. The reason says which."""

    word: ClassVar[str] = "not run"

    interface: str
    reason: str


@dataclass(frozen=True)
class ArtefactMissing:
    """Well formed and requested, but something it needs is not there: a matter of reproducibility."""

    word: ClassVar[str] = "artefact missing"

    interface: str
    artefact: str
    """What is missing."""
    reason: str


@dataclass(frozen=True)
class SelectorControl:
    """A selection card for a condition without a text trigger: two clean selectors side by side, never an exposure."""

    word: ClassVar[str] = "selector control"

    interface: str
    metric: str
    suspect: Measure
    reference: Measure
    drift: Change
    """Suspect minus reference, both with the clean query."""
    reason: str


Absent = NotEvaluable | NotRun | ArtefactMissing
"""The three ways of having no number. They are never mixed, and none converts into another."""


Entry = Cell | NotEvaluable | NotRun | ArtefactMissing | SelectorControl
"""One line of an exposure profile."""
