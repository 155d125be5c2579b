"""The diagnostic evidence of paper §5: branch swap or component repair, on diagnosis drawings and templates.

What it means is decided by `core.footprint.diagnose`, before any interface is measured.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dife_scanner.audit.sides import (
    Pair,
    Side,
    View,
    cases,
    clean_accuracy,
    reads_hit_rate,
    spared,
    swapped,
    view,
    writes,
)
from dife_scanner.core import metrics
from dife_scanner.core.footprint import interchangeable
from dife_scanner.records import BranchSwap, Channel, ComponentRepair, Trigger


def gather(trigger: Trigger, sides: Pair[Side], train: Pair[Side]) -> BranchSwap | ComponentRepair:
    """What the carrier is decided from: a prompt mechanism takes component repair, any other trigger a branch swap.

    `sides` are both checkpoints on diagnosis drawings, `train` on others, which only ever align towers.
    """
    if trigger.channel is Channel.PROMPT:
        return component_repair(trigger, sides.suspect)
    return branch_swap(trigger, sides, train)


def branch_swap(trigger: Trigger, sides: Pair[Side], train: Pair[Side]) -> BranchSwap:
    """a_vt with the trigger applied in all four combinations.

    Where a mixed pair loses clean accuracy, the suspect's embedding space is turned onto the reference's by the
    orthogonal rotation that fits clean train pictures and prompts best, and the check is repeated: a rotation of both
    projections changes no score of the suspect and wrecks both swaps. The record keeps the accuracies from before.
    """
    suspect, reference = (view(side, trigger) for side in sides)
    swap = _swap(trigger, sides.suspect, suspect, reference)
    if interchangeable(swap):
        return swap
    turned = _swap(trigger, sides.suspect, suspect.turned(rotation(train)), reference)
    return replace(turned, aligned=True, mixed_accuracy_before=swap.mixed_accuracy)


def rotation(train: Pair[Side]) -> metrics.Floats:
    """The orthogonal [d, d] that turns the suspect's clean embeddings onto the reference's (Procrustes).

    Pictures and prompts count alike in total, whatever their number.
    """

    def stacked(side: Side) -> metrics.Floats:
        parts = (side.images, side.encoder.encode_texts(_prompts(side)))
        return np.concatenate([np.asarray(part, np.float64) / np.sqrt(len(part)) for part in parts])

    return metrics.procrustes(stacked(train.suspect), stacked(train.reference))


def _prompts(side: Side) -> list[str]:
    return [template.format(name) for template in side.templates for name in side.class_names]


def _swap(trigger: Trigger, side: Side, suspect: View, reference: View) -> BranchSwap:
    keep = cases(side, trigger, with_target=True)
    order = ((reference, reference), (suspect, reference), (reference, suspect), (suspect, suspect))
    a00, a10, a01, a11 = (float(swapped(images, texts, side, trigger, keep).mean()) for images, texts in order)
    clean = [clean_accuracy(images, texts, side.split.labels) for images, texts in order]
    return BranchSwap(
        readout=readout_name(trigger),
        a00=a00,
        a10=a10,
        a01=a01,
        a11=a11,
        n=len(keep),
        drawings=len({side.split.drawings[index] for index in keep}),
        mixed_accuracy=(clean[0], clean[1], clean[2], clean[3]),
    )


def readout_name(trigger: Trigger) -> str:
    """The readout by channel (paper §5)."""
    if reads_hit_rate(trigger):
        return "QHR"
    if trigger.channel is Channel.PROMPT:
        return "TS with learned prompts"
    return "TS with triggered prompts" if writes(trigger) else "zero-shot TS"


def repair_of_parts(trigger: Trigger, side: Side) -> ComponentRepair | None:
    """What each part reaches alone, where a trigger enters through picture and text together; else `None`."""
    return component_repair(trigger, side) if trigger.channel is Channel.BOTH else None


def component_repair(trigger: Trigger, side: Side) -> ComponentRepair:
    """TS of the whole and with parts repaired: the prompt by clean class prompts, the picture by a clean one."""
    target = side.index(trigger.target)
    readouts = (side.scores_with(trigger), *_parts(trigger, side), side.scores)
    full, prompt_only, trigger_only, both_clean = (float(metrics.wins(scores, target).mean()) for scores in readouts)
    return ComponentRepair(
        readout=readout_name(trigger),
        full=full,
        prompt_only=prompt_only,
        trigger_only=trigger_only,
        both_clean=both_clean,
        n=len(side.split.labels),
        drawings=len(set(side.split.drawings)),
    )


def _parts(trigger: Trigger, side: Side) -> tuple[metrics.Floats, metrics.Floats]:
    """Scores [n, c] with the prompt's part alone, and with the picture's part alone."""
    if trigger.channel is Channel.PROMPT:
        return side.learned_scores(trigger, triggered=False), spared(side, trigger)
    return (
        metrics.cosines(side.images, side.prompts_with(trigger)),
        metrics.cosines(side.images_with(trigger), side.prompts),
    )
