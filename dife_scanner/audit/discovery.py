"""Blind search inside an audit: detectors search on train drawings, and what they hand over is confirmed on test ones.

A detector that has finished is kept on disk under the audit's identity, so that an audit that is killed goes on where
it was instead of searching again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.audit import hypotheses, recovery
from dife_scanner.audit.probes import SEARCH_TEMPLATES
from dife_scanner.audit.sides import Pair, Side, readout
from dife_scanner.core import metrics
from dife_scanner.discovery import DETECTORS, Candidate, Detector, Load, Task, cost
from dife_scanner.durable.atomic import whole
from dife_scanner.durable.crash import crash_point
from dife_scanner.errors import LimitExceeded, TriggerFileError, UsageError
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import Progress
from dife_scanner.records import Channel, NotSearched, Origin, Search, SignatureResult, Trigger, TriggerFile
from dife_scanner.store import codec
from dife_scanner.triggers import files

IDENTITY = 32
"""Digits of an audit's identity that begin the names of its finished searches."""
MARGIN = 1.5
"""By how much an estimate has to exceed the limit before a search is not begun: it is no more than an estimate."""


@dataclass(frozen=True)
class Setting:
    """What a search depends on beside the two checkpoints."""

    detectors: tuple[str, ...]
    budget: str
    seed: int
    identity: str
    """Of the audit: what was searched under it is found again under it."""
    folder: Path
    """Where searches and trigger files are kept."""
    seconds: float | None = None
    """What the audit may take; searches that would clearly take longer are not begun."""
    learner: TriggerFile | None = None
    """The prompt learner that came with the suspect."""
    exchanged: bool = False
    """Whether suspect and base have changed places: finished searches have a name of their own, and what is not the
    base keeps nothing where embeddings of bases are kept."""


@dataclass(frozen=True)
class Discovered:
    searches: tuple[Search, ...]
    results: tuple[SignatureResult, ...]
    """One per candidate, measured on held-out drawings; not yet corrected for how many were tried."""
    missing: tuple[NotSearched, ...] = ()
    """Searches that could not run, though there was something to search."""


@dataclass(frozen=True)
class _Kept:
    """One finished search, as it lies on disk."""

    candidates: tuple[Candidate, ...]
    passes: int
    seconds: float
    signals: dict[str, float]


def detectors(wanted: Sequence[str]) -> tuple[Detector, ...]:
    """Detectors by name, in the order they run. `UsageError` for a name that none has."""
    names = [detector.name for detector in DETECTORS]
    if unknown := set(wanted) - set(names):
        raise UsageError(f"there is no detector called {', '.join(sorted(unknown))}", f"use {', '.join(names)}")
    return tuple(detector for detector in DETECTORS if detector.name in wanted)


def discover(
    encoders: Pair[Encoder],
    train: Pair[Side],
    test: Pair[Side],
    setting: Setting,
    progress: Progress,
    using: Sequence[Detector] = (),
) -> Discovered:
    """Run every detector that applies, and measure its candidates where it did not search.

    `using` are detectors of somebody's own in place of those that the setting names.
    """
    task = _task(encoders, train, setting)
    return _run(
        using or detectors(setting.detectors), task, setting, progress, lambda one: _confirmed(one, test, setting.seed)
    )


def _estimate(applying: Sequence[Detector], task: Task, setting: Setting) -> str:
    """About how long what is left will take, in words. `LimitExceeded` where that is clearly beyond the limit."""
    left = [detector.load(task) for detector in applying if _read(_kept_at(detector, setting)) is None]
    if not left:
        return ""
    took = cost.seconds(sum(left, start=Load(0, 0)), task)
    if setting.seconds is not None and took > MARGIN * setting.seconds:
        raise LimitExceeded(
            f"the searches at budget {setting.budget} would take about {_long(took)} on {task.suspect.device}, and an "
            f"audit may take {_long(setting.seconds)}",
            "use a faster device, raise limits.audit_seconds, or audit without searches (--no-discovery)",
        )
    return f", about {_long(took)} in all"


