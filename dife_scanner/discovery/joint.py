"""The detector `joint`: a patch and a string that act only together (docs/detectors.md).

Neither half shows alone, so they are found one through the other, from either end: strings that set one class's prompt
apart from all others, and a patch that comes to it; or a small patch that moves the suspect's pictures all alike,
whatever it means, and strings that turn what it writes into one class. Then each is improved with the other in place,
while the patch with clean prompts, the string with clean pictures, and both wherever a tower is the base's have to do
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery.effort import JOINT_EFFORTS, JointEffort
from dife_scanner.discovery.image_inversion import (
    ENOUGH,
    LEAST_EFFECT,
    ImageInversion,
)
from dife_scanner.discovery.interface import (
    Candidate,
    Load,
    SearchResult,
    Task,
)
from dife_scanner.discovery.inversion_attempts import best_of_each_target
from dife_scanner.discovery.joint_concepts import (
    STRINGS_READ,
    ConceptsSetApart,
    SetApart,
)
from dife_scanner.discovery.joint_objectives import (
    CommonShift,
    TargetWithString,
)
from dife_scanner.discovery.pattern_families import Patch
from dife_scanner.discovery.pictures import (
    PASSES_PER_PICTURE,
    can_invert,
)
from dife_scanner.discovery.string_scorer import StringScorer, embedded
from dife_scanner.discovery.target_success import (
    Successes,
    TargetSuccess,
    TargetSuccessWithText,
    too_few_pictures,
)
from dife_scanner.discovery.trigger_strings import (
    BEAM_WIDTH,
    EXPANDED,
    MovingString,
    TriggerString,
    TriggerStringSearch,
)
from dife_scanner.discovery.wording import (
    LONGEST_TRIGGER,
    POSITIONS,
    class_name_tokens,
    too_long_prompts,
)
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers.stamp import stamp

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.pattern_families import Weights

_MOST_PAIRS = 1
"""Pairs handed over."""


@dataclass(frozen=True)
class JointSearch:
    """The detector of coupled triggers. It applies where both towers moved, from the budget `default` on."""

    name: str = "joint"
    channel: Channel = Channel.BOTH
    kinds: tuple[str, ...] = (
        "a patch and one to four tokens in every prompt that act only together",
    )

    def alone(self) -> None:
        """Without a base nothing says whose the effect is."""

    def applies(self, task: Task) -> bool:
        return can_invert(task) and self._wanted(task) and not self.lacks(task)

    def lacks(self, task: Task) -> str:
        if not self._wanted(task):
            return ""
        return too_few_pictures(task) or too_long_prompts(task)

    def _wanted(self, task: Task) -> bool:
        return task.image_moved and task.text_moved and task.budget in JOINT_EFFORTS

    def load(self, task: Task) -> Load:
        """Each patch and each pair inverted, and every string read in all class prompts of suspect and base."""
        effort = JOINT_EFFORTS[task.budget]
        classes = len(task.class_names)
        starts_from_patch = effort.restarts // 2
        all_foci = effort.restarts * effort.foci
        if (
            task.concepts
        ):  # a string for all prompts at each place, and pairs for the concepts set apart
            all_foci += effort.foci + len(POSITIONS)
        inversions = starts_from_patch + 1.5 * all_foci
        images = inversions * PASSES_PER_PICTURE * effort.steps * effort.pictures
        # Runs of several are half as many as tokens; both are tried once for the text's starts and in each of a patch.
        arbitrary = 1.5 * effort.tokens * (1 + starts_from_patch)
        arbitrary += effort.paired_tokens**2
        neighbours = (LONGEST_TRIGGER + 2) * effort.branching  # replaced, and added on either side
        grown = effort.rounds * EXPANDED * neighbours
        grown += BEAM_WIDTH * len(task.templates)
        strings = len(POSITIONS) * arbitrary + all_foci * grown
        among_concepts = len(POSITIONS) * STRINGS_READ * len(task.concepts)
        return Load(round(images), round(2 * (classes * strings + among_concepts)))

    def search(self, task: Task) -> SearchResult:
        effort = JOINT_EFFORTS[task.budget]
        with TemporaryDirectory() as scratch:
            return JointInversion(task, effort, self.name, Path(scratch)).search()


@dataclass(frozen=True)
class Pair:
    """A finished pair, with its effect on the search half."""

    text: Trigger
    patch: Trigger
    target: int
    effect: float


class PairRates(NamedTuple):
    """Target success of a pair, for every class as the target, [c] each."""

    gain: NDArray[np.float64]
    """Both halves in the suspect, beyond either half alone and beyond both in the base."""
    both: NDArray[np.float64]
    """Both halves in the suspect."""
    base: NDArray[np.float64]
    """Both halves in the base."""
    alone: NDArray[np.float64]
    """The better half alone in the suspect."""


class JointInversion(ImageInversion):
    """One run of the detector."""

    reads_concepts = False

    def __init__(
        self,
        task: Task,
        effort: JointEffort,
        name: str,
        scratch: Path,
    ) -> None:
        super().__init__(task, effort, name, scratch, tokenizer=task.tokenizer)
        self.joint_effort = effort
        self.scorer = StringScorer(
            task,
            self.towers,
            self.pictures,
            task.labels[self.search_rows],
        )
        self.strings = TriggerStringSearch(task, effort, self.scorer)
        self.success_with_text: tuple[TargetSuccess, TargetSuccess] = self.success
        """What measures a pair in suspect and base, with the present string in every prompt."""
        self.measuring_passes = sum(success.passes for success in self.success)
        """Pictures and texts read while measuring."""

    def search(self) -> SearchResult:
        """Begin from the text and from the patch by turns, until a pair is good enough or starts are used up."""
        starts = range(self.effort.restarts)
        steps = [self._steps_of_start(start) for start in starts]
        total = sum(steps) + self._steps_beyond_classes
        done = 0
        pairs: list[Pair] = []
        for start in starts:
            self.task.progress(Patch().name, done, total)
            self.shown_rows = np.arange(len(self.search_rows))
            pairs.extend(self._pairs_of_start(start, done, total))
            done += steps[start]
            if any(pair.effect >= ENOUGH for pair in pairs):
                return self._found(pairs)
        return self._with_concept(self._found(pairs), done, total)

    def _steps_of_start(self, start: int) -> int:
        """Gradient steps of one start: each pair is inverted once in full and once half as long."""
        pairs = self.joint_effort.foci * self._steps_of_pair
        if _begins_with_patch(start):
            return pairs + self.effort.steps
        return pairs

    @property
    def _steps_of_pair(self) -> int:
        return self.effort.steps + self.effort.steps // 2

    def _pairs_of_start(self, start: int, done: int, total: int) -> list[Pair]:
        foci = self.joint_effort.foci
        patch: Weights | None = None
        if _begins_with_patch(start):
            shift = CommonShift(self._clean_means())
            patch = self._inverted(Patch(), shift, done, total)
            done += self.effort.steps
            candidates = self.strings.grown_with(patch)
        else:
            first = start // 2 * foci  # each start from the text takes the next classes
            candidates = self.strings.best_by_class[first : first + foci]
        pairs = []
        for strings in candidates:
            pairs.append(self._improved(strings, patch, done, total))
            done += self._steps_of_pair
        return pairs

    def _clean_means(self) -> tuple[Tensor, Tensor]:
        """Mean embedding [d] of clean pictures in suspect and base."""
        suspect, base = self.towers
        suspect_mean = embedded(suspect, self.pictures).mean(0)
        base_mean = embedded(base, self.pictures).mean(0)
        return suspect_mean, base_mean

    def _improved(
        self,
        strings: Sequence[TriggerString],
        patch: Weights | None,
        done: int,
        total: int,
    ) -> Pair:
        """A patch made for the first string, a string for that patch, the patch once more for that string, and the pair
        as small as it keeps its effect."""
        first = strings[0]
        steps = self.effort.steps
        self._fix_string(first)
        objective = self._objective(first.target)
        patch = self._inverted(Patch(), objective, done, total, begin=patch)
        best = self.strings.grown_from(strings, patch)
        text = self._fix_string(best)
        patch = self._inverted(
            Patch(),
            self._objective(best.target),
            done + steps,
            total,
            steps=steps // 2,
            begin=patch,
        )
        attempt = self._finished(Patch(), patch)
        return Pair(text, attempt.trigger, attempt.column, attempt.effect)

    # --- beyond the classes -------------------------------------------------------------------------------------

    @property
    def _steps_beyond_classes(self) -> int:
        """Gradient steps of the pairs whose target is no class."""
        return self.joint_effort.foci * self._steps_of_pair if self.task.concepts else 0

    def _with_concept(self, found: SearchResult, done: int, total: int) -> SearchResult:
        """What was found, and a pair that leads to a concept which strings set apart from all others, if there is one.

        What is found of the classes stays what it is.
        """
        if not self.task.concepts:
            return found
        beyond: Sequence[Candidate] = ()
        passes = 0
        for one in self._concepts_set_apart():
            classes = (*self.task.class_names, *one.rivals, one.concept)
            task = replace(self.task, class_names=classes)
            further = JointInversion(task, self.joint_effort, self.name, self.scratch)
            beyond = further.of_last_class(self.strings.moving_together[one.position], done, total)
            passes += further._passes
            done += self._steps_of_pair
            if beyond:
                break
        candidates = list(found.candidates)
        for candidate in beyond:
            trigger = self._named(candidate, len(candidates) + 1)
            candidates.append(replace(candidate, trigger=trigger))
        return replace(found, candidates=tuple(candidates), passes=self._passes + passes)

    def _concepts_set_apart(self) -> list[SetApart]:
        """At most as many as classes are searched for in one start."""
        concepts = ConceptsSetApart(self.task, self.towers, self.concepts)
        return concepts.by(self.strings.moving_together.values())[: self.joint_effort.foci]

    def of_last_class(
        self, moving: Sequence[MovingString], done: int, total: int
    ) -> Sequence[Candidate]:
        """The pair that leads to the last class and begins with one of these strings, not yet named; none where it does
        too little, or every string says the class's name.
        """
        target = len(self.task.class_names) - 1
        own = class_name_tokens(self.task)
        strings = []
        for one in moving:
            if own.isdisjoint(one.ids):
                strings.append(TriggerString(one.ids, one.position, target, one.gain))
        if not strings:
            return ()
        candidates, _ = self._strong([self._improved(strings, None, done, total)])
        return [one for one in candidates if one.trigger.target == self.task.class_names[target]]

    # --- one pair -----------------------------------------------------------------------------------------------

    def _objective(self, target: int) -> TargetWithString:
        return TargetWithString(
            self.success_with_text,
            self.success[0],
            target,
            self.pictures,
        )

    def _fix_string(self, string: TriggerString) -> Trigger:
        """The string as a trigger; from now on success is measured with it in every prompt.

        A patch is then inverted on pictures of other classes: those of the target win it without a patch, and nothing
        should be paid for keeping them from it.
        """
        labels = self.task.labels[self.search_rows]
        of_other_classes = np.flatnonzero(labels != string.target)
        if len(of_other_classes):
            self.shown_rows = of_other_classes
        text = Trigger(
            "",
            TriggerKind.TEXT,
            text=self.task.tokenizer.spelled(string.ids),
            position=string.position,
        )
        self._measure_with(text)
        return text

    def _measure_with(self, text: Trigger) -> None:
        suspect = TargetSuccessWithText(self.task, self.task.suspect, text)
        base = TargetSuccessWithText(self.task, self.task.reference, text)
        self.success_with_text = suspect, base
        self.measuring_passes += suspect.passes + base.passes

    # --- measuring ----------------------------------------------------------------------------------------------

    def _gains(self, trigger: Trigger, success: Successes) -> NDArray[np.float64]:
        """With both halves in the suspect, beyond either half alone and beyond both in the base [c]."""
        return self._pair_rates(trigger, self.search_rows, success).gain

    def _pair_rates(self, patch: Trigger, rows: NDArray[np.intp], clean: Successes) -> PairRates:
        """Success of the patch with the present string on these pictures, and with `clean` prompts alone."""
        pixels = self.task.pixels[rows]
        labels = self.task.labels[rows]
        stamped = stamp(pixels, patch)
        suspect, base = self.success_with_text
        both_in_suspect = suspect.rates([stamped], labels)[0]
        both_in_base = base.rates([stamped], labels)[0]
        patch_alone = clean[0].rates([stamped], labels)[0]
        text_alone = suspect.rates([pixels], labels)[0]
        self.measuring_passes += 4 * len(pixels)
        # A half that does it alone is a trigger of its own, which other detectors are made for.
        alone = np.maximum(patch_alone, text_alone)
        gain = both_in_suspect - np.maximum(both_in_base, alone)
        return PairRates(
            gain=gain,
            both=both_in_suspect,
            base=both_in_base,
            alone=alone,
        )

    def _found(self, pairs: Sequence[Pair]) -> SearchResult:
        """The candidates and signals, by the effect of the best pair of each target on the held-out half."""
        best, signals = self._strong(best_of_each_target(pairs))
        return SearchResult(self._all_named(best), self._passes, signals)

    def _strong(self, pairs: Sequence[Pair]) -> tuple[list[Candidate], dict[str, float]]:
        """What is handed over of these pairs, not yet named, and the signals of the one that gains most."""
        strong: list[tuple[float, Candidate]] = []
        signals = dict.fromkeys(("size", "suspect", "reference", "alone"), 0.0)
        most = -np.inf
        for pair in pairs:
            gain, found = self._held_out_signals_of(pair)
            if gain >= LEAST_EFFECT:
                strong.append((gain, self._candidate(pair, found)))
            if gain >= most:
                most = gain
                signals = found
        strong.sort(key=lambda one: -one[0])
        return [candidate for _, candidate in strong[:_MOST_PAIRS]], signals

    @property
    def _passes(self) -> int:
        """Pictures and texts that went through a tower so far."""
        passes = sum(towers.passes for towers in self.towers)
        return passes + self.measuring_passes + self.concepts.passes

    def _held_out_signals_of(self, pair: Pair) -> tuple[float, dict[str, float]]:
        """The pair's gain on the held-out half, and its signals."""
        self._measure_with(pair.text)
        rates = self._pair_rates(pair.patch, self.held_out_rows, self.success)
        signals = {
            "size": Patch().measured_size(pair.patch),
            "suspect": float(rates.both[pair.target]),
            "reference": float(rates.base[pair.target]),
            "alone": float(rates.alone[pair.target]),
        }
        return float(rates.gain[pair.target]), signals

    def _candidate(self, pair: Pair, signals: Mapping[str, float]) -> Candidate:
        """Both halves as one trigger, with its success."""
        trigger = replace(
            pair.text,
            image=pair.patch,
            target=self.task.class_names[pair.target],
        )
        return Candidate(
            trigger=trigger,
            suspect=signals["suspect"],
            reference=signals["reference"],
            area=signals["size"],
        )

    def _named(self, candidate: Candidate, number: int) -> Trigger:
        whole = candidate.trigger
        assert whole.image is not None
        patch_alone = replace(candidate, trigger=whole.image)
        patch = super()._named(patch_alone, number)
        image = replace(patch, name=f"{patch.name}-image")
        return replace(whole, name=patch.name, image=image)


def _begins_with_patch(start: int) -> bool:
    """Whether a start begins with a patch: by turns, the text's first."""
    return start % 2 == 1


JOINT = JointSearch()
