"""When a channel ends before all its searches were made: a trigger is demonstrated that enters through it.

An early end makes no claim easier. Each search that is left out counts as having handed over as many candidates as any
search does, and where no trigger comes out flagged in the end, what was left out is searched after all (`pipeline`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dife_scanner.audit import hypotheses
from dife_scanner.core import checks
from dife_scanner.records import Channel, Hypothesis, MissingSearch, Origin

HANDED_OVER = 4
"""Candidates whose target has a name that an image search hands over at most."""


def demonstrated(
    results: Sequence[Hypothesis], channel: Channel, further: int
) -> Hypothesis | None:
    """The strongest discovered trigger of a channel that passes every check that no further measuring is needed for.

    `further`: how many other triggers count as tried. One whose target has no name does not count: a search that is
    left out may name it.
    """
    found = []
    for one in hypotheses.corrected(results, further=further):
        named = one.trigger.channel is channel and not one.trigger.unnamed_target
        if named and one.origin is Origin.DISCOVERED:
            found.append(replace(one, checks=checks.run_all(one)))
    shown = [one for one in hypotheses.by_effect(found) if checks.demonstrated(one.checks)]
    return shown[0] if shown else None


def left_out(missing: Sequence[MissingSearch]) -> tuple[str, ...]:
    """Names of the searches that were left out because their channel had ended."""
    return tuple(one.detector for one in missing if one.ended)
