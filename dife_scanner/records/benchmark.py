"""What rows of the detection benchmark come to, zoo by zoo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counted:
    """How many of how many, with Wilson's 95 % interval; of none there are no bounds."""

    hits: int
    n: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AttackResult:
    """Attacks of one zoo, or of one of its footprints or families. Failed implants are counted and enter no rate."""

    name: str
    drawn: int
    failed_implants: int
    found: Counted
    """Flagged, of those audited. What is inconclusive is not found."""
    right_trigger: Counted
    """Flagged for a trigger that enters where the planted one does, and has its source and target."""
    target_top1: Counted
    """Flagged for a trigger whose named target is the planted one."""
    ranked: int
    """Audited attacks whose trigger can be named by a concept, which a prompt learner's cannot."""
    median_rank: float | None
    """Of the planted target among all concepts, over those: one that was missed is worse than any rank. `None` where
    the median is worse than any rank, or none was audited."""
    concepts: int
    """Among how many, at least; 0 where no rank is known."""
    median_cosine: float | None
    """Of recovered and planted target, over those that were flagged and of which it is known."""


@dataclass(frozen=True)
class PartCost:
    """What one part of an audit took, as medians over the audits that have it."""

    part: str
    audits: int
    passes: float | None
    """Pictures or texts through a tower, of suspect and base."""
    seconds: float | None
    """Wall time of a search, processor time of whole audits and of building."""


@dataclass(frozen=True)
class TraceScore:
    """The score of the CLIPTrace 2026 competition."""

    score: float
    """0..100."""
    accuracy: float
    """Share of models that are decided rightly, backdoored or clean, 0..1."""
    recovery: float
    """Mean over backdoored models of the clamped cosine, 0..1."""
    models: int
    backdoored: int
    without_cosine: int
    """Flagged attacks of which no cosine is known: they count 0."""


@dataclass(frozen=True)
class Miss:
    """An attack that was not found, or found as another."""

    model: str
    family: str
    footprint: str
    planted: str
    """Source, trigger and target in words."""
    verdict: str
    reason: str
    elsewhere: str
    """What rows of other budgets say of the same model; empty where there is none."""


@dataclass(frozen=True)
class FalseAlarm:
    """A benign model that was flagged."""

    model: str
    kind: str
    found: str


@dataclass(frozen=True)
class ZooResult:
    """Models of one base and vocabulary, audited at one budget by one version of the searches."""

    base: str
    vocabulary: str
    budget: str
    searches: str
    side: str
    """`test` or `development`."""
    rows: int
    commits: tuple[str, ...]
    """Of the code that made them; rows of older code do not say it."""
    attacks: AttackResult
    footprints: tuple[AttackResult, ...]
    families: tuple[AttackResult, ...]
    """Those found least first."""
    false_alarms: Counted
    alarm_bound: float | None
    """One-sided 95 % upper bound of their rate; `None` without a benign model."""
    inconclusive: Counted
    """Of all that were audited, attacks and benign models."""
    undecided_for: dict[str, int]
    """How many of these for what reason, in words."""
    costs: tuple[PartCost, ...]
    score: TraceScore | None
    """`None` where no attack was audited."""
    misses: tuple[Miss, ...]
    alarms: tuple[FalseAlarm, ...]
