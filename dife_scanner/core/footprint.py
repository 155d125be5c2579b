"""Branch swap -> Diagnosis, with reasons (paper §5). Pure; never sees the exposure profile.

`diagnose` is the only way to a `Diagnosis`, and a `Diagnosis` is frozen: the profile is computed afterwards and
compared with it in `agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.core.cards import CARDS
from dife_scanner.core.validity import judge, runs
from dife_scanner.records import BranchSwap, Carrier, Cell, Condition, Diagnosis, Entry, EntryType

EPSILON = 1e-8
SIGNAL_FLOOR = 0.05
"""Rule 1: a weaker signal is *weak*."""
DOMINANT = 0.70
"""Rule 2: the dominant ratio must exceed this …"""
MARGIN = 0.20
"""… and stand this far above the second."""
MIXED_ACCURACY_LOSS = 0.10
"""Towers are interchangeable when no mixed pair loses more clean accuracy than this against the worse pure pair."""


def ratios(swap: BranchSwap) -> tuple[float, float, float]:
    """(VRS, TRS, CSS) of paper §5."""
    span = (swap.a11 - swap.a00) + EPSILON
    return (
        (swap.a10 - swap.a00) / span,
        (swap.a01 - swap.a00) / span,
        (swap.a11 - max(swap.a10, swap.a01)) / span,
    )


def interchangeable(swap: BranchSwap) -> bool:
    """Whether a tower of one checkpoint can stand beside the other's at all, from clean accuracy."""
    pure = min(swap.mixed_accuracy[0], swap.mixed_accuracy[3])
    return min(swap.mixed_accuracy[1], swap.mixed_accuracy[2]) >= pure - MIXED_ACCURACY_LOSS


def diagnose(swap: BranchSwap, condition: Condition) -> Diagnosis:
    """Which component carries the exposure. Rules in the paper's order, our extra states named as ours."""
    vrs, trs, css = ratios(swap)
    signal = abs(swap.a11 - swap.a00)
    carrier, reason = _decide(swap, signal, vrs, trs, css)
    return Diagnosis(carrier, condition.channel, signal, vrs, trs, css, reason, _predicted(carrier, condition))


def _decide(swap: BranchSwap, signal: float, vrs: float, trs: float, css: float) -> tuple[Carrier, str]:
    if signal < SIGNAL_FLOOR:
        return Carrier.WEAK, f"the trigger moves the readout by {signal:.3f}, below {SIGNAL_FLOOR}"
    if swap.a11 < swap.a00:
        return Carrier.DEMOTED, f"the trigger makes the target rarer ({swap.a00:.3f} to {swap.a11:.3f}): no footprint"
    if not interchangeable(swap):
        return Carrier.NOT_INTERCHANGEABLE, "a mixed pair loses clean accuracy, so swapping towers proves nothing here"
    if vrs > DOMINANT and trs > DOMINANT:
        return Carrier.REDUNDANT, f"each tower alone carries it (VRS {vrs:.2f}, TRS {trs:.2f})"
    ordered = sorted((("visual", vrs), ("textual", trs), ("interaction", css)), key=lambda item: -item[1])
    (name, top), (_, second) = ordered[0], ordered[1]
    if top <= DOMINANT or top - second < MARGIN:
        return Carrier.AMBIGUOUS, f"no ratio stands out (VRS {vrs:.2f}, TRS {trs:.2f}, CSS {css:.2f})"
    if name == "interaction":
        return Carrier.INTERACTION, f"only both towers together carry it (CSS {css:.2f}); component repair decides"
    tower = "image" if name == "visual" else "text"
    return Carrier(name), f"swapping in the suspect's {tower} tower alone carries {top:.0%} of the effect"


def _predicted(carrier: Carrier, condition: Condition) -> tuple[str, ...]:
    """Interfaces that run the carrier and are well formed (paper §5 rule 3; carrier is not channel)."""
    return tuple(card.interface for card in CARDS if runs(card, carrier) and judge(card, condition) is None)


def agreement(diagnosis: Diagnosis, profile: Sequence[Entry]) -> str:
    """Compare a frozen diagnosis with the profile measured after it, in words (paper §5 rule 5)."""
    cells = {cell.interface: cell for cell in profile if isinstance(cell, Cell)}
    if diagnosis.carrier not in (Carrier.VISUAL, Carrier.TEXTUAL, Carrier.REDUNDANT):
        exposed = [name for name, cell in cells.items() if cell.entry is EntryType.EXPOSED]
        if not exposed:
            return f"{diagnosis.carrier.value}: no interface is exposed, as expected"
        return f"{diagnosis.carrier.value}: yet exposed through {', '.join(exposed)}"
    measured = [name for name in diagnosis.predicted if name in cells]
    hits = [name for name in measured if cells[name].entry is EntryType.EXPOSED]
    extra = [n for n, c in cells.items() if c.entry is EntryType.EXPOSED and n not in diagnosis.predicted]
    text = f"{len(hits)} of {len(measured)} predicted interfaces are exposed"
    return f"{text}; also exposed, not predicted: {', '.join(extra)}" if extra else text
