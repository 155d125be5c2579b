"""What a discovered trigger does in clean references other than the base.

What works there too is no trace of somebody's work on the suspect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dife_scanner.audit import faults, hypotheses, picture_space, text_space
from dife_scanner.audit.sides import Side, readout
from dife_scanner.audit.stages import Splits
from dife_scanner.core import checks, metrics
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Hypothesis, InCleanReference, Origin, Reference, Trigger

NEAREST = 2
"""Clean references of the suspect's architecture that a trigger is tried on before it demonstrates anything."""
OTHERS = 2
"""Of other architectures, in which its success is reported and decides nothing."""

Open = Callable[[Reference], Side]
"""Loads a reference as a side on held-out pictures."""


class CleanReferences:
    """The clean references known here other than the suspect's `base`, opened when a trigger is tried on them.

    `flagged` names references that an audit found backdoored. They would hide what was made of them, and so would one
    that has a tower of the suspect's own that is not the base's; neither is used. `splits` bring pictures of what a
    trigger beyond the labelled classes is about.
    """

    def __init__(
        self,
        known: Sequence[Reference],
        base: Reference,
        suspect: Encoder,
        flagged: frozenset[str],
        opened: Open,
        splits: Splits | None = None,
    ) -> None:
        of_base = {base.image_tower, base.text_tower}
        changed = {suspect.image_tower, suspect.text_tower} - of_base
        self._alike: list[Reference] = []
        self._unlike: list[Reference] = []
        for one in known:
            towers = {one.image_tower, one.text_tower}
            if towers == of_base or one.name in flagged or changed & towers:
                continue
            same = one.architecture == base.architecture
            (self._alike if same else self._unlike).append(one)
        self._opened = opened
        self._splits = splits
        self._failures: list[str] = []
        self._failures_elsewhere: list[str] = []

    @property
    def at_hand(self) -> bool:
        """Whether there is one of the base's architecture."""
        return bool(self._alike)

    @property
    def failures(self) -> str:
        """Why references of the base's architecture could not be measured, in words; empty where all could."""
        return "; ".join(dict.fromkeys(self._failures))

    @property
    def failures_elsewhere(self) -> str:
        """The same of other architectures."""
        return "; ".join(self._failures_elsewhere)

    def measured(self, results: Sequence[Hypothesis], suspect: Side) -> tuple[Hypothesis, ...]:
        """The same hypotheses; triggers that nothing else stands against, with what they do in the nearest.

        `suspect` is the suspect on held-out pictures. A reference that cannot be opened is passed over and named in
        `failures`.
        """
        tried = [number for number, one in enumerate(results) if _worth_trying(one)]
        if not tried:
            return tuple(results)
        found: dict[int, list[InCleanReference]] = {}
        for distance, reference in self._nearest(suspect):
            with _noting_failure(reference.name, self._failures):
                side = self._opened(reference)
                for number in tried:
                    found.setdefault(number, []).append(
                        self._in(side, results[number], reference.name, distance)
                    )
        out = list(results)
        for number, near in found.items():
            out[number] = replace(out[number], near=tuple(near))
        return tuple(out)

    def success_elsewhere(self, trigger: Trigger) -> dict[str, float]:
        """Attack success rate in up to `OTHERS` references of other architectures, by name."""
        found = {}
        for one in self._unlike[:OTHERS]:
            with _noting_failure(one.name, self._failures_elsewhere):
                found[one.name] = round(self._success(trigger, self._opened(one)), 6)
        return found

    def _in(self, side: Side, row: Hypothesis, name: str, distance: float) -> InCleanReference:
        success = self._success(row.trigger, side)
        clean = self._clean(row.trigger, side)
        in_base = row.reference if row.picture_space is None else row.picture_space.reference
        lift = success - max(in_base or 0.0, clean)
        return InCleanReference(name, distance, round(success, 6), round(lift, 6))

    def _success(self, trigger: Trigger, side: Side) -> float:
        """Attack success rate: TS without the target class, or QHR; without pictures, that of embedding space."""
        if trigger.unnamed_target:
            return picture_space.rate(trigger, self._searched(side), side)
        own = self._among(side, trigger)
        if own is None:
            return self._in_text_space(trigger, side)
        outcomes, _ = readout(own, own, _without_mechanism(trigger), with_target=False)
        return float(outcomes.mean())

    def _clean(self, trigger: Trigger, side: Side) -> float:
        if trigger.unnamed_target:
            point = picture_space.one_point(trigger, self._searched(side))
            return float(point.came(side.images).mean())
        own = self._among(side, trigger)
        return hypotheses.clean_rate(own, _without_mechanism(trigger)) if own is not None else 0.0

    def _among(self, side: Side, trigger: Trigger) -> Side | None:
        """A reference on pictures of the trigger's panel; `None` where there are none."""
        if self._splits is None or self._splits.holds(trigger):
            return side
        own = self._splits.among(trigger.source, trigger.target)
        if own is None:
            return None
        split = own.test.suspect.split
        return Side(side.encoder, split, own.data.class_names, side.templates)

    def _searched(self, side: Side) -> Side:
        """A reference on the pictures searched on."""
        assert self._splits is not None
        train = self._splits.train.suspect
        return Side(side.encoder, train.split, train.class_names, side.templates)

    def _in_text_space(self, trigger: Trigger, side: Side) -> float:
        assert self._splits is not None
        return text_space.rate(trigger, side.encoder, self._splits.test, self._splits.concepts)

    def _nearest(self, suspect: Side) -> list[tuple[float, Reference]]:
        """The nearest first, with their distances; of equally near ones the first by name. One is open at a time."""
        found = []
        for one in self._alike:
            with _noting_failure(one.name, self._failures):
                found.append((_distance(suspect, self._opened(one)), one))
        found.sort(key=lambda place: (place[0], place[1].name))
        return found[:NEAREST]


@contextmanager
def _noting_failure(name: str, failures: list[str]) -> Iterator[None]:
    """Pass over a reference that cannot be opened or asked, and add it to `failures`."""
    try:
        yield
    except Exception as error:
        why = faults.reason(error, f"the trigger was not tried on {name}")
        failures.append(f"{name} could not be tried ({why})")


def _worth_trying(result: Hypothesis) -> bool:
    return result.origin is not Origin.KNOWN and checks.open_but_for_drawings(
        checks.run_all(result)
    )


def _distance(suspect: Side, other: Side) -> float:
    """Mean cosine distance of clean pictures and of clean class prompts, added."""
    of_pictures = metrics.cosine_distance(suspect.images, other.images).mean()
    of_prompts = metrics.cosine_distance(suspect.prompts, other.prompts).mean()
    return round(float(of_pictures + of_prompts), 6)


def _without_mechanism(trigger: Trigger) -> Trigger:
    """A prompt learner is the suspect's own: of its trigger a clean checkpoint has what is put on pictures."""
    if trigger.channel is not Channel.PROMPT or trigger.image is None:
        return trigger
    return replace(trigger.image, target=trigger.target)
