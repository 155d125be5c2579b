"""The checks that a demonstrated trigger rests on, and the decision that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.records.vocabulary import Verdict


class CheckKind(StrEnum):
    """What a check that did not pass takes from a trigger."""

    REQUIRED = "required"
    """Without it nothing is demonstrated, whether it failed or was not run."""
    CORROBORATING = "corroborating"
    """Where it failed nothing is demonstrated; where it could not be run the finding stays, unconfirmed."""


class CheckOutcome(StrEnum):
    """What one check came to."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    NOT_APPLICABLE = "does not apply"


@dataclass(frozen=True)
class CheckResult:
    """What one check of `core.checks.CHECKS` came to for one hypothesis."""

    check: str
    """Its name."""
    kind: CheckKind
    outcome: CheckOutcome
    measured: float | None = None
    """`None` where it was not run or does not apply."""
    needed: float | None = None
    """The threshold that `measured` was compared with; the check says on which side of it one has to be."""
    reason: str = ""
    """Why it was not run or does not apply, or what it had to do without, in words."""
    decided_by: str = ""
    """Name of the check that had failed already, where it was not run for that."""


class Basis(StrEnum):
    """What a verdict rests on. `sentences.basis` says it in words; these are stored."""

    EXPOSED_FOOTPRINT = "exposed footprint"
    FOOTPRINT_NOT_MEASURED = "footprint not measured"
    EXPOSURE_NOT_MEASURED = "exposure not measured"
    TOWERS_NOT_INTERCHANGEABLE = "towers not interchangeable"
    NO_FOOTPRINT = "no footprint"
    NO_EXPOSED_INTERFACE = "no exposed interface"
    TOO_FEW_DRAWINGS = "too few drawings"
    DIFFER_BOTH_WAYS = "differ both ways"
    INHERITED = "inherited"
    SEARCHES_MISSING = "searches missing"
    TOO_LITTLE_RAN = "too little ran"
    LEAD_UNCONFIRMED = "lead unconfirmed"
    CLASSES_NOT_RECOGNISED = "classes not recognised"
    OWN_SETTINGS_NOT_RUN = "own settings not run"
    TEXT_SPACE = "text space"
    ONE_POINT = "one point"
    TOO_LITTLE_KNOWN = "too little known"
    NOTHING = "nothing"
    UNKNOWN_BASE = "unknown base"
    IDENTICAL = "identical"
    PROMPT_LEARNER_SEARCHED = "prompt learner searched"
    PROMPT_LEARNER_NOT_SEARCHED = "prompt learner not searched"


@dataclass(frozen=True)
class Decision:
    """A verdict and what it rests on."""

    verdict: Verdict
    basis: Basis
    hypothesis: str = ""
    """Name of the trigger that decided; empty where none did."""
    rests_on: tuple[str, ...] = ()
    """Names of the checks that decided: all that passed where a trigger is demonstrated, else those that failed."""
    unconfirmed: tuple[CheckResult, ...] = ()
    """Corroborating checks that apply to a demonstrated trigger and could not be run."""
    beyond: Decision | None = None
    """What is decided beyond an inherited trigger or an identical base, where that was requested."""
