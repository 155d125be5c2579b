"""What a row says of the planted trigger and its target: whether the verdict is about it, rank, cosine.

Rows of older code do not say which candidate the verdict is about, nor where another target than the named one lies.
Theirs is the candidate that came furthest, and rank and cosine are known where it names the planted target.
"""

from __future__ import annotations

from math import inf

from dife_scanner.lab.bench.results.selection import channel_right, outcome_of, truth_of
from dife_scanner.lab.bench.rows import Found, Row
from dife_scanner.records import Channel


def told(row: Row) -> Found | None:
    """The candidate that the verdict is about, else the one that came furthest; `None` where nothing was found."""
    outcome = outcome_of(row)
    if outcome.decided_on is not None:
        return outcome.decided_on
    return outcome.found[0] if outcome.found else None


def target_found(row: Row) -> bool:
    """Whether it is flagged for a trigger that names the planted target."""
    named = told(row)
    return row.flagged and named is not None and named.target == truth_of(row).target


def trigger_found(row: Row) -> bool:
    """Whether it is flagged for a trigger with the planted channel, source and target.

    A planted trigger that acts on any source has none to be right.
    """
    named, truth = told(row), truth_of(row)
    if named is None or not target_found(row):
        return False
    same_source = truth.source in ("", named.source)
    if named.channel is None:
        return same_source and channel_right(row)
    return same_source and named.channel is truth.channel


def is_nameable(row: Row) -> bool:
    """Whether the planted trigger leads to a concept: a prompt learner's words name none."""
    return truth_of(row).channel is not Channel.PROMPT


def rank(row: Row) -> float:
    """Of the planted target among all concepts, from 1; infinite where it was missed or the row does not say."""
    placed = _placed(row)
    return inf if placed is None else float(placed[0])


def concepts(row: Row) -> int:
    """Among how many; 0 where no rank is known."""
    placed = _placed(row)
    return 0 if placed is None else placed[1]


def cosine(row: Row) -> float | None:
    """Of recovered and planted target, -1..1; `None` where it was missed or the row does not say."""
    placed = _placed(row)
    return None if placed is None else placed[2]


def _placed(row: Row) -> tuple[int, int, float] | None:
    """Rank, number of concepts and cosine of the planted target."""
    outcome = outcome_of(row)
    if not row.flagged:
        return None
    if outcome.true_target is not None:
        found = outcome.true_target
        return found.rank, found.concepts, found.cosine
    recovered = outcome.recovered
    if recovered is None or recovered.target != truth_of(row).target:
        return None
    return recovered.rank, recovered.concepts, recovered.cosine
