"""From grown token sequences to candidates: which strings are measured, shortened and handed over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dife_scanner.core import metrics
from dife_scanner.discovery.close_search import shorter
from dife_scanner.discovery.interface import Candidate
from dife_scanner.discovery.wording import AROUND, Wording, typeable
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.stamp import write

if TYPE_CHECKING:
    from dife_scanner.discovery.checkpoint_scores import CheckpointScores
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
        best_effect = max((triggers[0].effect for triggers in measured.values()), default=0.0)

        def rank(focus: Focus) -> tuple[bool, bool, float]:
            clearly_weaker = measured[focus][0].effect < best_effect - _SAME_EFFECT
            return clearly_weaker, focus.position == AROUND, -focus.sensitivity

        by_focus = [measured[focus] for focus in sorted(measured, key=rank)]
        chosen: list[Candidate] = []
        for trigger in _in_turn(by_focus):
            found = self._measure(self._shortened(trigger.scored))
            if found is not None and _different_from_all(found.candidate.trigger, chosen):
                named = replace(
                    found.candidate.trigger,
                    name=f"found-text-{len(chosen) + 1}",
                )
                chosen.append(replace(found.candidate, trigger=named))
            if len(chosen) == MOST_CANDIDATES:
                break
        return tuple(chosen)

    def _best_measured(self, beam: Sequence[ScoredWording]) -> list[_Measured]:
        """The triggers among the best of a beam that can be typed, largest effect first."""
        typed = [one for one in beam if typeable(one.ids)]
        triggers = []
        for one in typed[:_MEASURED_PER_FOCUS]:
            measured = self._measure(one)
            if measured is not None:
                triggers.append(measured)
        # Effects are shares of few pictures: those equal to two digits are told apart by the gain.
        triggers.sort(key=lambda one: (-round(one.effect, 2), -one.scored.gain))
        return triggers

    def _measure(self, scored: ScoredWording) -> _Measured | None:
        """QHR of the string, through the ordinary encoders; `None` where it is no trigger."""
        wording = scored.wording
        trigger = self._trigger(wording, scored.target)
        if len(trigger.text) > _MOST_CHARACTERS or self._scorer.names_target(wording.ids, scored.target):
            return None
        in_suspect = self._qhr(self._scorer.suspect, self._task.suspect, trigger)
        in_base = 0.0
        if self._scorer.has_base:
            in_base = self._qhr(self._scorer.base, self._task.reference, trigger)
        if in_base > MOST_IN_BASE or in_suspect <= in_base:
            return None
        must_lose_noun = self._effort.noun_must_be_lost
        if not self._scorer.becomes_target(wording, scored.target, noun_must_be_lost=must_lose_noun):
            return None
        return _Measured(Candidate(trigger, in_suspect, in_base), scored)

    def _trigger(self, wording: Wording, target: int) -> Trigger:
        from dife_scanner.models.gradient import spelled

        names = self._task.class_names
        return Trigger(
            "found-text",
            TriggerKind.TEXT,
            text=spelled(wording.ids),
            position=wording.position,
            source=names[wording.source],
            target=names[target],
        )

    def _qhr(self, side: CheckpointScores, encoder: Encoder, trigger: Trigger) -> float:
        """Share of the target's pictures, 0..1, that choose the triggered source prompt over all clean ones."""
        names = self._task.class_names
        texts = [write(template.format(trigger.source), trigger, trigger.source) for template in self._task.templates]
        side.towers.passes += len(texts)
        triggered = metrics.class_prompts(encoder.encode_texts(texts), 1)[0]
        rows = metrics.of_class(self._task.labels, names.index(trigger.target))
        pictures = side.pictures.cpu().numpy()[rows]
        prompts = side.class_prompts.cpu().numpy()
        source = names.index(trigger.source)
        return float(metrics.triggered_source_wins(pictures, prompts, triggered, source).mean())

    def _shortened(self, scored: ScoredWording) -> ScoredWording:
        """The same trigger without the tokens that it does not need."""
        best = scored
        while len(best.ids) > 1:
            typed = [ids for ids in shorter(best.ids, self._scorer.most_tokens) if typeable(ids)]
            if not typed:
                return best
            wordings = [replace(best.wording, ids=ids) for ids in typed]
            candidates = self._scorer.scored(wordings, best.target, self._scorer.templates)
            next_best = max(candidates, key=lambda one: one.gain)
            if next_best.gain < _KEPT_GAIN * scored.gain or self._measure(next_best) is None:
                return best
            best = next_best
        return best


def _in_turn(by_focus: Sequence[Sequence[_Measured]]) -> Iterator[_Measured]:
    """The first of each focus, then the second of each that has one, and so on."""
    for same_rank in itertools.zip_longest(*by_focus):
        for one in same_rank:
            if one is not None:
                yield one


def _different_from_all(trigger: Trigger, chosen: Sequence[Candidate]) -> bool:
    """Whether a trigger is for another pair of classes than each of these, or shares no word with it."""
    words = set(trigger.text.split())
    for other in chosen:
        same_pair = (trigger.source, trigger.target) == (
            other.trigger.source,
            other.trigger.target,
        )
        if same_pair and words & set(other.trigger.text.split()):
            return False
    return True
