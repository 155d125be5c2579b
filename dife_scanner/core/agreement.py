"""Whether the exposure profile bears a diagnosis out, and the accounting over checkpoints (the paper,
arXiv 2606.17815, §5).

The order *diagnose, freeze, compare* is a matter of types. `footprint.diagnose` never sees a cell; a `Profile` is made
by `profile_after` from a `Diagnosis` and the entries measured after it; `compare` and `account` take nothing but a
`Profile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.records import Carrier, Cell, Diagnosis, Entry, EntryType

AGREEMENT_SHARE = 0.5
"""A simple diagnosis is matched when at least this share of the interfaces it predicts is exposed, and no other is."""


# --- freeze ---------------------------------------------------------------------------------------------------

_FROZEN = object()


class Profile:
    """A diagnosis and the entries measured after it, which can no longer change each other. See `profile_after`."""

    __slots__ = ("_diagnosis", "_entries")

    def __init__(
        self, diagnosis: Diagnosis, entries: tuple[Entry, ...], *, _proof: object = None
    ) -> None:
        if _proof is not _FROZEN:
            raise TypeError("a Profile is made by core.agreement.profile_after(diagnosis, entries)")
        self._diagnosis = diagnosis
        self._entries = entries

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
        raise TypeError(
            f"a profile is measured after a Diagnosis; {type(diagnosis).__name__} is none"
        )
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
        raise TypeError(
            f"compare takes a Profile, made by profile_after, not a {type(profile).__name__}"
        )
    diagnosis = profile.diagnosis
    exposed, others = _measured(profile)
    if diagnosis.carrier not in _SIMPLE | _BOUNDARY:
        return Agreement(_nothing_expected(diagnosis, exposed), Outcome.AMBIGUOUS)
    expected = [name for name in others if name in diagnosis.predicted]
    hits = [name for name in expected if name in exposed]
    extra = [name for name in exposed if name not in diagnosis.predicted]
    text = _counted(expected, hits, extra)
    return Agreement(text, _outcome(diagnosis.carrier, len(expected), len(hits), len(extra)))


def _outcome(carrier: Carrier, expected: int, hits: int, extra: int) -> Outcome:
    if carrier in _BOUNDARY:
        return Outcome.BOUNDARY
    if not expected:
        return Outcome.MISSING
    if not extra and hits >= AGREEMENT_SHARE * expected:
        return Outcome.MATCH
    return Outcome.MISMATCH


def _measured(profile: Profile) -> tuple[list[str], list[str]]:
    """(exposed interfaces, all that could tell), without the diagnostic's own, in the order of the profile."""
    exposed: dict[str, None] = {}
    others: dict[str, None] = {}
    for entry in profile.entries:
        if not isinstance(entry, Cell) or entry.entry is EntryType.N_TOO_SMALL:
            continue
        if entry.interface == profile.diagnosis.diagnostic:
            continue
        others[entry.interface] = None
        if entry.entry is EntryType.EXPOSED:
            exposed[entry.interface] = None
    return list(exposed), list(others)


def _nothing_expected(diagnosis: Diagnosis, exposed: Sequence[str]) -> str:
    if exposed:
        return f"{diagnosis.carrier.value}: yet exposed through {', '.join(exposed)}"
    return f"{diagnosis.carrier.value}: no component is named, and no other interface is exposed"


def _counted(expected: Sequence[str], hits: Sequence[str], extra: Sequence[str]) -> str:
    parts = ["no other predicted interface was measured"]
    if expected:
        parts = [f"{len(hits)} of {len(expected)} other predicted interfaces are exposed"]
    missed = [name for name in expected if name not in hits]
    if missed:
        parts.append(f"not exposed: {', '.join(missed)}")
    if extra:
        parts.append(f"exposed, not predicted: {', '.join(extra)}")
    return "; ".join(parts)


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
    counts = dict.fromkeys(Outcome, 0)
    for profile in profiles:
        outcome = Outcome.MISSING if profile is None else compare(profile).outcome
        counts[outcome] += 1
    return Accounting(
        simple=counts[Outcome.MATCH] + counts[Outcome.MISMATCH],
        matched=counts[Outcome.MATCH],
        boundary=counts[Outcome.BOUNDARY],
        ambiguous=counts[Outcome.AMBIGUOUS],
        missing=counts[Outcome.MISSING],
    )
