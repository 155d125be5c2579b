"""Trigger inversion by gradient, for image triggers: one pattern for all pictures is optimised for what the suspect
does and its base does not, and then made as small as its effect allows (docs/detectors.md)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery import pattern_files
from dife_scanner.discovery.backing_off import backing_off
from dife_scanner.discovery.disturbances import disturbed
from dife_scanner.discovery.effort import InversionEffort, Rung
from dife_scanner.discovery.interface import (
    Candidate,
    SearchResult,
    Task,
)
from dife_scanner.discovery.inversion_attempts import Attempt, best_of_each_target, finished
from dife_scanner.discovery.inversion_objectives import (
    Collapse,
    Objective,
    TargetPrompt,
    mean_pairwise_cosine,
)
from dife_scanner.discovery.inversion_states import (
    InversionState,
    InversionStates,
    adams_momenta,
    set_adams_state,
)
from dife_scanner.discovery.open_targets import OpenTargets
from dife_scanner.discovery.pattern_families import Patch, PatternFamily
from dife_scanner.discovery.target_success import (
    Pixels,
    Rows,
    Successes,
    TargetSuccess,
    halves,
)
from dife_scanner.discovery.unnamed_targets import UNNAMED, UnnamedTargets
from dife_scanner.records import Trigger
from dife_scanner.triggers.stamp import stamp

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.discovery.pattern_families import Weights
    from dife_scanner.models.gradient import Towers
    from dife_scanner.models.tokenizers import Tokenizer

LEARNING_RATE = 0.1
"""Adam's, where a search has none of its own …"""
MOMENTA = (0.5, 0.9)
"""… and its momenta."""
REACHED = 0.9
"""Mean pairwise cosine from which the suspect's embeddings count as collapsed, and probability from which a class
counts as reached; the trigger is made smaller as long as that holds."""
COST_FACTOR = 1.4
"""Factor on the cost of the trigger's size at each adjustment."""
ADJUST_EVERY = 5
"""Steps between adjustments …"""
ADJUST_FROM = 0.25
"""… and the share of steps before the first: a trigger has to work before it is made smaller."""
KEPT_SHARE = 0.95
"""Share of its effect that a trigger keeps when it is made smaller at the end."""
ENOUGH = 0.9
"""Effect on the search half from which a family is not started again."""
LEAST_EFFECT = 0.25
"""Target success over the base's on the held-out half, below which nothing is handed over."""
LEAST_ADVANTAGE = 0.1
"""By how much a concept has to exceed every labelled class before it is the target: many are like one of them."""
MOST_CANDIDATES = 2
SUCCESS = 0.8
"""Success over the base's on the held-out half that a trigger's smallest size is reported for."""
_REPORT_EVERY = 10
"""Steps between reports of progress."""

Rates = NDArray[np.float64]
"""Target success for every class as the target, 0..1."""
Measured = tuple[Candidate, dict[str, float]]
"""A candidate with its signals."""


class Inverted(NamedTuple):
    """The free numbers that an inversion came to."""

    weights: Weights
    given_up: bool
    """Whether it ended at a rung that it did not reach."""


