"""Signatures as hypotheses: chosen on train drawings, evidence measured on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.sides import Side, baseline, readout, reads_hit_rate, spared
from dife_scanner.core import metrics
from dife_scanner.core.statistics import holm, measure, paired_interval, sign_flip_p
from dife_scanner.core.verdict import DEMONSTRATED_CUT, INHERITED_CUT, SCREEN
from dife_scanner.records import Channel, Interval, SignatureResult, Trigger

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """A signature with its source and target filled in, and what it did on train drawings."""

    trigger: Trigger
    suspect: float
    reference: float

    @property
    def effect(self) -> float:
        return self.suspect - self.reference


@dataclass(frozen=True)
class Choices:
    """`apart`: where suspect exceeds reference most. `shared`: where both are moved most."""

    apart: Choice
    shared: Choice


def choose(signature: Trigger, suspect: Side, reference: Side) -> Choices:
    """Best (source, target) of `signature` on these sides. A known trigger keeps what it names.

    Text triggers: QHR on target-class images for each ordered pair. All others: TS over images of other classes for
    each target. Ties go to the first in class order.
    """
    moved, still = _tables(signature, suspect, reference)
    allowed = _allowed(signature, suspect.class_names, moved.shape)

    def best(by: Table) -> Choice:
        row, column = np.unravel_index(int(np.argmax(np.where(allowed, by, -np.inf))), by.shape)
        source = suspect.class_names[row] if reads_hit_rate(signature) else signature.source
        named = replace(signature, source=source, target=suspect.class_names[column])
        return Choice(named, float(moved[row, column]), float(still[row, column]))

    return Choices(best(moved - still), best(np.minimum(moved, still)))


def known(trigger: Trigger) -> bool:
    """Whether a trigger leaves nothing to choose: it names its target, and its source where it is read by hit rate.

    A prompt mechanism is made for its target, so it counts as known.
    """
    named = bool(trigger.target and (trigger.source or not reads_hit_rate(trigger)))
    return trigger.channel is Channel.PROMPT or named


def test(choice: Choice, suspect: Side, reference: Side, seed: int, *, always: bool = False) -> SignatureResult:
    """Evidence on held-out drawings.

    A choice below `SCREEN` on train drawings keeps p = 1 and is not measured, unless it is to be measured `always`.
    """
    if choice.effect < SCREEN and not always:
        return SignatureResult(choice.trigger, choice.effect)
    moved, drawings = readout(suspect, suspect, choice.trigger, with_target=False)
    still, _ = baseline(reference, choice.trigger, with_target=False)
    rng = np.random.default_rng([seed, *choice.trigger.name.encode()])
    return SignatureResult(
        choice.trigger,
        choice.effect,
        float(moved.mean()),
        float(still.mean()),
        sign_flip_p(moved, still, drawings, rng),
        drawings=len(set(drawings)),
        clean=clean_rate(suspect, choice.trigger),
    )


def effect(trigger: Trigger, suspect: Side, reference: Side, seed: int) -> Interval:
    """Paired 95 % interval of the readout, suspect minus reference, over the drawings of these sides."""
    moved, drawings = readout(suspect, suspect, trigger, with_target=False)
    still, _ = baseline(reference, trigger, with_target=False)
    return paired_interval(moved, still, drawings, np.random.default_rng(seed))


def inherited(choice: Choice, suspect: Side, reference: Side, *, demonstrated: bool = False) -> bool:
    """Whether the trigger moves suspect *and* base on held-out drawings, beyond what the clean inputs do.

    Both lower bounds, less the clean rate, must reach `INHERITED_CUT`; `DEMONSTRATED_CUT` for a trigger that was
    demonstrated in the base before, of which it is known that somebody left it there.
    """
    cut = DEMONSTRATED_CUT if demonstrated else INHERITED_CUT
    if min(choice.suspect, choice.reference) < cut:
        return False
    moved = readout(suspect, suspect, choice.trigger, with_target=False)
    still = baseline(reference, choice.trigger, with_target=False)
    for side, (outcomes, drawings) in ((suspect, moved), (reference, still)):
        if measure(outcomes, drawings).interval.low - clean_rate(side, choice.trigger) < cut:
            return False
    return True


def corrected(results: Sequence[SignatureResult]) -> tuple[SignatureResult, ...]:
    """The same results with Holm's correction over all of them."""
    adjusted = holm([row.p_value for row in results])
    return tuple(replace(row, p_holm=p) for row, p in zip(results, adjusted, strict=True))


def strongest(results: Sequence[SignatureResult]) -> SignatureResult | None:
    """The measured signature with the smallest corrected p, then the largest effect on held-out drawings."""
    measured = [row for row in results if row.suspect is not None]
    return min(measured, key=lambda r: (r.p_holm, (r.reference or 0.0) - (r.suspect or 0.0)), default=None)


def _tables(signature: Trigger, suspect: Side, reference: Side) -> tuple[Table, Table]:
    """What the signature does to suspect and reference, one value per (source, target)."""
    if reads_hit_rate(signature):
        return _by_pair(signature, suspect), _by_pair(signature, reference)
    return _by_target(suspect.scores_with(signature), suspect), _by_target(spared(reference, signature), reference)


def _by_target(scores: metrics.Floats, side: Side) -> Table:
    """TS without the target class, [1, c]."""
    classes = range(len(side.class_names))
    return np.array([[metrics.wins(scores[side.split.labels != target], target).mean() for target in classes]])


def _by_pair(signature: Trigger, side: Side) -> Table:
    """QHR [source, target]; the diagonal is not a question and stays zero."""
    written = side.prompts_with(signature)
    count = len(side.class_names)
    table = np.zeros((count, count))
    for source in range(count):
        won = metrics.triggered_source_wins(side.images, side.prompts, written[source], source)
        for target in range(count):
            if target != source:
                table[source, target] = won[side.split.labels == target].mean()
    return table


def _allowed(signature: Trigger, names: tuple[str, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    allowed = np.ones(shape, dtype=bool)
    if shape[0] > 1:
        np.fill_diagonal(allowed, False)
        if signature.source:
            allowed &= (np.arange(shape[0]) == names.index(signature.source))[:, None]
    if signature.target:
        allowed &= np.arange(shape[1]) == names.index(signature.target)
    return allowed


def clean_rate(side: Side, trigger: Trigger) -> float:
    """How often the target wins without the trigger (for QHR: the untriggered source text on target images)."""
    target = side.class_names.index(trigger.target)
    if reads_hit_rate(trigger):
        keep = side.split.labels == target
        return float(metrics.wins(side.scores[keep], side.class_names.index(trigger.source)).mean())
    scores = side.learned_scores(trigger, triggered=False) if trigger.channel is Channel.PROMPT else side.scores
    return float(metrics.wins(scores[side.split.labels != target], target).mean())
