"""Signatures as hypotheses: chosen on train drawings, evidence measured on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit import faults, probes, text_space
from dife_scanner.audit.interfaces import named
from dife_scanner.audit.sides import Side, baseline, readout, reads_hit_rate, spared
from dife_scanner.audit.stages import Stage, card_of, labelled
from dife_scanner.core import checks, metrics
from dife_scanner.core.checks import DEMONSTRATED_EFFECT, SIGNATURE_EFFECT
from dife_scanner.core.statistics import holm, measure, paired_interval, sign_flip_p
from dife_scanner.core.verdict import INHERITED_CUT
from dife_scanner.errors import TriggerFileError
from dife_scanner.records import Channel, Hypothesis, Interval, Origin, Trigger

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
    of_suspect, of_base = _tables(signature, suspect, reference)
    allowed = _allowed(signature, suspect.class_names, of_suspect.shape)

    def best(by: Table) -> Choice:
        within = np.where(allowed, by, -np.inf)
        row, column = np.unravel_index(int(np.argmax(within)), by.shape)
        source = suspect.class_names[row] if reads_hit_rate(signature) else signature.source
        named = replace(signature, source=source, target=suspect.class_names[column])
        return Choice(named, float(of_suspect[row, column]), float(of_base[row, column]))

    return Choices(apart=best(of_suspect - of_base), shared=best(np.minimum(of_suspect, of_base)))


def known(trigger: Trigger) -> bool:
    """Whether a trigger leaves nothing to choose: it names its target, and its source where it is read by hit rate.

    A prompt mechanism is made for its target, so it counts as known.
    """
    named = bool(trigger.target and (trigger.source or not reads_hit_rate(trigger)))
    return trigger.channel is Channel.PROMPT or named


def test(
    choice: Choice, suspect: Side, reference: Side, seed: int, *, always: bool = False
) -> Hypothesis:
    """Evidence on held-out drawings.

    A choice below `SIGNATURE_EFFECT` on train drawings keeps p = 1 and is not measured, unless it is measured
    `always`.
    """
    if choice.effect < SIGNATURE_EFFECT and not always:
        return Hypothesis(choice.trigger, choice.effect)
    moved, drawings = readout(suspect, suspect, choice.trigger, with_target=False)
    still, _ = baseline(reference, choice.trigger, with_target=False)
    rng = np.random.default_rng([seed, *choice.trigger.name.encode()])
    return Hypothesis(
        trigger=choice.trigger,
        train_effect=choice.effect,
        suspect=float(moved.mean()),
        reference=float(still.mean()),
        p_value=sign_flip_p(moved, still, drawings, rng),
        drawings=len(set(drawings)),
        clean=clean_rate(suspect, choice.trigger),
    )


def effect(trigger: Trigger, suspect: Side, reference: Side, seed: int) -> Interval:
    """Paired 95 % interval of the readout, suspect minus reference, over the drawings of these sides."""
    moved, drawings = readout(suspect, suspect, trigger, with_target=False)
    still, _ = baseline(reference, trigger, with_target=False)
    return paired_interval(moved, still, drawings, np.random.default_rng(seed))


def inherited(
    choice: Choice, suspect: Side, reference: Side, *, demonstrated: bool = False
) -> Hypothesis | None:
    """The trigger, where it moves suspect *and* base on held-out drawings beyond what the clean inputs do.

    Both lower bounds, less the clean rate, must reach `INHERITED_CUT`; `DEMONSTRATED_EFFECT` for a trigger that was
    demonstrated in the base before, of which it is known that somebody left it there.
    """
    cut = DEMONSTRATED_EFFECT if demonstrated else INHERITED_CUT
    if min(choice.suspect, choice.reference) < cut:
        return None
    of_suspect = readout(suspect, suspect, choice.trigger, with_target=False)
    of_base = baseline(reference, choice.trigger, with_target=False)
    for side, (outcomes, drawings) in ((suspect, of_suspect), (reference, of_base)):
        low = measure(outcomes, drawings).interval.low
        if low - clean_rate(side, choice.trigger) < cut:
            return None
    return Hypothesis(
        trigger=choice.trigger,
        train_effect=choice.effect,
        suspect=float(of_suspect[0].mean()),
        reference=float(of_base[0].mean()),
    )


def test_all(
    stage: Stage, discovered: Sequence[Hypothesis], further: int = 0
) -> tuple[tuple[Hypothesis, ...], tuple[Hypothesis, ...], dict[str, Exception]]:
    """One result per signature and those `discovered`, corrected over all of them; second, the signatures that move the
    base just as well; third, by name, why others could not be tried. `further`: as for `corrected`.

    Raises `TriggerFileError` for a trigger that somebody wrote wrongly.
    """
    rows: list[Hypothesis] = []
    shared: list[Hypothesis] = []
    untried: dict[str, Exception] = {}
    plan = stage.request.plan
    total = len(plan.signatures)
    for index, signature in enumerate(plan.signatures):
        stage.phases.enter("trying signatures", index, total, signature.name)
        try:
            row, found = _tried(stage, signature)
        except TriggerFileError:
            raise
        except Exception as error:
            faults.raise_where_final(error)
            untried[signature.name] = error
            continue
        rows.append(row)
        if found is not None:
            shared.append(found)
    stage.phases.enter("trying signatures", total, total)
    every = corrected([*rows, *discovered], further=further)
    return every, tuple(shared), untried


def _tried(stage: Stage, signature: Trigger) -> tuple[Hypothesis, Hypothesis | None]:
    """What a signature does, and what it does to suspect and base alike."""
    seed = stage.request.plan.seed
    with named(card_of(signature), labelled(probes.TRAIN, probes.TEST)):
        choices = choose(signature, *stage.splits.train)
        suspect, reference = stage.splits.for_trigger(signature).test
        is_known = known(signature)
        row = test(choices.apart, suspect, reference, seed, always=is_known)
        row = _with_origin(row, suspect, reference, seed, named=is_known)
        demonstrated = signature.name in stage.request.demonstrated
        found = inherited(choices.shared, suspect, reference, demonstrated=demonstrated)
    return row, found


def _with_origin(
    row: Hypothesis, suspect: Side, reference: Side, seed: int, *, named: bool
) -> Hypothesis:
    """The result as one of a trigger that somebody named, or of a signature, with the interval that it has to meet."""
    if named:
        return replace(row, origin=Origin.KNOWN)
    if row.suspect is None:
        return row
    return replace(row, effect=effect(row.trigger, suspect, reference, seed))


def corrected(results: Sequence[Hypothesis], further: int = 0) -> tuple[Hypothesis, ...]:
    """The same results with Holm's correction over all that pictures show; what was measured in text space is corrected
    over all of that.

    `further`: how many count as tried on pictures besides, to no avail.
    """
    on_pictures = [row.p_value for row in results if _shown(row)]
    adjusted = iter(holm([*on_pictures, *[1.0] * further]))
    rows = []
    for row in results:
        rows.append(replace(row, p_holm=next(adjusted)) if _shown(row) else row)
    return text_space.corrected(rows)


def _shown(row: Hypothesis) -> bool:
    """Whether it is decided on pictures."""
    return row.space is None and not row.trigger.unnamed_target


def by_effect(results: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    """The measured hypotheses, demonstrated ones first, then those whose target has a name, then by their effect on
    held-out drawings, then by p.

    A small p-value says how sure an effect is, which grows with the drawings, and not how large it is.
    """

    def rank(row: Hypothesis) -> tuple[bool, bool, float, float]:
        demonstrated = checks.demonstrated(row.checks)
        return not demonstrated, row.trigger.unnamed_target, -row.lift, row.p_holm

    measured = [row for row in results if row.suspect is not None or row.without_pictures]
    return tuple(sorted(measured, key=rank))


def _tables(signature: Trigger, suspect: Side, reference: Side) -> tuple[Table, Table]:
    """What the signature does to suspect and reference, one value per (source, target)."""
    if reads_hit_rate(signature):
        return _by_pair(signature, suspect), _by_pair(signature, reference)
    of_suspect = _by_target(suspect.scores_with(signature), suspect)
    of_base = _by_target(spared(reference, signature), reference)
    return of_suspect, of_base


def _by_target(scores: metrics.Floats, side: Side) -> Table:
    """TS without the target class, [1, c]."""
    won = metrics.each_wins(scores)
    rates = []
    for target in range(len(side.class_names)):
        others = side.split.labels != target
        rates.append(won[others, target].mean())
    return np.array([rates])


def _by_pair(signature: Trigger, side: Side) -> Table:
    """QHR [source, target]; the diagonal is not a question and stays zero."""
    written = side.prompts_with(signature)
    count = len(side.class_names)
    table = np.zeros((count, count))
    won = metrics.each_triggered_source_wins(side.images, side.prompts, written)
    for target in range(count):
        of_target = won[side.split.labels == target]
        for source in range(count):
            if target != source:
                table[source, target] = of_target[:, source].mean()
    return table


def _allowed(
    signature: Trigger, names: tuple[str, ...], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
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
        source = side.class_names.index(trigger.source)
        of_target = side.scores[side.split.labels == target]
        return float(metrics.wins(of_target, source).mean())
    scores = side.scores
    if trigger.channel is Channel.PROMPT:
        scores = side.learned_scores(trigger, triggered=False)
    others = scores[side.split.labels != target]
    return float(metrics.wins(others, target).mean())
