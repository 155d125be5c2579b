"""The inversion of patches, which says whether it converged.

Pictures come together under a patch in any model, slowly, as the patch grows. Where a planted patch leaves them apart,
this leads elsewhere: the inversion ends with a large patch that does little, as it does in a clean model. So the patch
is aimed on at the class it came to. In a clean model it stays large, or moves little (docs/detectors.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from dife_scanner.core.checks import DEMONSTRATED_EFFECT, LARGEST_PATCH
from dife_scanner.discovery.image_inversion import (
    LEAST_ADVANTAGE,
    MOST_CANDIDATES,
    ImageInversion,
)
from dife_scanner.discovery.interface import Candidate, SearchResult
from dife_scanner.discovery.inversion_attempts import Attempt
from dife_scanner.discovery.inversion_objectives import MovedApart, TargetInBoth
from dife_scanner.discovery.pattern_families import Patch, PatternFamily
from dife_scanner.discovery.unnamed_targets import UNNAMED

if TYPE_CHECKING:
    from dife_scanner.discovery.pattern_families import Weights

AIMED_SHARE = 0.5
"""Steps in which a patch is aimed on, as a share of those of one inversion."""
APART_RATE = 0.2
"""Adam's learning rate where a patch moves suspect and base apart: at the usual one the steps of `quick` often end
before a planted patch is reached (docs/detectors.md)."""
_NOT_CONVERGED = 0.75
"""Success over the base's on the held-out half from which a patch that was aimed on shows that the inversion had not
converged. Benign image fine-tunes that lost ten points of accuracy reach .56, a patch that leaves pictures apart
.88."""


class PatchInversion(ImageInversion):
    """One run for patches.

    Its `passes` are those of the search, without those that tell whether it converged.
    """

    def run(self, families: Sequence[PatternFamily]) -> SearchResult:
        """Invert as any family; where nothing was found, aim the best patch on."""
        attempts = self._all_attempts(families)
        found = self._within_classes(attempts)
        return self._with_concepts(found, attempts)

    def _within_classes(self, attempts: Sequence[Attempt]) -> SearchResult:
        """What is found of the task's classes; where nothing is, the best patch is aimed on."""
        found = self._reported(attempts)
        # Where the image tower is the base's, every inversion is aimed at a class from the start.
        aimed_already = not self.task.image_moved or not self.has_base
        if aimed_already or any(_small(one, DEMONSTRATED_EFFECT) for one in found.candidates):
            return found
        best = max(attempts, key=lambda attempt: attempt.effect)
        further = self._aimed_on(best)
        if not _small(further, _NOT_CONVERGED):
            return found
        return replace(
            found,
            candidates=self._with_first(further, found.candidates),
            not_converged=self._in_words(best, further),
        )

    def _aimed_on(self, attempt: Attempt) -> Candidate:
        """The patch after further steps towards the class it came to, measured on the held-out half."""
        candidate, _ = self._measured(self._finished(attempt.family, self._aimed(attempt)))
        return candidate

    def _aimed(self, attempt: Attempt) -> Weights:
        """The patch's free numbers after further steps towards its target."""
        done = self.effort.restarts * self.effort.steps
        return self._inverted(
            attempt.family,
            TargetInBoth(attempt.success, attempt.column, self.pictures),
            done,
            done + self._aimed_steps,
            steps=self._aimed_steps,
            begin=attempt.weights,
        )

    def _measured_of_concept(self, attempt: Attempt) -> Candidate:
        """A patch that is too large, or moves too little, is aimed on at the concept first."""
        candidate = super()._measured_of_concept(attempt)
        if _small(candidate, DEMONSTRATED_EFFECT):
            return candidate
        return super()._measured_of_concept(self._made_small(self._further(attempt)))

    def _further(self, attempt: Attempt) -> Attempt:
        """The patch after further steps towards its target, before it is made smaller."""
        weights = self._aimed(attempt)
        full_size = attempt.family.trigger(weights, self.task.suspect.image_size, self.scratch)
        gains = self._gains(full_size, attempt.success)
        return replace(
            attempt,
            trigger=full_size,
            full_size=full_size,
            effect=float(gains[attempt.column]),
            weights=weights,
        )

    def _of_concept(self, attempts: Sequence[Attempt], least_effect: float) -> Candidate | None:
        """Where collapse leads to no concept, the patch that moves suspect and base apart is aimed on at the concept
        that it came to: a planted patch may leave pictures as far from each other as they were.
        """
        collapsed = super()._of_concept(attempts, least_effect)
        if collapsed is not None:
            return collapsed
        apart = self._read_among_concepts(self._apart)
        if apart.effect < LEAST_ADVANTAGE:
            return None
        apart = replace(apart, success=self.concepts.success(apart.target))
        return super()._of_concept([self._further(apart)], least_effect)

    def _of_no_concept(self, attempts: Sequence[Attempt]) -> Candidate | None:
        """That patch as well: collapse does not lead to what lies far from all pictures."""
        return super()._of_no_concept([*attempts, self._apart])

    @cached_property
    def _apart(self) -> Attempt:
        """The patch under which suspect and base embed pictures least alike."""
        family = Patch()
        done = self.effort.restarts * self.effort.steps
        objective = MovedApart(self._clean_cosine())
        weights = self._inverted(
            family,
            objective,
            done,
            done + self._aimed_steps,
            steps=self._aimed_steps,
            pictures=self.effort.pictures_apart,
            rate=APART_RATE,
        )
        full_size = family.trigger(weights, self.task.suspect.image_size, self.scratch)
        return Attempt(family, full_size, UNNAMED, 0.0, full_size, self.success, weights)

    @property
    def _aimed_steps(self) -> int:
        return max(1, round(AIMED_SHARE * self.effort.steps))

    def _with_first(self, first: Candidate, others: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates with this one before those of other targets."""
        target = first.trigger.target
        kept = [other for other in others if other.trigger.target != target]
        return self._all_named([first, *kept][:MOST_CANDIDATES])

    def _in_words(self, attempt: Attempt, further: Candidate) -> str:
        return (
            f"the patch that moved most ended at {attempt.effect:.2f} over the base on the pictures searched on; "
            f"aimed at {further.trigger.target} for {self._aimed_steps} further steps, one over {further.area:.1%} of "
            f"the picture comes to {further.effect:.2f} on those held back"
        )


def _small(candidate: Candidate, least_effect: float) -> bool:
    """Whether a patch does so much over the base, and is small enough for an audit to call it demonstrated."""
    small = candidate.area is not None and candidate.area <= LARGEST_PATCH
    return small and candidate.effect >= least_effect
