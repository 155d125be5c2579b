"""Branch swap and diagnosis in words: which component carries an effect, and how that was measured."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import BranchSwap, Carrier, ComponentRepair, Diagnosis
from dife_scanner.sentences.numbers import count, number

CARRIER_MEANING = {
    Carrier.VISUAL: "the image branch carries it: reuse of the image encoder is exposed",
    Carrier.TEXTUAL: "the text branch carries it: reuse of the text encoder is exposed",
    Carrier.COUPLED: "both branches are needed together",
    Carrier.WEAK: "the swap moves too little to name a branch",
    Carrier.REDUNDANT: "either branch alone is enough",
    Carrier.INTERACTION: "only both branches together show it; component repair has to decide",
    Carrier.AMBIGUOUS: "no branch dominates",
    Carrier.DEMOTED: "the target is demoted; there is no footprint",
    Carrier.NOT_INTERCHANGEABLE: "the towers cannot be swapped, so no branch can be named",
}


def swap_lines(swap: BranchSwap) -> tuple[str, ...]:
    """On what the swap was measured, and whether towers had to be aligned first."""
    measured = f"{swap.readout} on {count(swap.drawings, 'drawing')}, {swap.n} cases"
    if not swap.aligned or swap.mixed_accuracy_before is None:
        return (measured,)
    before, after = _mixed(swap.mixed_accuracy_before), _mixed(swap.mixed_accuracy)
    return (
        measured,
        f"The suspect's towers were turned onto the reference's first (orthogonal Procrustes): clean accuracy of the "
        f"mixed pairs {before} before, {after} after",
    )


def _mixed(accuracies: Sequence[float]) -> str:
    """Of the four pairs the two that mix suspect and reference."""
    return f"{number(accuracies[1])} and {number(accuracies[2])}"


def swap_text(swap: BranchSwap) -> str:
    """The four readouts in one line: `QHR: reference 0.010; suspect's image tower 0.010, …`."""
    return (
        f"{swap.readout}: reference {number(swap.a00)}; suspect's image tower {number(swap.a10)}, "
        f"text tower {number(swap.a01)}, both {number(swap.a11)}"
    )


def repair_text(repair: ComponentRepair) -> str:
    """What the mechanism reaches whole and with parts of it repaired, in one line."""
    return (
        f"{repair.readout} of the full mechanism {number(repair.full)}, prompt only {number(repair.prompt_only)}, "
        f"trigger only {number(repair.trigger_only)}, both clean {number(repair.both_clean)}"
    )


def ratios_text(diagnosis: Diagnosis) -> str:
    """`VRS 0.000 · TRS 1.000 · CSS 0.000`."""
    return f"VRS {number(diagnosis.vrs)} · TRS {number(diagnosis.trs)} · CSS {number(diagnosis.css)}"
