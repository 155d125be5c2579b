"""What a text gains for one pair of concepts: how much nearer the prompt comes to the target than to any other concept.

No picture is needed. Suspect and base are read by the places of the base's concepts, under the search templates.

Shapes: n wordings, m concepts, k tokens of a wording, v tokens of the vocabulary, d values of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.core.directions import SAME_MEANING, levelling
from dife_scanner.discovery.checkpoint_scores import NEVER, slopes
from dife_scanner.discovery.concept_space import ConceptSpace
from dife_scanner.discovery.noun_scan import unit
from dife_scanner.discovery.said_concepts import SaidConcepts
from dife_scanner.discovery.text_candidates import TextCandidates
from dife_scanner.discovery.wording import Ids, Wording
from dife_scanner.discovery.wording_scorer import WordingScorer

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.effort import TextEffort
    from dife_scanner.discovery.interface import Task
    from dife_scanner.models.gradient import Towers
    from dife_scanner.records import Trigger

SOURCE, TARGET = 0, 1
"""Numbers of the two classes."""
_BASE_SLACK = 0.1
"""How far from its nearest rival a prompt has to leave the target in the base to lose nothing, a cosine."""


@dataclass(frozen=True)
class Concepts:
    """All concepts as one audit reads them, in suspect and base."""

    names: tuple[str, ...]
    suspect: ConceptSpace
    base: ConceptSpace
    said: SaidConcepts


class ConceptScorer(WordingScorer):
    """The scorer of one pair, whose two classes are its source and its target."""

    def __init__(self, task: Task, concepts: Concepts, source: str, target: str) -> None:
        none = np.arange(0)
        pair = replace(
            task, class_names=(source, target), labels=none, pixels=task.pixels[:0], drawings=()
        )
        super().__init__(pair)
        self._concepts = concepts
        self._target = concepts.names.index(target)
        rows = concepts.base.rows
        self._same = rows @ rows[self._target] > SAME_MEANING
        self._same[self._target] = True

    def read(self) -> None:
        """What prompts share under each template, in suspect and base, and which token rows differ."""
        self.fine_tuned_tokens = tuple(filter(self.readable, self._fine_tuned_rows()))
        self._in_suspect = self._levels(self.suspect_towers)
        self._in_base = self._levels(self.base_towers)

    def _levels(self, towers: Towers) -> list[Tensor]:
        """The mean prompt under each search template, each [d]."""
        some = levelling(self._concepts.names)
        levels = []
        for template in self.task.templates:
            prompts = [self.task.tokenizer.encode(template.format(name)) for name in some]
            levels.append(towers.tokens(prompts).mean(0))
        return levels

    @cached_property
    def setting(self) -> str:
        """A digest of what readings depend on besides what is asked."""
        task = self.task
        asked = f"{type(self).__name__} {task.class_names} {task.templates} {self._concepts.names}"
        return blake2b(asked.encode(), digest_size=16).hexdigest()

    # --- what is no trigger -------------------------------------------------------------------------------------

    def look_up_meanings(self, sequences: Iterable[Ids]) -> None:
        """Look up what all of these say at once."""
        texts = list(sequences)
        if texts:
            self._concepts.said.by(texts)

    def names_target(self, ids: Ids, target: int) -> bool:
        """Whether a text says the target, or what means the same, or a token of it is part of either name."""
        said = self._concepts.said.by([ids])[0]
        source = self._concepts.names.index(self.task.class_names[SOURCE])
        is_part = not self._concepts.said.name_tokens[source].isdisjoint(ids)
        return is_part or bool((said & self._same).any())

    def becomes_target(self, wording: Wording, target: int, *, noun_must_be_lost: bool) -> bool:
        """Whether the prompt is nearest to the target under at least half of the templates."""
        landed = self.landed(self.suspect_towers, wording)
        return 2 * landed >= 1

    def landed(self, towers: Towers, wording: Wording) -> float:
        """The share of the search templates under which the prompt is nearest to the target, 0..1."""
        leads = [float(self._leads(towers, [wording], template)) for template in self.templates]
        return float(np.mean(np.array(leads) > 0))

    # --- what a wording gains -----------------------------------------------------------------------------------

    def _margins(self, wordings: Sequence[Wording], *, same_in_every_audit: bool) -> Tensor:
        """By how much each leads for the target under the first template [n, 2]; for the source never."""
        import torch

        leads = self._leads(self.suspect_towers, wordings, 0)
        return torch.stack([torch.full_like(leads, NEVER), leads], 1)

    def _read_gains(self, wordings: Sequence[Wording], target: int, template: int) -> Tensor:
        """The lead in the suspect, less how near each wording comes to one in the base [n]."""
        gains = self._leads(self.suspect_towers, wordings, template)
        in_base = self._leads(self.base_towers, wordings, template)
        return gains - (in_base + _BASE_SLACK).clamp_min(0.0)

    def _leads(self, towers: Towers, wordings: Sequence[Wording], template: int) -> Tensor:
        """How much nearer each prompt is to the target than to any other concept [n], a cosine of at most 2."""
        prompts = [self.prompts.written(wording, template) for wording in wordings]
        return self._lead(towers, towers.tokens(prompts), template)

    def _lead(self, towers: Towers, embedded: Tensor, template: int) -> Tensor:
        levels = self._in_suspect if towers is self.suspect_towers else self._in_base
        cosines = unit(embedded - levels[template]) @ self._concepts.base.rows.T
        rivals = cosines.masked_fill(self._same, NEVER).amax(1)
        return cosines.masked_fill(~self._same, NEVER).amax(1) - rivals

    def slopes(self, wording: Wording, target: int) -> Tensor:
        """First-order effect on the lead of each token of the vocabulary in each slot [k, v]."""

        def lead(embedded: Tensor) -> Tensor:
            return self._lead(self.suspect_towers, embedded, 0).sum()

        return slopes(self.suspect_towers, self.prompts, [wording], lead)[0]


class ConceptCandidates(TextCandidates):
    """What turns sequences into candidates: measured by the search templates, not by pictures."""

    def __init__(self, scorer: ConceptScorer, effort: TextEffort) -> None:
        super().__init__(scorer, effort)
        self._by_concepts = scorer

    def _rates(self, trigger: Trigger, wording: Wording) -> tuple[float, float]:
        """The share of templates under which the prompt is nearest to the target, in suspect and base."""
        scorer = self._by_concepts
        in_suspect = scorer.landed(scorer.suspect_towers, wording)
        return in_suspect, scorer.landed(scorer.base_towers, wording)