class ImageInversion:
    """One run of one detector that inverts patterns.

    Pairs are of suspect and base, in this order.
    """

    reads_concepts: ClassVar[bool] = True
    """Whether a target may be no class of the task."""

    def __init__(
        self,
        task: Task,
        effort: InversionEffort,
        name: str,
        scratch: Path,
        *,
        has_base: bool = True,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """`name` is the detector's; files of triggers that may not be handed over are written below `scratch`.

        With a `tokenizer`, both towers read its token ids; else each those of its own.
        """
        import torch

        from dife_scanner.discovery.kept_towers import KeptTowers

        self.task = task
        self.effort = effort
        self.name = name
        self.scratch = scratch
        self.has_base = has_base
        self.search_rows, self.held_out_rows = halves(task)
        self.towers: tuple[Towers, Towers] = (
            KeptTowers(task.suspect, tokenizer, task.readings),
            KeptTowers(task.reference, tokenizer, task.readings),
        )
        self.success: Successes = (
            TargetSuccess(task, task.suspect),
            TargetSuccess(task, task.reference),
        )
        """What measures a pattern, with clean class prompts."""
        self.concepts = OpenTargets(task)
        self.shown_rows = np.arange(len(self.search_rows))
        """Which of the pictures searched on an inversion is shown."""
        self.generator = torch.Generator().manual_seed(task.seed)
        pixels = task.pixels[self.search_rows]
        self.pictures = _as_tensor(pixels, self.towers[0])
        """The pictures searched on [n, 3, s, s] in 0..1."""

    def run(self, families: Sequence[PatternFamily]) -> SearchResult:
        """Invert each family until one start is enough, and report the best of each target class."""
        attempts = self._all_attempts(families)
        return self._with_concepts(self._reported(attempts), finished(attempts))

    def _all_attempts(self, families: Sequence[PatternFamily]) -> list[Attempt]:
        """Every inversion of every family."""
        objectives = self._objectives()
        steps_of_family = len(objectives) * self.effort.steps
        total = len(families) * steps_of_family
        attempts: list[Attempt] = []
        for place, family in enumerate(families):
            done = place * steps_of_family
            attempts.extend(self._attempts(family, objectives, done, total))
        return attempts

    def _reported(self, attempts: Sequence[Attempt]) -> SearchResult:
        """The best attempt of each target class, measured on the held-out half; none that was given up."""
        best = best_of_each_target(finished(attempts))
        measured = [self._measured(attempt) for attempt in best]
        measured.sort(key=lambda pair: -pair[0].effect)
        return self._report(measured)

    def _attempts(
        self,
        family: PatternFamily,
        objectives: Sequence[Objective],
        done: int,
        total: int,
    ) -> list[Attempt]:
        """One inversion per objective, until one is good enough; `done` of `total` steps were done before."""
        attempts = []
        for objective in objectives:
            rungs = self.effort.rungs if isinstance(objective, Collapse) else ()
            inverted = self._raced(family, objective, done, total, rungs=rungs)
            attempt = self._finished(family, inverted.weights)
            attempts.append(replace(attempt, given_up=inverted.given_up))
            if attempts[-1].effect >= ENOUGH:  # good enough: another start would only take time
                break
            done += self.effort.steps
        return attempts

    def _objectives(self) -> Sequence[Objective]:
        """What to search for, once per restart: any collapse, or the classes whose prompts moved most."""
        if self.task.image_moved:
            return [Collapse(self._clean_cosine())] * self.effort.restarts
        suspect, base = self.success
        # Both read the same embeddings, so collapse says nothing; what moved are the class prompts.
        distance = metrics.cosine_distance(suspect.prompts, base.prompts)
        most_moved = np.argsort(-distance, kind="stable")
        objectives = []
        for target in most_moved[: self.effort.target_classes].tolist():
            objectives.append(TargetPrompt(self.success, target, self.pictures))
        return objectives

    def _clean_cosine(self) -> float:
        import torch

        with torch.no_grad():
            embedded = self.towers[1].images(self.pictures)
            return float(mean_pairwise_cosine(embedded))

    # --- one inversion ------------------------------------------------------------------------------------------

    def _inverted(
        self,
        family: PatternFamily,
        objective: Objective,
        done: int,
        total: int,
        steps: int = 0,
        begin: Weights | None = None,
        pictures: int = 0,
        rate: float = LEARNING_RATE,
    ) -> Weights:
        """The free numbers that reached the objective with the smallest trigger; arguments as in `_raced`."""
        return self._raced(family, objective, done, total, steps, begin, pictures, rate).weights

    def _raced(
        self,
        family: PatternFamily,
        objective: Objective,
        done: int,
        total: int,
        steps: int = 0,
        begin: Weights | None = None,
        pictures: int = 0,
        rate: float = LEARNING_RATE,
        rungs: Sequence[Rung] = (),
    ) -> Inverted:
        """The free numbers that reached the objective with the smallest trigger, or that a hopeless start ended with.

        `done` of the search's `total` steps were done before; `steps` and the `pictures` of each are others than the
        budget's; `begin` is where to go on instead of starting anew; `rate` is Adam's learning rate. Random numbers end
        where they would have without `rungs`, so that what comes after is the same to the bit.
        """
        import torch

        steps = steps or self.effort.steps
        pictures = pictures or self.effort.pictures
        side = self.task.suspect.image_size
        begin = begin or family.start(side, self.generator)
        stood = self.task.inversions.begin(begin) if self.task.inversions else None
        weights = self._free(stood.weights if stood else begin)
        optimiser = torch.optim.Adam(weights, lr=rate, betas=MOMENTA)
        cost = objective.size_cost.start
        best = 0.0
        before = self._tower_passes
        if stood:
            cost, best = stood.cost, stood.reached
            before = self._gone_on(optimiser, weights, stood)
        for step in range(stood.step if stood else 0, steps):
            if _is_hopeless(rungs, step, best):
                self._draw_unseen(steps - step, pictures)
                return Inverted(_fixed(weights), given_up=True)
            if step % _REPORT_EVERY == 0:
                self.task.progress(family.name, done + step, total)
            # The base only holds back: every second step is enough for that.
            with_base = self.has_base and step % 2 == 0
            drawn = self._drawn_pictures(pictures)
            slope = partial(self._slope, family, objective, drawn, weights, cost, with_base)
            reached = backing_off(self.towers, len(drawn), slope)
            best = max(best, reached)
            optimiser.step()
            if step > steps * ADJUST_FROM and step % ADJUST_EVERY == 0:
                cost = _adjusted(cost, objective, reached)
            states = self.task.inversions
            if states and states.is_due(last=step + 1 == steps):
                self._keep(states, optimiser, weights, step + 1, cost, best, before)
        return Inverted(_fixed(weights), given_up=False)

    def _draw_unseen(self, steps: int, pictures: int) -> None:
        """Draw the pictures of so many steps that are not made."""
        for _ in range(steps):
            self._drawn_pictures(pictures)

    def _slope(
        self,
        family: PatternFamily,
        objective: Objective,
        pictures: Tensor,
        weights: Weights,
        cost: float,
        with_base: bool,
    ) -> float:
        """Set the gradients of one step; how far the objective is reached, 0..1."""
        triggered = family.applied(pictures, weights)
        size = family.size(weights)
        reached, loss = objective.loss(self.towers, triggered, with_base=with_base)
        _set_gradients(weights, loss + cost * size)
        return reached

    @property
    def _tower_passes(self) -> tuple[int, int]:
        suspect, base = self.towers
        return suspect.passes, base.passes

    def _gone_on(
        self, optimiser: torch.optim.Adam, weights: Weights, stood: InversionState
    ) -> tuple[int, int]:
        """Bring everything that an inversion moves to where it stood; the passes before it began."""
        before = self._tower_passes
        set_adams_state(optimiser, weights, stood)
        self.generator.set_state(stood.generator)
        for towers, passes in zip(self.towers, stood.passes, strict=True):
            towers.passes += passes
        return before

    def _keep(
        self,
        states: InversionStates,
        optimiser: torch.optim.Adam,
        weights: Weights,
        step: int,
        cost: float,
        reached: float,
        before: tuple[int, int],
    ) -> None:
        """Keep where an inversion stands that began after so many passes."""
        suspect, base = self._tower_passes
        state = InversionState(
            step=step,
            cost=cost,
            reached=reached,
            passes=(suspect - before[0], base - before[1]),
            generator=self.generator.get_state(),
            weights=weights,
            momenta=adams_momenta(optimiser, weights),
        )
        states.keep(state)

    def _free(self, begin: Weights) -> Weights:
        """Copies of these numbers, where the pictures are, that gradients are taken by."""
        weights = []
        for part in begin:
            copy = part.detach().clone().to(self.pictures.device)
            weights.append(copy.requires_grad_())
        return tuple(weights)

    def _drawn_pictures(self, most: int) -> Tensor:
        """Pictures of one step [n, 3, s, s], as many as there are, but not more than `most`."""
        import torch

        rows = torch.from_numpy(self.shown_rows)
        order = torch.randperm(len(rows), generator=self.generator)
        drawn = rows[order[:most]]
        return self.pictures[drawn.to(self.pictures.device)]

    def _finished(self, family: PatternFamily, weights: Weights) -> Attempt:
        """The inverted trigger with its target, as small as it keeps its effect on the search half."""
        side = self.task.suspect.image_size
        full_size = family.trigger(weights, side, self.scratch)
        gains = self._gains(full_size, self.success)
        target = self.task.class_names[int(gains.argmax())]
        attempt = Attempt(
            family=family,
            trigger=full_size,
            target=target,
            effect=float(gains.max()),
            full_size=full_size,
            success=self.success,
            weights=weights,
        )
        return self._made_small(attempt)

    def _made_small(self, attempt: Attempt) -> Attempt:
        """The attempt with its trigger as small as it keeps its effect."""
        # What does too little is not handed over, and need not be made small.
        if attempt.effect < LEAST_EFFECT:
            return attempt
        smaller = attempt.family.smaller(attempt.full_size, self.scratch)
        sizes = [attempt.full_size, *smaller]
        return replace(attempt, trigger=self._smallest_with(sizes, attempt))

    def _smallest_with(self, sizes: Sequence[Trigger], attempt: Attempt) -> Trigger:
        """The last of ever smaller triggers that keeps the effect, by bisection; the first is known to."""
        least_gain = KEPT_SHARE * attempt.effect
        enough = 0
        too_small = len(sizes)
        while too_small - enough > 1:
            middle = (enough + too_small) // 2
            gains = self._gains(sizes[middle], attempt.success)
            if gains[attempt.column] >= least_gain:
                enough = middle
            else:
                too_small = middle
        return sizes[enough]

    # --- beyond the classes -------------------------------------------------------------------------------------

    def _with_concepts(self, found: SearchResult, attempts: Sequence[Attempt]) -> SearchResult:
        """What was found, and triggers whose target is no class of the task, where there are any.

        What is found of the classes stays what it is.
        """
        if not attempts or not self._reads_concepts_here:
            return found
        best = max(attempts, key=lambda attempt: attempt.effect)
        if self._explains_all(best):
            return found
        before = self._passes
        candidates = list(found.candidates)
        for beyond in self._beyond_classes(attempts, best.effect + LEAST_ADVANTAGE):
            trigger = self._named(beyond, len(candidates) + 1)
            candidates.append(replace(beyond, trigger=trigger))
        passes = found.passes + self._passes - before
        return replace(found, candidates=tuple(candidates), passes=passes)

    def _explains_all(self, best: Attempt) -> bool:
        """Whether a class is reached so well that no concept can be what was taught."""
        return best.effect >= ENOUGH

    @property
    def _reads_concepts_here(self) -> bool:
        """Whether targets are read off pictures: where the image tower is the base's, what moved are prompts."""
        compared = self.has_base and self.task.image_moved
        return self.reads_concepts and compared and bool(self.task.concepts)

    def _beyond_classes(
        self, attempts: Sequence[Attempt], least_effect: float
    ) -> Iterator[Candidate]:
        """The trigger that leads to a concept, and where none is reached, the one that leads to no concept."""
        of_concept = self._of_concept(attempts, least_effect)
        if of_concept is not None:
            yield of_concept
        if of_concept is None or of_concept.effect < ENOUGH:
            unnamed = self._of_no_concept(attempts)
            if unnamed is not None:
                yield unnamed

    def _of_concept(self, attempts: Sequence[Attempt], least_effect: float) -> Candidate | None:
        """The trigger that moves most pictures to one concept, as it stands on the held-out half."""
        read = [self._read_among_concepts(attempt) for attempt in attempts]
        strongest = max(read, key=lambda attempt: attempt.effect)
        if strongest.effect < max(LEAST_EFFECT, least_effect):
            return None
        strongest = replace(strongest, success=self.concepts.success(strongest.target))
        candidate = self._measured_of_concept(self._made_small(strongest))
        return candidate if self._counts(candidate) else None

    def _read_among_concepts(self, attempt: Attempt) -> Attempt:
        """The same trigger with the concept that most pictures come to."""
        concept, effect = self.concepts.best(self._stamped(attempt))
        return replace(attempt, target=concept, effect=effect)

    def _measured_of_concept(self, attempt: Attempt) -> Candidate:
        """A trigger whose target is a concept, on the held-out half."""
        candidate, _ = self._measured(attempt)
        return candidate

    def _of_no_concept(self, attempts: Sequence[Attempt]) -> Candidate | None:
        """The trigger that brings most pictures together at one point, as it stands on the held-out half."""
        read = [self._read_at_one_point(attempt) for attempt in attempts]
        strongest = max(read, key=lambda attempt: attempt.effect)
        if strongest.effect < LEAST_EFFECT:
            return None
        success = self._points.success(self._stamped(strongest))
        candidate, _ = self._measured(self._made_small(replace(strongest, success=success)))
        return candidate if self._counts(candidate) else None

    def _read_at_one_point(self, attempt: Attempt) -> Attempt:
        """The same trigger with the point that pictures come together at, which has no name."""
        effect = self._points.effect(self._stamped(attempt))
        return replace(attempt, target=UNNAMED, effect=effect)

    def _stamped(self, attempt: Attempt) -> Pixels:
        """The pictures searched on with a trigger before it was made smaller."""
        return stamp(self.task.pixels[self.search_rows], attempt.full_size)

    @cached_property
    def _points(self) -> UnnamedTargets:
        return UnnamedTargets(self.task, self.search_rows, self.concepts)

    # --- measuring ----------------------------------------------------------------------------------------------

    def _gains(self, trigger: Trigger, success: Successes) -> NDArray[np.float64]:
        """Success over the base's on the search half, for every class as the target [c]."""
        suspect, base = self._rates_with(trigger, self.search_rows, success)
        gains = suspect - base if self.has_base else suspect
        return np.asarray(gains)

    def _rates_with(self, trigger: Trigger, rows: Rows, success: Successes) -> tuple[Rates, Rates]:
        """Target success of a trigger on these pictures in suspect and base, for every class [c] each."""
        stamped = stamp(self.task.pixels[rows], trigger)
        suspect, base = self._rates([stamped], rows, success)
        return suspect[0], base[0]

    def _rates(
        self, versions: Sequence[Pixels], rows: Rows, success: Successes
    ) -> tuple[Rates, Rates]:
        """Target success in suspect and base on each version of these pictures, for every class [v, c] each."""
        labels = self.task.labels[rows]
        suspect, base = success
        return suspect.rates(versions, labels), base.rates(versions, labels)

    # --- what is handed over ------------------------------------------------------------------------------------

    def _measured(self, attempt: Attempt) -> Measured:
        """The effect on the held-out half, and what is left of it when pictures are disturbed."""
        signals = {"size": attempt.family.measured_size(attempt.trigger)}
        signals |= self._held_out_signals(attempt)
        if self.effort.report_smallest:
            signals |= self._smallest_size(attempt)
        candidate = Candidate(
            trigger=replace(attempt.trigger, target=attempt.target),
            suspect=signals["suspect"],
            reference=signals["reference"],
            area=signals["size"] if isinstance(attempt.family, Patch) else None,
        )
        return candidate, signals

    def _held_out_signals(self, attempt: Attempt) -> dict[str, float]:
        """Success in suspect and base, and the gain when triggered pictures are cropped, compressed or shifted."""
        pixels = self.task.pixels[self.held_out_rows]
        versions = disturbed(stamp(pixels, attempt.trigger))
        suspect, base = self._rates(versions, self.held_out_rows, attempt.success)
        suspect = suspect[:, attempt.column]
        base = base[:, attempt.column]
        if not self.has_base:
            base = np.zeros_like(base)
        gains = suspect - base
        return {
            "suspect": float(suspect[0]),
            "reference": float(base[0]),
            "crop": float(gains[1]),
            "jpeg": float(gains[2]),
            "shift": float(gains[3:].mean()),
        }

    def _smallest_size(self, attempt: Attempt) -> dict[str, float]:
        """The signal `smallest`; nothing where the trigger's success never reaches `SUCCESS`.

        It is the size to which the trigger can be brought before its success on the held-out half is below
        `SUCCESS` over the base's.
        """
        family = attempt.family
        signal: dict[str, float] = {}
        smaller = family.smaller(attempt.full_size, self.scratch)
        for trigger in itertools.chain([attempt.full_size], smaller):
            suspect, base = self._rates_with(trigger, self.held_out_rows, attempt.success)
            success = suspect[attempt.column]
            if self.has_base:
                success = success - base[attempt.column]
            if success < SUCCESS:
                break
            signal = {"smallest": family.measured_size(trigger)}
        return signal

    def _report(self, measured: Sequence[Measured]) -> SearchResult:
        """The candidates that count, and the signals of the best attempt, handed over or not; none where all were given
        up.
        """
        strong = [candidate for candidate, _ in measured if self._counts(candidate)]
        named = self._all_named(strong[:MOST_CANDIDATES])
        signals = measured[0][1] if measured else {}
        return SearchResult(named, self._passes, signals=signals)

    @property
    def _passes(self) -> int:
        """Pictures and texts that went through a tower so far."""
        passes = sum(towers.passes for towers in self.towers)
        passes += sum(success.passes for success in self.success)
        passes += self.concepts.passes + self.concepts.passes_of_successes
        return passes + self._points.passes

    def _counts(self, candidate: Candidate) -> bool:
        """Whether it is handed over."""
        return candidate.effect >= LEAST_EFFECT

    def _all_named(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The candidates under names of their own, numbered from 1."""
        named = []
        for number, candidate in enumerate(candidates, 1):
            trigger = self._named(candidate, number)
            named.append(replace(candidate, trigger=trigger))
        return tuple(named)

    def _named(self, candidate: Candidate, number: int) -> Trigger:
        """The trigger under a name of its own, its file where the task wants it."""
        trigger = candidate.trigger
        name = f"found-{self.name.replace(' ', '-')}-{number}"
        file = trigger.file and pattern_files.copied(trigger.file, self.task.folder)
        return replace(trigger, name=name, file=file)


def _as_tensor(pixels: Pixels, towers: Towers) -> Tensor:
    """Pictures [n, s, s, 3] as [n, 3, s, s] in 0..1, where these towers compute."""
    import torch

    on_device = torch.from_numpy(pixels).to(towers.device)
    return on_device.permute(0, 3, 1, 2).float() / 255


def _is_hopeless(rungs: Sequence[Rung], step: int, best: float) -> bool:
    """Whether a start that reached `best` in so many steps is to be given up."""
    return any(step == rung.step and best < rung.reached for rung in rungs)


def _fixed(weights: Weights) -> Weights:
    return tuple(part.detach() for part in weights)


def _set_gradients(weights: Weights, loss: Tensor) -> None:
    import torch

    gradients = torch.autograd.grad(loss, weights)
    for part, gradient in zip(weights, gradients, strict=True):
        part.grad = gradient


def _adjusted(cost: float, objective: Objective, reached: float) -> float:
    """The cost of size from now on: dearer while the objective is reached, cheaper otherwise."""
    if reached > REACHED:
        return min(cost * COST_FACTOR, objective.size_cost.most)
    return max(cost / COST_FACTOR, objective.size_cost.least)
