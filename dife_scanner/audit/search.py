"""Blind search inside an audit: detectors search on train drawings, and what they hand over is tested on held-out ones.

A detector that has finished is kept on disk under the audit's identity, so that an audit that is killed goes on where
it was instead of searching again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dife_scanner import discovery
from dife_scanner.audit import confirmation, faults, recovery
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.probes import SEARCH_TEMPLATES
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.audit.stages import Splits
from dife_scanner.discovery import Candidate, Detector, Load, PanelOf, Pictures, Task, cost
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.crash import crash_point
from dife_scanner.errors import LimitExceeded, TriggerFileError, UsageError
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import Progress
from dife_scanner.records import (
    Gap,
    Hypothesis,
    MissingSearch,
    NounLead,
    Search,
    SettingsOf,
    Trigger,
    TriggerFile,
)
from dife_scanner.store import codec
from dife_scanner.triggers import files

IDENTITY = 32
"""Digits of an audit's identity that begin the names of its finished searches."""
MARGIN = 1.5
"""By how much an estimate has to exceed the limit before a search is not begun: it is no more than an estimate."""
BASE_SETTINGS_PREFIX = "base-settings-"
"""How the names of searches begin for which both checkpoints ran under the base's settings; stored on disk."""
REVERSE_PREFIX = "exchanged-"
"""How the names of finished reverse searches begin (*reverse search*, docs/glossary.md); stored on disk."""


@dataclass(frozen=True)
class Options:
    """What a search depends on besides the two checkpoints."""

    plan: Plan
    """Of it: detectors, budget and seed."""
    identity: str
    """Of the audit: what was searched under it is found again under it."""
    folder: Path
    """Where searches and trigger files are kept."""
    seconds: float | None = None
    """What the audit may take; searches that would clearly take longer are not begun."""
    gone: float = 0.0
    """Seconds of it that are over."""
    learner: TriggerFile | None = None
    """The prompt learner that came with the suspect."""
    settings: SettingsOf = SettingsOf.SUSPECT
    """Under whose configuration both checkpoints run; finished searches under the base's have names of their own."""
    reverse: bool = False
    """Whether suspect and base are in each other's place. Finished searches then have names of their own, and what is
    not the base keeps nothing where embeddings of bases are kept."""


@dataclass(frozen=True)
class Discovered:
    """What the searches of an audit came to."""

    searches: tuple[Search, ...] = ()
    results: tuple[Hypothesis, ...] = ()
    """One per candidate, measured on held-out drawings; not yet corrected for how many were tried."""
    missing: tuple[MissingSearch, ...] = ()
    """Searches that could not run, though there was something to search …"""
    failed: tuple[MissingSearch, ...] = ()
    """… those of them that a fault or the time limit ended."""
    limit: LimitExceeded | None = None
    """The time limit, where searches would take clearly longer and none was begun."""
    gaps: tuple[Gap, ...] = ()
    """What is not known of the results."""


@dataclass(frozen=True)
class _Finished:
    """One finished search, as it lies on disk."""

    candidates: tuple[Candidate, ...]
    passes: int
    seconds: float
    signals: dict[str, float]
    leads: tuple[NounLead, ...] = ()
    not_converged: str = ""


def detectors(wanted: Sequence[str]) -> tuple[Detector, ...]:
    """Detectors by name, in the order they run. `UsageError` for a name that none has."""
    names = [detector.name for detector in discovery.DETECTORS]
    unknown = set(wanted) - set(names)
    if unknown:
        raise UsageError(
            f"there is no detector called {', '.join(sorted(unknown))}", f"use {', '.join(names)}"
        )
    return tuple(detector for detector in discovery.DETECTORS if detector.name in wanted)


def discover(
    encoders: Pair[Encoder],
    splits: Splits,
    options: Options,
    progress: Progress,
    using: Sequence[Detector] = (),
) -> Discovered:
    """Run every detector that applies, and measure its candidates where it did not search.

    `using` are detectors of somebody's own in place of those that the plan names.
    """

    gaps = faults.Gaps()

    def test_candidate(candidate: Candidate) -> Hypothesis:
        return confirmation.tested(candidate, splits, options.plan.seed, gaps)

    chosen = using or detectors(options.plan.detectors)
    task = _task(encoders, splits.train, options)
    recognised = splits.panels.recognised if splits.panels is not None else ()
    task = replace(
        task,
        panel=_panels(encoders, splits),
        concepts=splits.concepts,
        concept_prompts=lambda names: splits.test.map(partial(recovery.prompts_of, concepts=names)),
        recognised=recognised,
    )
    return replace(_run(chosen, task, options, progress, test_candidate), gaps=gaps.found)


