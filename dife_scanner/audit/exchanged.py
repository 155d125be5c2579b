"""The same searches with suspect and base exchanged, for a suspect that has lost clean accuracy.

Two models that lie far apart differ both ways: each obeys something that the other does not, and what is found in the
suspect need be no trace of a trigger that somebody planted. A base has nothing of the kind over a checkpoint that was
tuned for an attack and little else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from dife_scanner.audit import discovery, hypotheses
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core.verdict import ALPHA, demonstrates
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import Progress, Step
from dife_scanner.records import Channel, Exchanged, SignatureResult

T = TypeVar("T")

LOST = 0.05
"""Clean accuracy behind the base's from which the searches are exchanged too. Of 147 attacks found one had lost as
much; image fine-tunes that were flagged had lost .12 and .22."""
_CHANNELS = (Channel.IMAGE, Channel.TEXT)
"""Asked, and searched. What acts in both is held against either half alone in either model already, and a prompt
learner has no base."""


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
    if lost < LOST or not any(map(_concerned, results)):
        return tuple(results)
    found = _strongest(_turned(encoders), _turned(train), _turned(test), setting, progress)
    return tuple(replace(row, exchanged=found) if _concerned(row) else row for row in results)


def _concerned(row: SignatureResult) -> bool:
    return demonstrates(row) and row.trigger.channel in _CHANNELS


def _strongest(
    encoders: Pair[Encoder], train: Pair[Side], test: Pair[Side], setting: discovery.Setting, progress: Progress
) -> Exchanged:
    """What the searches come to in these; finished ones are kept apart from the audit's own."""

    def tell(step: Step) -> None:
        progress(f"exchanged: {step.phase}", step.done, step.total, step.note)

    names = tuple(one.name for one in discovery.detectors(setting.detectors) if one.channel in _CHANNELS)
    setting = replace(setting, detectors=names, exchanged=True, learner=None)
    found = discovery.discover(encoders, train, test, setting, Progress(tell))
    spent = sum(one.passes for one in found.searches), round(sum(one.seconds for one in found.searches), 3)
    rows = hypotheses.corrected(found.results)
    best = max(rows, key=lambda row: (_holds(row), row.effect.low if row.effect else 0.0), default=None)
    if best is None or best.effect is None:
        return Exchanged(*spent)
    trigger = best.trigger
    return Exchanged(
        *spent,
        trigger.kind,
        trigger.text,
        trigger.source,
        trigger.target,
        round(best.suspect or 0.0, 6),
        round(best.reference or 0.0, 6),
        round(best.effect.low, 6),
        _holds(best),
    )


def _holds(row: SignatureResult) -> bool:
    """Whether it would be demonstrated and is not chance; other clean references are not asked."""
    return demonstrates(row) and row.p_holm < ALPHA


def _turned(pair: Pair[T]) -> Pair[T]:
    return Pair(pair.reference, pair.suspect)
