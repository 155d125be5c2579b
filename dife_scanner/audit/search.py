"""Blind search inside an audit: detectors search on train drawings, and what they hand over is tested on held-out ones.

A detector that has finished is kept on disk under the part of the audit's identity that does not say how many of them
run. So an audit that is killed, or that its time was too short for, is gone on with instead of searched again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dife_scanner import discovery
from dife_scanner.audit import confirmation, early_end, faults, recovery
from dife_scanner.audit.plan import SAME_WORK, Plan
from dife_scanner.audit.probes import SEARCH_TEMPLATES
from dife_scanner.audit.search_progress import SearchProgress
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.audit.stages import Splits
from dife_scanner.discovery import Candidate, Detector, Load, Lowered, Task, cost
from dife_scanner.discovery.inversion_states import InversionStates
from dife_scanner.discovery.readings import SUFFIX, Readings
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.crash import crash_point
from dife_scanner.errors import TriggerFileError, UsageError
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
from dife_scanner.sentences.times import span_text
from dife_scanner.sentences.work_plan import ended_text, lowered_text, not_reached_text
from dife_scanner.store import codec
from dife_scanner.triggers import files

BASE_SETTINGS_PREFIX = "base-settings-"
"""How the names of searches begin for which both checkpoints ran under the base's settings; stored on disk."""
REVERSE_PREFIX = "exchanged-"
"""How the names of finished reverse searches begin (*reverse search*, docs/glossary.md); stored on disk."""


@dataclass(frozen=True)
class Options:
    """What a search depends on besides the two checkpoints."""

    plan: Plan
    """Of it: detectors, budget, seed, and which of the detectors run."""
    identity: str
    """Of the audit: what was searched under its first `SAME_WORK` digits is found again under them."""
    folder: Path
    """Where searches and trigger files are kept."""
    seconds: float | None = None
    """What the audit may take; a reverse search that no plan counted in is not begun where it would take longer."""
    gone: float = 0.0
    """Seconds of it that are over."""
    rates: cost.Rates | None = None
    """What passes take here, where that was measured; told while searches run, and nothing else."""
    learner: TriggerFile | None = None
    """The prompt learner that came with the suspect."""
    settings: SettingsOf = SettingsOf.SUSPECT
    """Under whose configuration both checkpoints run; finished searches under the base's have names of their own."""
    ends_early: bool = False
    """Whether a channel ends once a trigger of it is demonstrated."""
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
    """Searches that did not run, though there was something to search …"""
    failed: tuple[MissingSearch, ...] = ()
    """… those of them that a fault or the time limit ended."""
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


@dataclass(frozen=True)
class Prospect:
    """What there is to search, and by what."""

    task: Task
    able: tuple[Detector, ...]

    @property
    def applying(self) -> list[Detector]:
        """Those that find something to search, and what they need for it."""
        return _sorted(self.able, self.task)[0]


def prospect(encoders: Pair[Encoder], splits: Splits, options: Options) -> Prospect:
    """What there is to search where there is a base."""
    task = _task(encoders, splits.train, options)
    recognised = splits.panels.recognised if splits.panels is not None else ()
    task = replace(
        task,
        concepts=splits.concepts,
        concept_prompts=lambda names: splits.test.map(partial(recovery.prompts_of, concepts=names)),
        recognised=recognised,
    )
    return Prospect(task, detectors(options.plan.detectors))


def prospect_alone(encoder: Encoder, train: Side, options: Options) -> Prospect:
    """What there is to search without a base, by the detectors that can."""
    task = replace(_task(Pair(encoder, encoder), Pair(train, train), options), alone=True)
    able = [one.alone() for one in detectors(options.plan.detectors)]
    return Prospect(task, tuple(filter(None, able)))


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

    what = prospect(encoders, splits, options)
    if using:
        what = replace(what, able=tuple(using))
    return replace(_run(what, options, progress, test_candidate), gaps=gaps.found)


def discover_alone(
    encoder: Encoder, train: Side, test: Side, options: Options, progress: Progress
) -> Discovered:
    """The same without a base, by the detectors that can. Clean checkpoints have triggers of their own, so none of what
    comes out counts: results have neither reference nor p-value.
    """

    return _run(
        prospect_alone(encoder, train, options),
        options,
        progress,
        lambda candidate: confirmation.measured_alone(candidate, test),
    )


def score(searches: Sequence[Search]) -> float | None:
    """One number per model, 0..1: the largest effect of any discovered trigger between labelled classes.

    `None` where nothing was searched. What leads beyond these classes is demonstrated or not, and has no part in it:
    calibration sets hold scores of the labelled classes.
    """
    return max((search.best for search in searches), default=None)


# --- running detectors ----------------------------------------------------------------------------------------