def discover_alone(
    encoder: Encoder, train: Side, test: Side, options: Options, progress: Progress
) -> Discovered:
    """The same without a base, by the detectors that can. Clean checkpoints have triggers of their own, so none of what
    comes out counts: results have neither reference nor p-value.
    """

    task = replace(_task(Pair(encoder, encoder), Pair(train, train), options), alone=True)
    able = []
    for detector in detectors(options.plan.detectors):
        alone = detector.alone()
        if alone is not None:
            able.append(alone)
    found = _run(
        able,
        task,
        options,
        progress,
        lambda candidate: confirmation.measured_alone(candidate, test),
    )
    if found.limit is not None:
        raise found.limit
    return found


def score(searches: Sequence[Search]) -> float | None:
    """One number per model, 0..1: the largest effect of any discovered trigger between labelled classes.

    `None` where nothing was searched. What leads beyond these classes is demonstrated or not, and has no part in it:
    calibration sets hold scores of the labelled classes.
    """
    return max((search.best for search in searches), default=None)


# --- running detectors ----------------------------------------------------------------------------------------


def _run(
    able: Sequence[Detector],
    task: Task,
    options: Options,
    progress: Progress,
    confirm: Callable[[Candidate], Hypothesis],
) -> Discovered:
    """Search with every detector that applies, and `confirm` what each hands over. One that raises is missing."""
    searches: list[Search] = []
    results: list[Hypothesis] = []
    phase = "searching without a base" if task.alone else "searching"
    applying, missing = _sorted(able, task)
    failed: list[MissingSearch] = []
    left = [one for one in applying if _read(_path(one, options)) is None]
    estimate, limit = _estimate(left, task, options)
    if limit is not None:  # those that have finished before cost nothing
        failed = [_missing(detector, limit.what, fault=True) for detector in left]
        applying = [one for one in applying if one not in left]
    for number, detector in enumerate(applying):
        progress(phase, number, len(applying), f"{detector.name}{estimate}")
        try:
            finished = _searched(detector, task, options, progress)
        except Exception as error:
            failed.append(_missing(detector, faults.reason(error, detector.name), fault=True))
            continue
        confirmed, why = _confirmed(detector, finished, confirm)
        results.extend(confirmed)
        if why:
            failed.append(_missing(detector, why, fault=True))
        else:
            searches.append(_record(detector, finished, confirmed, task.class_names))
    progress(phase, len(applying), len(applying))
    every = (*missing, *failed)
    return Discovered(tuple(searches), tuple(results), every, tuple(failed), limit)


def _sorted(able: Sequence[Detector], task: Task) -> tuple[list[Detector], list[MissingSearch]]:
    """Those detectors that apply, and those that do not though there is something to search."""
    applying, missing = [], []
    for detector in able:
        try:
            reason = detector.lacks(task)
            if detector.applies(task):
                applying.append(detector)
        except Exception as error:
            reason = faults.reason(error, detector.name)
        if reason:
            missing.append(_missing(detector, reason))
    return applying, missing


def _confirmed(
    detector: Detector, finished: _Finished, confirm: Callable[[Candidate], Hypothesis]
) -> tuple[list[Hypothesis], str]:
    """Its candidates, measured where it did not search; second, why the last of those that could not be was not."""
    confirmed = []
    why = ""
    for candidate in finished.candidates:
        try:
            confirmed.append(confirm(candidate))
        except Exception as error:
            name = candidate.trigger.name
            why = f"`{name}` could not be tested: {faults.reason(error, name)}"
    return confirmed, why


def _missing(detector: Detector, reason: str, *, fault: bool = False) -> MissingSearch:
    return MissingSearch(detector.name, detector.channel, detector.kinds, reason, fault)


