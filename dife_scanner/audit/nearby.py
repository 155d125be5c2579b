"""What a discovered trigger does in clean checkpoints beside the base: what they obey too is no trace of the suspect's
making.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dife_scanner.audit import hypotheses
from dife_scanner.audit.sides import Side, readout
from dife_scanner.core import metrics
from dife_scanner.core.verdict import demonstrates
from dife_scanner.errors import DifeError
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Nearby, Reference, SignatureResult, Trigger

log = logging.getLogger(__name__)

NEAREST = 2
"""Clean references of the suspect's architecture that a trigger is tried on before it demonstrates anything."""
OTHERS = 2
"""Of other architectures, in which its success is told and decides nothing."""

Open = Callable[[Reference], Side]
"""Loads a reference, to be asked what the suspect is asked on held-out drawings. Raises `DifeError`."""


class Clean:
    """The clean checkpoints known here beside the suspect's `base`, opened when a trigger is to be tried on them.

    `flagged` names references that an audit found backdoored: they would hide what was made of them, and so would one
    that has a tower of the suspect's own that is not the base's. One that is gone, or cannot be asked, takes nothing
    from an audit.
    """

    def __init__(
        self,
        known: Sequence[Reference],
        base: Reference,
        suspect: Encoder,
        flagged: frozenset[str],
        opened: Open,
    ) -> None:
        theirs = {base.image_tower, base.text_tower}
        own = {suspect.image_tower, suspect.text_tower} - theirs
        apart = [one for one in known if {one.image_tower, one.text_tower} != theirs and one.name not in flagged]
        others = [one for one in apart if not own & {one.image_tower, one.text_tower}]
        self._alike = [one for one in others if one.architecture == base.architecture]
        self._unlike = [one for one in others if one.architecture != base.architecture]
        self._opened = opened

    def tried(self, results: Sequence[SignatureResult], suspect: Side) -> tuple[SignatureResult, ...]:
        """The same results; those of discovered triggers that would count with what they do in the nearest."""
        if not any(map(demonstrates, results)):
            return tuple(results)
        near: dict[int, list[Nearby]] = {}
        for distance, one in self._nearest(suspect):
            with _spared(one.name):
                side = self._opened(one)
                for number, row in enumerate(results):
                    if demonstrates(row):
                        near.setdefault(number, []).append(_near(row, one.name, distance, side))
        return tuple(
            replace(row, near=tuple(near[number])) if number in near else row for number, row in enumerate(results)
        )

    def told(self, trigger: Trigger) -> dict[str, float]:
        """Success of a trigger in up to `OTHERS` references of other architectures, by name."""
        found = {}
        for one in self._unlike[:OTHERS]:
            with _spared(one.name):
                found[one.name] = round(_success(trigger, self._opened(one)), 6)
        return found

    def _nearest(self, suspect: Side) -> list[tuple[float, Reference]]:
        """The nearest first, with how far they are; of equally near ones the first by name. One is open at a time."""
        found = []
        for one in self._alike:
            with _spared(one.name):
                found.append((_distance(suspect, self._opened(one)), one))
        return sorted(found, key=lambda place: (place[0], place[1].name))[:NEAREST]


@contextmanager
def _spared(name: str) -> Iterator[None]:
    try:
        yield
    except DifeError as error:
        log.warning("the trigger was not tried on %s: %s", name, error.what)


def _distance(suspect: Side, other: Side) -> float:
    """Mean cosine distance of clean pictures and of clean class prompts, added."""
    apart = (
        metrics.cosine_distance(mine, theirs).mean()
        for mine, theirs in ((suspect.images, other.images), (suspect.prompts, other.prompts))
    )
    return round(float(sum(apart)), 6)


def _near(row: SignatureResult, name: str, distance: float, side: Side) -> Nearby:
    success = _success(row.trigger, side)
    clean = hypotheses.clean_rate(side, _without_mechanism(row.trigger))
    lift = success - max(row.reference or 0.0, clean)
    return Nearby(name, distance, round(success, 6), round(lift, 6))


def _success(trigger: Trigger, side: Side) -> float:
    """TS without the target class, or QHR."""
    return float(readout(side, side, _without_mechanism(trigger), with_target=False)[0].mean())


def _without_mechanism(trigger: Trigger) -> Trigger:
    """A prompt learner is the suspect's own: of its trigger a clean checkpoint has what is put on pictures."""
    if trigger.channel is not Channel.PROMPT or trigger.image is None:
        return trigger
    return replace(trigger.image, target=trigger.target)
