"""The same searches with suspect and base exchanged, for a suspect that has lost clean accuracy.

Two models that lie far apart differ both ways: each obeys something that the other does not, and what is found in the
suspect is then no trace of a trigger that somebody planted. A base has nothing of the kind over a checkpoint that was
tuned for an attack and little else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TypeVar

from dife_scanner.audit import discovery
from dife_scanner.audit.progress import Progress, Step
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core.verdict import demonstrates
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Exchanged, SignatureResult

T = TypeVar("T")

LOST = 0.05
"""Clean accuracy behind the base's from which the searches are exchanged too. An attack that costs more than .03 beside
its clean twin is no working one (paper App. C.3); benign fine-tunes that were flagged had lost .05 to .22."""
_CHANNELS = (Channel.IMAGE, Channel.TEXT)
"""Searched the other way round. What acts in both is held against either half alone in either model already, and a
prompt learner has no base."""


def asked(
    results: Sequence[SignatureResult],
    encoders: Pair[Encoder],
    train: Pair[Side],
    test: Pair[Side],
    setting: discovery.Setting,
    progress: Progress,
) -> tuple[SignatureResult, ...]:
    """The same results; those of discovered triggers that would count with what the base obeys over the suspect."""
    lost = test.reference.accuracy - test.suspect.accuracy
    if lost < LOST or not any(map(demonstrates, results)):
        return tuple(results)
    found = _strongest(_turned(encoders), _turned(train), _turned(test), setting, progress)
    return tuple(replace(row, exchanged=found) if demonstrates(row) else row for row in results)


def _strongest(
    encoders: Pair[Encoder], train: Pair[Side], test: Pair[Side], setting: discovery.Setting, progress: Progress
) -> Exchanged:
    """What the searches come to in these; finished ones are kept apart from the audit's own."""

    def tell(step: Step) -> None:
        progress(f"with suspect and base exchanged: {step.phase}", step.done, step.total, step.note)

    names = tuple(one.name for one in discovery.detectors(setting.detectors) if one.channel in _CHANNELS)
    identity = sha256(f"exchanged {setting.identity}".encode()).hexdigest()
    setting = replace(setting, detectors=names, identity=identity, seconds=None, learner=None)
    rows = discovery.discover(encoders, train, test, setting, Progress(tell)).results
    best = max(rows, key=lambda row: (demonstrates(row), row.lift), default=None)
    if best is None or best.effect is None:
        return Exchanged()
    trigger = best.trigger
    return Exchanged(
        trigger.kind,
        trigger.text,
        trigger.source,
        trigger.target,
        round(best.suspect or 0.0, 6),
        round(best.reference or 0.0, 6),
        round(best.effect.low, 6),
        demonstrates(best),
    )


def _turned(pair: Pair[T]) -> Pair[T]:
    return Pair(pair.reference, pair.suspect)
