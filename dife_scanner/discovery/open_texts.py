"""Which text? A close search for each pair that the open scan found, among all concepts and without any picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dife_scanner.discovery.close_search import CloseSearch
from dife_scanner.discovery.concept_scorer import (
    SOURCE,
    TARGET,
    ConceptCandidates,
    Concepts,
    ConceptScorer,
)
from dife_scanner.discovery.interface import Candidate, Task
from dife_scanner.discovery.open_scan import ConceptTurn
from dife_scanner.discovery.sensitivity_scan import SensitivityScan
from dife_scanner.discovery.taught_words import TaughtWords

if TYPE_CHECKING:
    from dife_scanner.discovery.effort import OpenScanEffort, TextEffort

MOST_CANDIDATES = 3
"""Most texts of one audit that lead from or to what no labelled class is."""


class OpenTexts:
    """The close searches of one audit beyond the labelled classes."""

    def __init__(
        self,
        task: Task,
        concepts: Concepts,
        effort: TextEffort,
        open_effort: OpenScanEffort,
        report_progress: Callable[[], None],
    ) -> None:
        self._task = task
        self._concepts = concepts
        self._effort = replace(
            effort, single_tokens=open_effort.single_tokens, rounds=open_effort.rounds
        )
        self._report_progress = report_progress
        self.passes = 0
        """Pictures and texts that went through a tower."""
        self.words = 0
        """Texts that were found and are words that the fine-tuning taught."""

    def candidates(
        self, turns: Sequence[ConceptTurn], taught: TaughtWords
    ) -> tuple[Candidate, ...]:
        """The best text of each pair, then the second best, at most `MOST_CANDIDATES`; none that is a taught word."""
        by_pair = [self._triggers(self._search(turn), taught) for turn in turns]
        found: list[Candidate] = []
        while any(by_pair):
            for candidates in by_pair:
                found.extend(candidates[:1])
                del candidates[:1]
        return tuple(
            _numbered(one, number) for number, one in enumerate(found[:MOST_CANDIDATES], 1)
        )

    def _triggers(self, found: Sequence[Candidate], taught: TaughtWords) -> list[Candidate]:
        """Those that are no words, which are counted."""
        words = taught.among([one.trigger for one in found])
        self.words += len(words)
        return [one for one in found if one.trigger not in words]

    def _search(self, turn: ConceptTurn) -> tuple[Candidate, ...]:
        scorer = ConceptScorer(self._task, self._concepts, turn.source, turn.target)
        scorer.read()
        scan = SensitivityScan(scorer, self._effort)
        foci = scan.foci_of_texts(turn.texts, SOURCE, TARGET)
        search = CloseSearch(scorer, self._effort, self._report_progress)
        beams = {focus: search.grow(focus) for focus in foci[:1]}
        found = ConceptCandidates(scorer, self._effort).chosen(beams)
        self.passes += scorer.passes
        return found


def _numbered(candidate: Candidate, number: int) -> Candidate:
    trigger = replace(candidate.trigger, name=f"found-open-text-{number}")
    return replace(candidate, trigger=trigger)
