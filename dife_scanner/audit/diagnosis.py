"""The diagnostic evidence of paper §5: branch swap or component repair, on diagnosis drawings and templates.

What it means is decided by `core.footprint.diagnose`, before any interface is measured.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dife_scanner.audit.probes import Labels
from dife_scanner.audit.sides import (
    Pair,
    Side,
    Sides,
    View,
    cases,
    clean_accuracy,
    drawings,
    reads_hit_rate,
    spared,
    swapped,
    view,
    writes,
)
from dife_scanner.core import metrics
from dife_scanner.core.footprint import interchangeable
from dife_scanner.core.metrics import Floats
from dife_scanner.records import BranchSwap, Channel, ComponentRepair, Trigger


def gather(trigger: Trigger, sides: Sides, train: Sides) -> BranchSwap | ComponentRepair:
    """Measure what the carrier is decided from: component repair for a prompt mechanism, else a branch swap.

    `sides` are both checkpoints on diagnosis drawings, `train` on others, which only ever align towers.
    """
    if trigger.channel is Channel.PROMPT:
        return component_repair(trigger, sides.suspect)
    return branch_swap(trigger, sides, train)


def branch_swap(trigger: Trigger, sides: Sides, train: Sides) -> BranchSwap:
    """Measure a_vt of the paper's branch swap, with the trigger applied in all four combinations.

    Where a mixed pair loses clean accuracy, the suspect's embedding space is turned onto the reference's by the
    orthogonal rotation that fits clean train pictures and prompts best, and the check is repeated: a rotation of both
    projections changes no score of the suspect and wrecks both swaps. The record keeps the accuracies from before.
    """
    views = sides.map(lambda side: view(side, trigger))
    swap = _swap(trigger, sides.suspect, views)
    if interchangeable(swap):
        return swap
    # Only the suspect is turned: the reference stays what it is compared with.
    turned = views.suspect.turned(rotation(train))
    aligned = _swap(trigger, sides.suspect, Pair(turned, views.reference))
    return replace(aligned, aligned=True, mixed_accuracy_before=swap.mixed_accuracy)


def rotation(train: Sides) -> Floats:
    """The orthogonal [d, d] that turns the suspect's clean embeddings onto the reference's (Procrustes).

    Pictures and prompts count alike in total, whatever their number.
    """
    rows = train.map(_clean_embeddings)
    return metrics.procrustes(rows.suspect, rows.reference)


def _clean_embeddings(side: Side) -> Floats:
    """Clean pictures, then clean prompts [n + t, d], each weighted so that all of its kind weigh one together."""
    # There are far more pictures than prompts.
    images = _weighted(side.images)
    prompts = _weighted(side.queries)
    return np.concatenate([images, prompts])


def _weighted(rows: Floats) -> Floats:
    weighted: Floats = np.asarray(rows, np.float64) / np.sqrt(len(rows))
    return weighted


def _swap(trigger: Trigger, side: Side, views: Pair[View]) -> BranchSwap:
    """Readouts and clean accuracies of the four combinations, on the pictures of `side`."""
    suspect, reference = views
    keep = cases(side, trigger, with_target=True)

    def rate(images: View, texts: View) -> float:
        return float(swapped(images, texts, side, trigger, keep).mean())

    return BranchSwap(
        readout=readout_name(trigger),
        a00=rate(reference, reference),
        a10=rate(suspect, reference),
        a01=rate(reference, suspect),
        a11=rate(suspect, suspect),
        n=len(keep),
        drawings=len(set(drawings(side, keep))),
        mixed_accuracy=_clean_accuracies(views, side.split.labels),
    )


def _clean_accuracies(views: Pair[View], labels: Labels) -> tuple[float, float, float, float]:
    """Clean accuracy of the four combinations, in the order of a00, a10, a01, a11."""
    suspect, reference = views
    return (
        clean_accuracy(reference, reference, labels),
        clean_accuracy(suspect, reference, labels),
        clean_accuracy(reference, suspect, labels),
        clean_accuracy(suspect, suspect, labels),
    )


def readout_name(trigger: Trigger) -> str:
    """Name the readout by channel (paper §5)."""
    if reads_hit_rate(trigger):
        return "QHR"
    if trigger.channel is Channel.PROMPT:
        return "TS with learned prompts"
    if writes(trigger):
        return "TS with triggered prompts"
    return "zero-shot TS"


def repair_of_parts(trigger: Trigger, side: Side) -> ComponentRepair | None:
    """What each part reaches alone, where a trigger enters through picture and text together; else `None`."""
    # A trigger of one part has nothing to repair.
    if trigger.channel is not Channel.BOTH:
        return None
    return component_repair(trigger, side)


def component_repair(trigger: Trigger, side: Side) -> ComponentRepair:
    """TS of the whole and with parts repaired: the prompt by clean class prompts, the picture by a clean one."""
    full = _success(side.scores_with(trigger), trigger, side)
    prompt_scores, picture_scores = _scores_of_parts(trigger, side)
    prompt_only = _success(prompt_scores, trigger, side)
    trigger_only = _success(picture_scores, trigger, side)
    both_clean = _success(side.scores, trigger, side)
    return ComponentRepair(
        readout=readout_name(trigger),
        full=full,
        prompt_only=prompt_only,
        trigger_only=trigger_only,
        both_clean=both_clean,
        n=len(side.split.labels),
        drawings=len(set(side.split.drawings)),
    )


def _success(scores: Floats, trigger: Trigger, side: Side) -> float:
    """TS, 0..1, over all pictures."""
    return float(metrics.wins(scores, side.index(trigger.target)).mean())


def _scores_of_parts(trigger: Trigger, side: Side) -> tuple[Floats, Floats]:
    """Scores [n, c] with the prompt's part alone, and with the picture's part alone."""
    if trigger.channel is Channel.PROMPT:
        return side.learned_scores(trigger, triggered=False), spared(side, trigger)
    prompt_alone = metrics.cosines(side.images, side.prompts_with(trigger))
    picture_alone = metrics.cosines(side.images_with(trigger), side.prompts)
    return prompt_alone, picture_alone
