"""Run every check on every hypothesis: what needs measuring is measured first, where it can still decide anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.audit import probes, reverse_search, search
from dife_scanner.audit.cache import CachedEncoder
from dife_scanner.audit.clean_references import CleanReferences
from dife_scanner.audit.interfaces import named
from dife_scanner.audit.sides import Side
from dife_scanner.audit.stages import Stage, labelled
from dife_scanner.core import checks
from dife_scanner.core.cards import ZERO_SHOT
from dife_scanner.core.checks import Circumstances
from dife_scanner.records import Hypothesis, Reference


@dataclass(frozen=True)
class Checked:
    """Every hypothesis with the results of its checks, and the clean references that were measured."""

    hypotheses: tuple[Hypothesis, ...]
    references: CleanReferences


def check_all(
    stage: Stage, results: Sequence[Hypothesis], base: Reference, options: search.Options
) -> Checked:
    """Measure what the corroborating checks need, and run every check on every hypothesis."""
    references = clean_references(stage, base)
    test = stage.splits.test
    measured = references.measured(results, test.suspect)
    with named(ZERO_SHOT, labelled(probes.TRAIN, probes.TEST)):
        measured = reverse_search.searched(
            measured, stage.encoders, stage.splits.train, test, options, stage.progress
        )
    unavailable = {checks.CLEAN_REFERENCES: references.failures} if references.failures else {}
    if not options.plan.detectors:
        unavailable[checks.REVERSE_SEARCH] = "this audit runs no searches"
    known = Circumstances(references.at_hand, reverse_search.accuracy_lost(test), unavailable)
    return Checked(with_checks(measured, known), references)


def with_checks(results: Sequence[Hypothesis], known: Circumstances) -> tuple[Hypothesis, ...]:
    """The same hypotheses, each with one result per check."""
    return tuple(replace(one, checks=checks.run_all(one, known)) for one in results)


def clean_references(stage: Stage, base: Reference) -> CleanReferences:
    """The clean references that are known here besides the base."""
    request = stage.request
    return CleanReferences(
        request.known, base, stage.encoders.suspect, request.flagged, _opener(stage)
    )


def _opener(stage: Stage) -> Callable[[Reference], Side]:
    from dife_scanner.models.load import load

    data = stage.splits.data

    def opened(one: Reference) -> Side:
        stage.phases.enter("trying triggers on other clean references", note=one.name)
        loaded = load(Path(one.path), device=stage.request.device)
        encoder = CachedEncoder(loaded, stage.memory, on_encoded=stage.phases.encoded)
        return Side(encoder, data.split(probes.TEST), data.class_names, probes.PROFILE_TEMPLATES)

    return opened
