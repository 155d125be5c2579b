"""What carries an effect, as four bars: a branch swap, or the repair of a prompt mechanism."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.core.footprint import DOMINANT, MARGIN, MECHANISM_FLOOR, SIGNAL_FLOOR
from dife_scanner.figures.colours import Scheme
from dife_scanner.records import Audit, BranchSwap, ComponentRepair, Diagnosis
from dife_scanner.sentences.footprint import ratios_text
from dife_scanner.sentences.numbers import number

NOT_DIAGNOSED = "not diagnosed"


class Part(StrEnum):
    """What of the suspect is in a variant."""

    CLEAN = "clean"
    IMAGE = "image"
    TEXT = "text"
    WHOLE = "whole"


@dataclass(frozen=True)
class Bar:
    """One variant."""

    name: str
    words: str
    share: float
    """0..1."""
    part: Part

    @property
    def label(self) -> str:
        """Name and words."""
        return f"{self.name}: {self.words}"

    @property
    def sentence(self) -> str:
        """What it shows, for screen readers."""
        return f"{self.name}, {self.words}: {number(self.share)}"

    def fill(self, scheme: Scheme) -> str:
        """`#rrggbb` of the bar."""
        return str(getattr(scheme, self.part.value))


@dataclass(frozen=True)
class Bars:
    """Four variants on one axis from 0 to 1."""

    title: str
    bars: tuple[Bar, Bar, Bar, Bar]
    threshold: float
    """Drawn across the bars, in 0..1."""
    threshold_text: str
    """What it means."""
    readout: str
    carrier: str
    """Which component, as the diagnosis names it."""
    ratios: str
    """Empty without a diagnosis."""


RATIOS_TEXT = (
    f"A component is named where its ratio is above {DOMINANT:.2f} and {MARGIN:.2f} above the next"
)
"""What the ratios have to reach."""


def swap_bars(audit: Audit) -> Bars | None:
    """The branch swap of an audit; `None` where it has none."""
    swap = audit.branch_swap
    if swap is None:
        return None
    return Bars(
        "Branch swap",
        (
            Bar("a00", "reference image · reference text", swap.a00, Part.CLEAN),
            Bar("a10", "suspect image · reference text", swap.a10, Part.IMAGE),
            Bar("a01", "reference image · suspect text", swap.a01, Part.TEXT),
            Bar("a11", "suspect image · suspect text", swap.a11, Part.WHOLE),
        ),
        _within(swap.a00 + SIGNAL_FLOOR),
        f"dotted: {SIGNAL_FLOOR:.2f} above a00; a weaker signal names no component",
        *_diagnosed(swap, audit.diagnosis),
    )


def repair_bars(audit: Audit) -> Bars | None:
    """The component repair of an audit; `None` where it has none."""
    repair = audit.repair
    if repair is None:
        return None
    return Bars(
        "Component repair",
        (
            Bar("clean", "neither prompt nor trigger", repair.both_clean, Part.CLEAN),
            Bar("trigger", "image trigger only", repair.trigger_only, Part.IMAGE),
            Bar("prompt", "learned prompt only", repair.prompt_only, Part.TEXT),
            Bar("full", "prompt and trigger together", repair.full, Part.WHOLE),
        ),
        _within(repair.both_clean + MECHANISM_FLOOR),
        f"dotted: {MECHANISM_FLOOR:.2f} above clean, from which the mechanism counts as exposed",
        *_diagnosed(repair, audit.diagnosis),
    )


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _diagnosed(
    evidence: BranchSwap | ComponentRepair, diagnosis: Diagnosis | None
) -> tuple[str, str, str]:
    """Readout, carrier and ratios."""
    if diagnosis is None:
        return evidence.readout, NOT_DIAGNOSED, ""
    return evidence.readout, diagnosis.carrier.value, ratios_text(diagnosis)