def _estimate(
    left: Sequence[Detector], task: Task, options: Options
) -> tuple[str, LimitExceeded | None]:
    """About how long what is left will take, in words; second, the limit, where that is clearly beyond it."""
    if not left:
        return "", None
    try:
        loads = [detector.load(task) for detector in left]
        seconds = cost.seconds(sum(loads, start=Load(0, 0)), task)
    except Exception as error:  # searches can do without
        faults.reason(error, "estimate of the searches")
        return "", None
    # What a reverse search would run into is a finding that stands already.
    margin = 1.0 if options.reverse else MARGIN
    if options.seconds is None or seconds <= margin * (options.seconds - options.gone):
        return f", about {_long(seconds)} in all", None
    over = f", of which {_long(options.gone)} are over" if options.gone else ""
    return "", LimitExceeded(
        f"the searches at budget {options.plan.budget} would take about {_long(seconds)} on {task.suspect.device}, "
        f"and an audit may take {_long(options.seconds)}{over}",
        "use a faster device, raise limits.audit_seconds, or audit without searches (--no-discovery)",
    )


def _long(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _task(encoders: Pair[Encoder], train: Pair[Side], options: Options) -> Task:
    split = train.suspect.split
    return Task(
        suspect=encoders.suspect,
        reference=encoders.reference,
        pixels=train.suspect.encoder.prepare(split.images),
        labels=split.labels,
        class_names=train.suspect.class_names,
        templates=SEARCH_TEMPLATES,
        budget=options.plan.budget,
        seed=options.plan.seed,
        folder=options.folder / "triggers",
        drawings=split.drawings,
        learner=options.learner,
        embedding_cache=None if options.reverse else options.folder / "texts",
    )


def _panels(encoders: Pair[Encoder], splits: Splits) -> PanelOf:
    """The pictures that a search may read of any source and target."""

    def pictures(source: str, target: str) -> Pictures | None:
        found = splits.among(source, target)
        if found is None:
            return None
        split = found.train.suspect.split
        return Pictures(
            pixels=encoders.suspect.prepare(split.images),
            labels=split.labels,
            class_names=found.data.class_names,
            drawings=split.drawings,
        )

    return pictures


def _record(
    detector: Detector,
    finished: _Finished,
    confirmed: Sequence[Hypothesis],
    class_names: tuple[str, ...],
) -> Search:
    labelled = [one for one in confirmed if _between(one.trigger, class_names)]
    best = max((one.lift for one in labelled), default=0.0)
    return Search(
        detector=detector.name,
        channel=detector.channel,
        kinds=detector.kinds,
        candidates=len(finished.candidates),
        best=max(0.0, best),
        passes=finished.passes,
        seconds=finished.seconds,
        signals=finished.signals,
        leads=finished.leads,
        not_converged=finished.not_converged,
    )


def _between(trigger: Trigger, class_names: tuple[str, ...]) -> bool:
    """Whether a trigger leads to one of these classes, and from one where it has a source."""
    return trigger.is_within(class_names) and not trigger.unnamed_target


# --- finished searches on disk --------------------------------------------------------------------------------


def _searched(detector: Detector, task: Task, options: Options, progress: Progress) -> _Finished:
    """What the detector found, now or before the audit was killed."""
    path = _path(detector, options)
    finished = _read(path)
    if finished is not None:
        return finished

    def tell(what: str, done: int, of: int) -> None:
        progress(f"searching: {detector.name}", done, of, what)

    began = time.perf_counter()
    found = detector.search(replace(task, progress=tell))
    seconds = round(time.perf_counter() - began, 3)
    finished = _Finished(
        candidates=found.candidates,
        passes=found.passes,
        seconds=seconds,
        signals=dict(found.signals),
        leads=found.leads,
        not_converged=found.not_converged,
    )
    try:
        _write(path, finished)
    except Exception as error:  # what was found counts all the same; only a full disk is raised on
        faults.reason(error, f"keeping {path}")
    crash_point("discovery.kept")
    return finished


def _path(detector: Detector, options: Options) -> Path:
    prefix = REVERSE_PREFIX if options.reverse else ""
    if options.settings is SettingsOf.BASE:
        prefix = BASE_SETTINGS_PREFIX + prefix
    name = f"{prefix}{detector.name.replace(' ', '-')}"
    return options.folder / "searches" / f"{options.identity[:IDENTITY]}-{name}.json"


def _read(path: Path) -> _Finished | None:
    """A finished search, if it can be read and every file it names is still what it was."""
    try:
        finished = codec.from_json(_Finished, path.read_bytes())
        for candidate in finished.candidates:
            for file in candidate.trigger.files:
                files.content(file)
    except (OSError, ValueError, TriggerFileError):
        return None
    return finished


def _write(path: Path, finished: _Finished) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(codec.to_json(finished).encode())
