"""What stood first for a typical query of each interface that ranks: read off scores that were measured anyway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dife_scanner.core.metrics import Bools, Floats, Indices, reciprocal_rank
from dife_scanner.records import RankedItem, Ranking

FIRST = 5
"""Candidates that are kept of either order."""
MOST_CHARACTERS = 200
"""Of a name or query that are kept."""


@dataclass(frozen=True)
class Named:
    """One case in words."""

    query: str
    triggered: str
    candidates: Sequence[str]
    """[m], in the order of its scores."""


NameCase = Callable[[int], Named]


class Rankings:
    """Keeps one ranking of each interface. It decides nothing."""

    def __init__(self) -> None:
        self._kept: dict[str, Ranking] = {}

    def keep(
        self,
        interface: str,
        triggered: Floats,
        clean: Floats,
        targets: Bools,
        present: Bools | None,
        name: NameCase,
    ) -> None:
        """The typical case of scores [n, m] with and without the trigger; `present` as in `RankingCases`."""
        moved = reciprocal_rank(triggered, targets, present) - reciprocal_rank(
            clean, targets, present
        )
        if not len(moved):
            return
        case = int(np.argmin(np.abs(moved - moved.mean())))
        there = np.ones(targets.shape[1], bool) if present is None else present[case]
        named = name(case)
        self._kept.setdefault(
            interface,
            Ranking(
                interface,
                named.query[:MOST_CHARACTERS],
                named.triggered[:MOST_CHARACTERS],
                len(moved),
                int(there.sum()),
                _items(
                    _ranks(clean[case], there),
                    _ranks(triggered[case], there),
                    targets[case],
                    named.candidates,
                ),
            ),
        )

    @property
    def kept(self) -> tuple[Ranking, ...]:
        """In the order in which interfaces were measured."""
        return tuple(self._kept.values())


def _ranks(scores: Floats, there: Bools) -> Indices:
    """Rank of each candidate [m] from 1; equal scores keep the order of candidates, and those not there come last."""
    order = np.argsort(-np.where(there, scores, -np.inf), kind="stable")
    ranks = np.empty(len(order), np.intp)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def _items(
    clean: Indices, triggered: Indices, targets: Bools, names: Sequence[str]
) -> tuple[RankedItem, ...]:
    chosen = np.flatnonzero((clean <= FIRST) | (triggered <= FIRST))
    items = []
    for at in sorted(chosen.tolist(), key=lambda at: int(triggered[at])):
        items.append(
            RankedItem(
                names[at][:MOST_CHARACTERS], bool(targets[at]), int(clean[at]), int(triggered[at])
            )
        )
    return tuple(items)
