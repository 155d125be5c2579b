"""Which text? A close search for each pair that the open scan found, on the pictures of its panel.

Where the target has no pictures, clean prompts under the search templates stand in their place, as each tower embeds
them itself: a text wins one where its prompt is nearer to it than the prompts of all other classes are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery.checkpoint_scores import NEVER, CheckpointScores
from dife_scanner.discovery.close_search import CloseSearch
from dife_scanner.discovery.interface import Candidate, Task
from dife_scanner.discovery.open_scan import ConceptTurn
from dife_scanner.discovery.sensitivity_scan import SensitivityScan
from dife_scanner.discovery.taught_words import TaughtWords
from dife_scanner.discovery.text_candidates import TextCandidates
from dife_scanner.discovery.wording_scorer import WordingScorer

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.effort import OpenScanEffort, TextEffort
    from dife_scanner.models.gradient import Towers
    from dife_scanner.models.interface import Encoder
    from dife_scanner.records import Trigger

    Embeddings = NDArray[np.float32]

MOST_CANDIDATES = 3
"""Most texts of one audit that lead from or to what no labelled class is."""
_NEIGHBOURS = 24
"""Concepts that a text has to be nearer to its target than, where that has no pictures: the first of the task's."""


class OpenTexts:
    """The close searches of one audit beyond the labelled classes."""

    def __init__(
        self,
        task: Task,
        effort: TextEffort,
        open_effort: OpenScanEffort,
        report_progress: Callable[[], None],
    ) -> None:
        self._task = task
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
        triggers = [one for one in found if not taught.holds(one.trigger)]
        self.words += len(found) - len(triggers)
        return triggers

    def _search(self, turn: ConceptTurn) -> tuple[Candidate, ...]:
        scorer = self._scorer(turn)
        scorer.read()
        scan = SensitivityScan(scorer, self._effort)
        names = scorer.task.class_names
        source, target = names.index(turn.source), names.index(turn.target)
        foci = scan.foci_of_texts(turn.texts, source, target)
        search = CloseSearch(scorer, self._effort, self._report_progress)
        beams = {focus: search.grow(focus) for focus in foci[:1]}
        found = scorer.candidates(self._effort).chosen(beams)
        self.passes += scorer.passes
        return found

    def _scorer(self, turn: ConceptTurn) -> PanelScorer:
        pictures = self._task.panel(turn.source, turn.target)
        if pictures is not None:
            return PanelScorer(self._task.on(pictures))
        return AnchorScorer(_among_prompts(self._task, turn))


def _among_prompts(task: Task, turn: ConceptTurn) -> Task:
    """The task among classes without any picture: source, target, and others that a text may lead to instead."""
    others = [name for name in (*task.class_names, *task.recognised) if name != turn.target]
    names = tuple(dict.fromkeys((*others[:_NEIGHBOURS], turn.source, turn.target)))
    return replace(
        task, class_names=names, labels=np.arange(0), pixels=task.pixels[:0], drawings=()
    )


class PanelScorer(WordingScorer):
    """The scorer of one pair, on pictures of its panel."""

    def candidates(self, effort: TextEffort) -> TextCandidates:
        """What turns sequences into candidates."""
        return TextCandidates(self, effort)


class AnchorScorer(PanelScorer):
    """The scorer of one pair without pictures."""

    def candidates(self, effort: TextEffort) -> TextCandidates:
        return _AnchorCandidates(self, effort)

    def _pictures(self) -> tuple[Embeddings, Embeddings]:
        """Clean prompts of every class under every template, in suspect and base."""
        texts = [
            template.format(name)
            for template in self.task.templates
            for name in self.task.class_names
        ]
        labels = np.tile(np.arange(len(self.task.class_names)), len(self.task.templates))
        self.task = replace(self.task, labels=labels)
        self._pictures_read += 2 * len(texts)
        return self.task.suspect.encode_texts(texts), self.task.reference.encode_texts(texts)

    def _scores_of(self, towers: Towers, pictures: Embeddings) -> CheckpointScores:
        return _AnchorScores(towers, pictures, self.task.labels, self.prompts)


class _AnchorScores(CheckpointScores):
    """Prompts in the place of pictures: none is its own rival."""

    def _best_rivals(self) -> Tensor:
        scores = self.clean_scores
        self.clean_scores = scores.scatter(1, self.labels[:, None], NEVER)
        rivals = super()._best_rivals()
        self.clean_scores = scores
        return rivals


class _AnchorCandidates(TextCandidates):
    def _qhr(self, side: CheckpointScores, encoder: Encoder, trigger: Trigger) -> float:
        """Share of the target's prompts, 0..1, that the triggered prompt is nearer to than those of other classes."""
        import torch

        triggered = self._triggered_prompt(side, encoder, trigger)
        source = torch.tensor([self._task.class_names.index(trigger.source)])
        embedded = torch.from_numpy(np.asarray(triggered, np.float32))[None].to(side.towers.device)
        rates = side.rates(embedded, source.to(side.towers.device))
        return float(rates[0, self._task.class_names.index(trigger.target)])


def _numbered(candidate: Candidate, number: int) -> Candidate:
    trigger = replace(candidate.trigger, name=f"found-open-text-{number}")
    return replace(candidate, trigger=trigger)
