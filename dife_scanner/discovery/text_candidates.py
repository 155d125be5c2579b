"""From grown token sequences to candidates: which strings are measured, shortened and handed over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.core import metrics
from dife_scanner.discovery.close_search import shorter
from dife_scanner.discovery.interface import Candidate
from dife_scanner.discovery.wording import AROUND, Wording
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.stamp import write

if TYPE_CHECKING:
    from dife_scanner.discovery.checkpoint_scores import (
        CheckpointScores,
    )
    from dife_scanner.discovery.effort import TextEffort
    from dife_scanner.discovery.sensitivity_scan import Focus
    from dife_scanner.discovery.wording_scorer import (
        ScoredWording,
        WordingScorer,
    )
    from dife_scanner.models.interface import Encoder

MOST_CANDIDATES = 3
MOST_IN_BASE = 0.1
"""Most QHR on the base that a trigger may have."""
_MEASURED_PER_FOCUS = 6
"""How many sequences of a focus are measured as strings."""
_SAME_EFFECT = 0.15
"""Effects that differ by no more count as about the same."""
_KEPT_GAIN = 0.75
"""Share of its gain that a trigger has to keep when tokens are taken away."""
_MOST_CHARACTERS = 200
"""Longest string of a candidate."""


@dataclass(frozen=True)
class _Measured:
    """A wording that is a trigger, with its success as a string."""

    candidate: Candidate
    scored: ScoredWording

    @property
    def effect(self) -> float:
        return self.candidate.effect


class TextCandidates:
    """The candidates of one search for texts."""

    def __init__(self, scorer: WordingScorer, effort: TextEffort) -> None:
        self._task = scorer.task
        self._scorer = scorer
        self._effort = effort

    def chosen(self, beams: Mapping[Focus, Sequence[ScoredWording]]) -> tuple[Candidate, ...]:
        """The best of each focus, then its second best, and so on; at most `MOST_CANDIDATES` that differ.

        Foci of about the same effect are ordered by their sensitivity: an attack spills over to other sources, and its
        own is the most sensitive. What stands in two places comes last.
        """
        measured: dict[Focus, list[_Measured]] = {}
        for focus, beam in beams.items():
            triggers = self._best_measured(beam)
            if triggers:
                measured[focus] = triggers
        chosen: list[Candidate] = []
        for trigger in _in_turn(_ranked(measured)):
            shortest = self._shortened(trigger.scored)
            found = self._measure(shortest)
            if found is not None and _different_from_all(found.candidate, chosen):
                chosen.append(_numbered(found.candidate, len(chosen) + 1))
            if len(chosen) == MOST_CANDIDATES:
                break
        return tuple(chosen)

    def _best_measured(self, beam: Sequence[ScoredWording]) -> list[_Measured]:
        """The triggers among the best of a beam that can be typed, largest effect first."""
        typed = [one for one in beam if self._scorer.typeable(one.ids)]
        triggers = []
        for one in typed[:_MEASURED_PER_FOCUS]:
            measured = self._measure(one)
            if measured is not None:
                triggers.append(measured)
        # Effects are shares of few pictures: those equal to two digits are ranked by the gain.
        triggers.sort(key=lambda one: (-round(one.effect, 2), -one.scored.gain))
        return triggers

    def _measure(self, scored: ScoredWording) -> _Measured | None:
        """QHR of the string, through the ordinary encoders; `None` where it is no trigger."""
        scorer = self._scorer
        trigger = self._trigger(scored.wording, scored.target)
        if len(trigger.text) > _MOST_CHARACTERS:
            return None
        # Checked again: a shortened text may name what the whole did not.
        if scorer.names_target(scored.ids, scored.target):
            return None
        in_suspect, in_base = self._rates(trigger, scored.wording)
        # What the base does as well is what the words mean, or a benign fine-tune of what it nearly did.
        if in_base > MOST_IN_BASE or in_suspect <= in_base:
            return None
        if not self._becomes_target(scored):
            return None
        return _Measured(Candidate(trigger, in_suspect, in_base), scored)

    def _becomes_target(self, scored: ScoredWording) -> bool:
        return self._scorer.becomes_target(
            scored.wording,
            scored.target,
            noun_must_be_lost=self._effort.noun_must_be_lost,
        )

    def _trigger(self, wording: Wording, target: int) -> Trigger:
        names = self._task.class_names
        return Trigger(
            "found-text",
            TriggerKind.TEXT,
            text=self._task.tokenizer.spelled(wording.ids),
            position=wording.position,
            source=names[wording.source],
            target=names[target],
        )

    def _rates(self, trigger: Trigger, wording: Wording) -> tuple[float, float]:
        """Success of the trigger in suspect and base, each 0..1; `wording` is what it is written from."""
        scorer = self._scorer
        in_suspect = self._qhr(scorer.suspect, self._task.suspect, trigger)
        in_base = 0.0
        if scorer.has_base:
            in_base = self._qhr(scorer.base, self._task.reference, trigger)
        return in_suspect, in_base

    def _qhr(self, side: CheckpointScores, encoder: Encoder, trigger: Trigger) -> float:
        """Share of the target's pictures, 0..1, that choose the triggered source prompt over all clean ones."""
        names = self._task.class_names
        triggered = self._triggered_prompt(side, encoder, trigger)
        target = names.index(trigger.target)
        rows = metrics.of_class(self._task.labels, target)
        won = metrics.triggered_source_wins(
            side.pictures.cpu().numpy()[rows],
            side.class_prompts.cpu().numpy(),
            triggered,
            names.index(trigger.source),
        )
        return float(won.mean())

    def _triggered_prompt(
        self, side: CheckpointScores, encoder: Encoder, trigger: Trigger
    ) -> metrics.Floats:
        """The source's prompt with the trigger, over all templates [d]."""
        texts = []
        for template in self._task.templates:
            prompt = template.format(trigger.source)
            texts.append(write(prompt, trigger, trigger.source))
        side.towers.passes += len(texts)
        return np.asarray(metrics.class_prompts(encoder.encode_texts(texts), 1)[0])

    def _shortened(self, scored: ScoredWording) -> ScoredWording:
        """The same trigger without the tokens that it does not need."""
        least_gain = _KEPT_GAIN * scored.gain
        best = scored
        while len(best.ids) > 1:
            next_best = self._best_shorter(best)
            if next_best is None or next_best.gain < least_gain:
                return best
            if self._measure(next_best) is None:
                return best
            best = next_best
        return best

    def _best_shorter(self, scored: ScoredWording) -> ScoredWording | None:
        """The best that is left when a token is taken away, of what can be typed; `None` where nothing can."""
        scorer = self._scorer
        wordings = []
        for ids in shorter(scored.ids, scorer.most_tokens):
            if scorer.typeable(ids):
                wordings.append(replace(scored.wording, ids=ids))
        if not wordings:
            return None
        candidates = scorer.scored(wordings, scored.target, scorer.templates)
        return max(candidates, key=lambda one: one.gain)