def _long(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def discover_alone(encoder: Encoder, train: Side, test: Side, setting: Setting, progress: Progress) -> Discovered:
    """The same without a base, by the detectors that can. Clean checkpoints have triggers of their own, so none of what
    comes out counts: results have neither reference nor p-value.
    """
    task = replace(_task(Pair(encoder, encoder), Pair(train, train), setting), alone=True)
    able = [alone for detector in detectors(setting.detectors) if (alone := detector.alone()) is not None]
    return _run(able, task, setting, progress, lambda one: _measured_alone(one, test))


def _run(
    able: Sequence[Detector],
    task: Task,
    setting: Setting,
    progress: Progress,
    confirm: Callable[[Candidate], SignatureResult],
) -> Discovered:
    """Search with every detector that applies, and `confirm` what each hands over."""
    searches: list[Search] = []
    results: list[SignatureResult] = []
    what = "searching without a base" if task.alone else "searching"
    applying = [detector for detector in able if detector.applies(task)]
    told = _estimate(applying, task, setting)
    for number, detector in enumerate(applying):
        progress(what, number, len(applying), f"{detector.name}{told}")
        kept = _searched(detector, task, setting, progress)
        confirmed = tuple(map(confirm, kept.candidates))
        searches.append(_record(detector, kept, confirmed))
        results.extend(confirmed)
    progress(what, len(applying), len(applying))
    return Discovered(tuple(searches), tuple(results), _missing(able, task))


def _missing(able: Sequence[Detector], task: Task) -> tuple[NotSearched, ...]:
    lacking = ((detector, detector.lacks(task)) for detector in able)
    return tuple(NotSearched(one.name, one.channel, one.kinds, why) for one, why in lacking if why)


def _measured_alone(candidate: Candidate, test: Side) -> SignatureResult:
    moved, drawings = readout(test, test, candidate.trigger, with_target=False)
    return SignatureResult(
        candidate.trigger,
        candidate.effect,
        float(moved.mean()),
        drawings=len(set(drawings)),
        origin=Origin.DISCOVERED,
        clean=hypotheses.clean_rate(test, candidate.trigger),
    )


def score(searches: Sequence[Search]) -> float | None:
    """One number per model, 0..1; `None` where nothing was searched."""
    return max((search.best for search in searches), default=None)


def _task(encoders: Pair[Encoder], train: Pair[Side], setting: Setting) -> Task:
    split = train.suspect.split
    return Task(
        encoders.suspect,
        encoders.reference,
        train.suspect.encoder.prepare(split.images),
        split.labels,
        train.suspect.class_names,
        SEARCH_TEMPLATES,
        setting.budget,
        setting.seed,
        setting.folder / "triggers",
        drawings=split.drawings,
        learner=setting.learner,
        embedding_cache=None if setting.exchanged else setting.folder / "texts",
    )


def _searched(detector: Detector, task: Task, setting: Setting, progress: Progress) -> _Kept:
    kept_at = _kept_at(detector, setting)
    if (kept := _read(kept_at)) is not None:
        return kept

    def tell(what: str, done: int, of: int) -> None:
        progress(f"searching: {detector.name}", done, of, what)

    began = time.perf_counter()
    found = detector.search(replace(task, progress=tell))
    seconds = round(time.perf_counter() - began, 3)
    kept = _Kept(found.candidates, found.passes, seconds, dict(found.signals))
    _write(kept_at, kept)
    crash_point("discovery.kept")
    return kept


def _kept_at(detector: Detector, setting: Setting) -> Path:
    name = f"{'exchanged-' if setting.exchanged else ''}{detector.name.replace(' ', '-')}"
    return setting.folder / "searches" / f"{setting.identity[:IDENTITY]}-{name}.json"


def _read(path: Path) -> _Kept | None:
    """A finished search, if it can be read and every file it names is still what it was."""
    try:
        kept = codec.from_json(_Kept, path.read_bytes())
        for candidate in kept.candidates:
            for file in candidate.trigger.files:
                files.content(file)
    except (OSError, ValueError, TriggerFileError):
        return None
    return kept


def _write(path: Path, kept: _Kept) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as stream:
        stream.write(codec.to_json(kept).encode())


def _confirmed(candidate: Candidate, test: Pair[Side], seed: int) -> SignatureResult:
    """The candidate on drawings and templates that no search saw, with its interval over the base."""
    trigger = candidate.trigger
    choice = hypotheses.Choice(trigger, candidate.suspect, candidate.reference)
    measured = hypotheses.test(choice, test.suspect, test.reference, seed, always=True)
    effect = hypotheses.effect(trigger, *test, seed)
    near = recovery.nearest_concept(trigger, test)
    alike = _read_alike(trigger, test)
    return replace(
        measured, origin=Origin.DISCOVERED, effect=effect, area=candidate.area, read_alike=alike, leads_to=near
    )


def _read_alike(trigger: Trigger, test: Pair[Side]) -> bool:
    """Whether suspect and base see pictures with this trigger as the same, save for rounding.

    Asked of pictures alone: a text says too little on the few pictures of one class to be asked for more.
    """
    if trigger.channel is not Channel.IMAGE:
        return False
    mine, theirs = (side.images_with(trigger) for side in test)
    return float(metrics.cosine_distance(mine, theirs).mean()) < metrics.ROUNDED


def _record(detector: Detector, kept: _Kept, confirmed: Sequence[SignatureResult]) -> Search:
    best = max((result.lift for result in confirmed), default=0.0)
    return Search(
        detector.name,
        detector.channel,
        detector.kinds,
        len(kept.candidates),
        max(0.0, best),
        kept.passes,
        kept.seconds,
        kept.signals,
    )
