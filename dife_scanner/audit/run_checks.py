"""Run every check on every hypothesis: what needs measuring is measured first, where it can still decide anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.audit import faults, probes, reverse_search, search
from dife_scanner.audit.cache import CachedEncoder
from dife_scanner.audit.clean_references import CleanReferences
from dife_scanner.audit.interfaces import named
from dife_scanner.audit.sides import Side
from dife_scanner.audit.stages import Stage, labelled
from dife_scanner.core import checks
from dife_scanner.core.cards import ZERO_SHOT
from dife_scanner.core.checks import Circumstances
from dife_scanner.records import Gap, Hypothesis, Reference


@dataclass(frozen=True)
class Checked:
    """Every hypothesis with the results of its checks, and the clean references that were measured."""

    hypotheses: tuple[Hypothesis, ...]
    references: CleanReferences

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What of the references decides nothing, and could not be measured."""
        failures = self.references.failures_elsewhere
        return (Gap("success in other architectures", failures),) if failures else ()


def check_all(
    stage: Stage, results: Sequence[Hypothesis], base: Reference, options: search.Options
) -> Checked:
    """Measure what the corroborating checks need, and run every check on every hypothesis."""
    references = clean_references(stage, base)
    unavailable: dict[str, str] = {}
    reduced: dict[str, str] = {}
    measured = tuple(results)
    try:
        measured = references.measured(measured, stage.splits.test.suspect)
    except Exception as error:
        unavailable[checks.CLEAN_REFERENCES] = faults.reason(error, checks.CLEAN_REFERENCES)
    if references.failures:
        unavailable[checks.CLEAN_REFERENCES] = references.failures
        reduced[checks.CLEAN_REFERENCES] = f"rests on the others alone: {references.failures}"
    try:
        measured, failed = _with_reverse_search(stage, measured, options)
    except Exception as error:
        failed = faults.reason(error, checks.REVERSE_SEARCH)
    if failed:
        unavailable[checks.REVERSE_SEARCH] = failed
    lost = reverse_search.accuracy_lost(stage.splits.test)
    known = Circumstances(references.at_hand, lost, unavailable, reduced)
    return Checked(with_checks(measured, known), references)


def _with_reverse_search(
    stage: Stage, results: Sequence[Hypothesis], options: search.Options
) -> tuple[tuple[Hypothesis, ...], str]:
    splits = stage.splits
    options = replace(options, gone=time.monotonic() - stage.began)
    with named(ZERO_SHOT, labelled(probes.TRAIN, probes.TEST)):
        return reverse_search.searched(results, stage.encoders, splits, options, stage.progress)


def with_checks(results: Sequence[Hypothesis], known: Circumstances) -> tuple[Hypothesis, ...]:
    """The same hypotheses, each with one result per check."""
    return tuple(replace(one, checks=checks.run_all(one, known)) for one in results)


def clean_references(stage: Stage, base: Reference) -> CleanReferences:
    """The clean references that are known here besides the base."""
    request = stage.request
    return CleanReferences(
        request.known, base, stage.encoders.suspect, request.flagged, _opener(stage), stage.splits
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
