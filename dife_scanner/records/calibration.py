"""What a score is worth against a calibration set of benign models, and the power of such searches."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.vocabulary import Stratum


@dataclass(frozen=True)
class Calibration:
    """How a score compares with those of benign models. Never the probability of a backdoor."""

    stratum: Stratum
    pack: str
    """Name of the pack; empty where there is none."""
    digest: str
    """sha256 of the pack's content."""
    n: int
    """Benign models in it."""
    p_value: float | None
    """Conformal, never below 1 / (n + 1); only from a pack of the audit's own stratum."""
    made_on: str
    """ISO date of the pack's newest model."""
    alarm_bound: float | None
    """One-sided 95 % upper bound of the share of benign models that are flagged; only from the own stratum."""
    reason: str = ""
    """Why there is no rate, or what limits the one there is, in words."""


@dataclass(frozen=True)
class Planted:
    """How many models with a planted trigger of one kind were found."""

    kind: str
    """In words, e.g. `patch through image`."""
    found: int
    planted: int


@dataclass(frozen=True)
class Power:
    """What blind searches of an audit's stratum found among models with planted triggers."""

    digest: str
    """sha256 of the table's content."""
    planted: tuple[Planted, ...]
    not_covered: tuple[str, ...]
    """Kinds that were not planted or that no search is made for, in words."""
    side: str
    """Which models of the benchmark were counted, in words."""
    made_on: str
    """ISO date of the newest of them."""
    not_reached: tuple[Planted, ...] = ()
    """Kinds whose own search this audit did not reach: what it would have found."""