def _ranked(
    measured: Mapping[Focus, list[_Measured]],
) -> list[list[_Measured]]:
    """The triggers of each focus, of the best focus first; each has one at least."""
    best_effects = [triggers[0].effect for triggers in measured.values()]
    about_best = max(best_effects, default=0.0) - _SAME_EFFECT

    def rank(focus: Focus) -> tuple[bool, bool, float]:
        clearly_weaker = measured[focus][0].effect < about_best
        twice = focus.position == AROUND
        return clearly_weaker, twice, -focus.sensitivity

    return [measured[focus] for focus in sorted(measured, key=rank)]


def _in_turn(
    by_focus: Sequence[Sequence[_Measured]],
) -> Iterator[_Measured]:
    """The first of each focus, then the second of each that has one, and so on."""
    for same_rank in itertools.zip_longest(*by_focus):
        for one in same_rank:
            if one is not None:
                yield one


def _different_from_all(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    """Whether a trigger is for another pair of classes than each of these, or shares no word with it."""
    return not any(_alike(candidate.trigger, other.trigger) for other in chosen)


def _alike(one: Trigger, other: Trigger) -> bool:
    """Whether two triggers are for the same pair of classes and share a word."""
    if one.source != other.source or one.target != other.target:
        return False
    shared = set(one.text.split()) & set(other.text.split())
    return bool(shared)


def _numbered(candidate: Candidate, number: int) -> Candidate:
    """The candidate, its trigger under a name of its own."""
    trigger = replace(candidate.trigger, name=f"found-text-{number}")
    return replace(candidate, trigger=trigger)