def _run(
    what: Prospect,
    options: Options,
    progress: Progress,
    confirm: Callable[[Candidate], Hypothesis],
) -> Discovered:
    """Search with every detector that applies and that the time is for, and `confirm` what each hands over. One that
    raises is missing.
    """
    searches: list[Search] = []
    results: list[Hypothesis] = []
    applying, missing = _sorted(what.able, what.task)
    applying, unreached = _within_plan(applying, options)
    failed = _beyond_limit(applying, what.task, options)
    if failed:  # those that have finished before cost nothing
        applying = [one for one in applying if is_finished(one, options)]
    told = SearchProgress(progress, options.rates, what.task, _left(applying, options))
    ended: list[MissingSearch] = []
    for number, detector in enumerate(applying):
        why = _why_ended(detector, applying[number:], results, options)
        if why:
            ended.append(replace(_missing(detector, why), ended=True))
            told.leave_out(detector)
            continue
        told.begin(detector, number, len(applying))
        try:
            finished = _searched(detector, what.task, options, told)
        except Exception as error:
            failed.append(_missing(detector, faults.reason(error, detector.name), fault=True))
            continue
        confirmed, why = _confirmed(detector, finished, confirm)
        results.extend(confirmed)
        told.found(confirmed)
        if why:
            failed.append(_missing(detector, why, fault=True))
        else:
            searches.append(_record(detector, finished, confirmed, what.task.class_names))
    told.end(len(applying))
    every = (*missing, *failed, *unreached, *ended)
    return Discovered(tuple(searches), tuple(results), every, tuple(failed))


def _within_plan(
    applying: list[Detector], options: Options
) -> tuple[list[Detector], list[MissingSearch]]:
    """Those that the time is for, in the plan's order and with its efforts, and those that it is too short for."""
    work = options.plan.work
    if work is None or not work.is_cut:
        return applying, []
    by_name = {one.name: one for one in applying}
    runs = []
    efforts = {}
    for one in work.searches:
        if one.detector in by_name:
            whole = by_name[one.detector]
            runs.append(Lowered(whole, one.effort) if one.effort else whole)
            efforts[one.detector] = one.effort
    unreached = []
    for one in work.not_reached:
        if one.detector in by_name:
            effort = efforts.get(one.detector)
            why = lowered_text(work, one, effort) if effort else not_reached_text(work, one)
            missed = _missing(by_name[one.detector], why)
            unreached.append(replace(missed, unreached=True, effort=effort))
    return runs, unreached


def _why_ended(
    detector: Detector, left: Sequence[Detector], results: Sequence[Hypothesis], options: Options
) -> str:
    """Why a search is left out though time is for it, in words; empty where it is made.

    What was searched before costs nothing, and counts. A plan that is made again says itself what was left out.
    """
    named = detector.name in options.plan.ended
    may_end = options.ends_early and not is_finished(detector, options)
    if not named and not may_end:
        return ""
    further = len(options.plan.signatures) + early_end.HANDED_OVER * len(left)
    by = early_end.demonstrated(results, detector.channel, further)
    if by is None and not named:
        return ""
    return ended_text(by.trigger.name if by else "")


def _left(applying: Sequence[Detector], options: Options) -> list[Detector]:
    return [one for one in applying if not is_finished(one, options)]


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


def _beyond_limit(
    applying: Sequence[Detector], task: Task, options: Options
) -> list[MissingSearch]:
    """What is left to search, with the reason, where it would take longer than the audit may; else nothing.

    Only a reverse search that no plan counted in is bounded so: what it would run into is a finding that stands.
    """
    left = _left(applying, options)
    if not left or not options.reverse or options.seconds is None:
        return []
    try:
        load = sum((one.load(task) for one in left), start=Load(0, 0))
        seconds = cost.rates(load, task).seconds(load)
    except Exception as error:  # searches can do without
        faults.reason(error, "estimate of the searches")
        return []
    if seconds <= options.seconds - options.gone:
        return []
    over = f", of which {span_text(options.gone)} are over" if options.gone else ""
    reason = (
        f"the searches at budget {options.plan.budget} would take about {span_text(seconds)} on {task.suspect.device}, "
        f"and an audit may take {span_text(options.seconds)}{over}"
    )
    return [_missing(one, reason, fault=True) for one in left]


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


def _searched(detector: Detector, task: Task, options: Options, told: SearchProgress) -> _Finished:
    """What the detector found, now or before the audit was killed."""
    path = _path(detector, options)
    finished = _read(path)
    if finished is not None:
        return finished

    began = time.perf_counter()
    inversions = InversionStates(path.with_suffix(""))
    readings = Readings(path.with_suffix(SUFFIX))
    task = replace(task, progress=told.within, inversions=inversions, readings=readings)
    found = detector.search(task)
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
    inversions.forget()
    readings.forget()
    crash_point("discovery.kept")
    return finished


def _path(detector: Detector, options: Options) -> Path:
    prefix = REVERSE_PREFIX if options.reverse else ""
    if options.settings is SettingsOf.BASE:
        prefix = BASE_SETTINGS_PREFIX + prefix
    if isinstance(detector, Lowered):
        prefix += f"{detector.budget}-"
    if options.plan.bfloat16:
        prefix += f"{'-'.join((*options.plan.bfloat16, 'bfloat16'))}-"
    name = f"{prefix}{detector.name.replace(' ', '-')}"
    return options.folder / "searches" / f"{options.identity[:SAME_WORK]}-{name}.json"


def is_finished(detector: Detector, options: Options) -> bool:
    """Whether the detector has finished before, so that its search costs nothing."""
    return _read(_path(detector, options)) is not None


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
