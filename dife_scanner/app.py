"""Composition root: settings in, wired objects out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.errors import NotFound
from dife_scanner.queue.home import bases_folder, open_home
from dife_scanner.records import Job, JobState, Manifest, ModelRef, Reference
from dife_scanner.settings import Settings, config_path, secret
from dife_scanner.store import findings, jobs, polls, references
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dife_scanner.alerts.channels import AlertChannel
    from dife_scanner.audit.progress import Progress
    from dife_scanner.hub.client import Hub
    from dife_scanner.queue.calibration import File
    from dife_scanner.queue.presumed import Asked as Presumed
    from dife_scanner.queue.watch import Event, Summary
    from dife_scanner.queue.worker import Work
    from dife_scanner.records import Audit, Trigger
    from dife_scanner.reports.as_json import CalibrationFile, PlanDocument
    from dife_scanner.reports.study import Extension

PACKAGES = ("torch", "open_clip_torch", "huggingface_hub", "sqlite-utils", "apscheduler", "PySide6-Essentials")


def add_reference(store: Store, settings: Settings, target: str, name: str, progress: Progress) -> Reference:
    """Register a folder or a repository as clean. Raises what `queue.references.register` raises."""
    from dife_scanner.queue import references as chosen

    return chosen.register(store, settings, target, name, lambda: hub(settings), progress)


def channels(settings: Settings) -> Sequence[AlertChannel]:
    from dife_scanner.alerts.channels import configured

    return configured(settings)


# --- calibration ----------------------------------------------------------------------------------------------


def calibration_files(store: Store, settings: Settings, only: Sequence[Path] = ()) -> tuple[CalibrationFile, ...]:
    """Calibration files (those of this home and of the package, or `only` these) and whether an audit can use them."""
    from dife_scanner.queue import calibration

    there = [calibration.file_at(path) for path in only] if only else calibration.found(settings.home)
    known = references.references(store)
    return tuple(_calibration_file(one, calibration.unused(one, known)) for one in there)


def _calibration_file(one: File, unused: str) -> CalibrationFile:
    """One file as `dife calibration list` shows it; `unused`: why no audit can be read beside it."""
    from dife_scanner.core.calibration import Pack, age, limits, upper_bound
    from dife_scanner.queue.calibration import today
    from dife_scanner.reports.as_json import CalibrationFile

    content = one.content
    if content is None:
        return CalibrationFile(str(one.path), one.shipped, "damaged", one.error.what if one.error else "")
    pack = content if isinstance(content, Pack) else None
    said = [unused] if unused else []
    common = CalibrationFile(
        path=str(one.path),
        shipped=one.shipped,
        state="unused" if unused else "in use",
        said="; ".join([*said, *(limits(pack, today()) if pack else ())]),
        base=content.base,
        budget=content.searched.budget,
        discovery=content.searched.discovery,
        detectors=content.searched.detectors,
        made_on=content.made_on,
        age_days=age(content, today()),
        digest=one.digest,
    )
    if not isinstance(content, Pack):
        planted = sum(line.planted for line in content.planted)
        return replace(common, kind="power", name=one.path.stem, n=planted)
    return replace(
        common,
        kind="pack",
        name=content.name,
        n=content.n,
        smallest_p=1 / (content.n + 1),
        tested=content.tested,
        alarms=content.alarms,
        alarm_bound=upper_bound(content.alarms, content.tested),
    )


def hub(settings: Settings) -> Hub:
    """A client for the settings' hub."""
    from dife_scanner.queue.worker import hub_for

    return hub_for(settings, settings.endpoint)


def presumed(
    store: Store, settings: Settings, base: str, reference: str, budget: str, n: int, minutes: float | None
) -> Presumed:
    """What `dife calibration from-hub` is asked for. Raises `UsageError` where the base is no reference here."""
    from dife_scanner.queue import presumed

    found = presumed.reference_for(base, references.references(store), reference)
    work = scan_work(settings, (), reference=found.name, budget=budget, data=Data(), blind=True)
    return presumed.Asked(base, found, work, n, minutes)


def plan_presumed(store: Store, asked: Presumed) -> PlanDocument:
    """What is left of it in bytes and hours."""
    from dife_scanner.queue import presumed
    from dife_scanner.reports.as_json import PlanDocument

    cost = presumed.cost(store, asked, hub(asked.work.settings))
    return PlanDocument(
        cost.models, cost.auditable, cost.states, cost.bytes, cost.requests, cost.hours, cost.exact, cost.assumptions
    )


# --- what `dife info` says ------------------------------------------------------------------------------------


def paths(settings: Settings) -> dict[str, str]:
    home = settings.home
    return {
        "home": str(home),
        "settings": str(config_path(home)),
        "database": str(home / "dife.db"),
        "evidence": str(home / "evidence"),
        "cache": str(home / "cache"),
        "bundled bases": str(bases_folder()),
    }


def device(settings: Settings) -> str:
    from dife_scanner.models.device import pick_device

    return str(pick_device(settings.device))


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def secret_source(name: str, settings: Settings) -> str:
    found = secret(name, settings.home)
    return found.source if found else "not set"


# --- scanning -------------------------------------------------------------------------------------------------


def signatures(
    files: Sequence[Path], settings: Settings, *, with_library: bool, blind: bool = False
) -> tuple[Trigger, ...]:
    """What an ordinary scan tries: the library, the settings' files and these.

    Raises `TriggerFileError`, also for none at all, unless the scan is `blind` and searches beside them.
    """
    from dife_scanner.triggers import known

    if blind and not (with_library or files or settings.signatures):
        return ()
    return known.gather([*settings.signatures, *files], with_library=with_library)


def scan_work(
    settings: Settings,
    triggers: Sequence[Trigger],
    *,
    reference: str = "",
    budget: str = "default",
    seed: int = 0,
    data: Data,
    blind: bool = False,
) -> Work:
    """How the jobs of one `dife scan` are done; data of the user's own is read before the first begins.

    `blind`: triggers that nobody described are searched for beside measuring these.

    Raises what reading it raises, and `TriggerFileError` for a trigger whose target no picture shows.
    """
    from dife_scanner.audit.pipeline import check_known
    from dife_scanner.audit.plan import Plan
    from dife_scanner.queue.worker import default_work
    from dife_scanner.triggers import discovery

    plan = Plan(
        tuple(triggers),
        budget,
        seed,
        extensions=data.extensions,
        pictures=data.pictures,
        captions=data.captions,
        detectors=discovery.names(budget) if blind else (),
    )
    plan.read()
    check_known(plan, plan.probes().class_names)
    return default_work(settings, plan=plan, reference=reference)


@dataclass(frozen=True)
class Data:
    """What a researcher brings along: files of code, labelled pictures, captioned pictures."""

    extensions: tuple[Path, ...] = ()
    pictures: Path | None = None
    captions: Path | None = None


def data(settings: Settings, extend: Sequence[Path], pictures: str, captions: str) -> Data:
    """Load the extensions and find the data; a data set named by its id is fetched. Raises what reading it raises."""
    for path in extend:
        _extend(path)
    found = [_pictures(settings, what) if what else None for what in (pictures, captions)]
    return Data(tuple(path.resolve() for path in extend), *found)


def _extend(path: Path) -> None:
    from dife_scanner.audit.interfaces import extend

    extend(path)  # here too, so that trigger files may use its kinds


def _pictures(settings: Settings, what: str) -> Path:
    from dife_scanner import settings as settings_
    from dife_scanner.audit.populations import dataset
    from dife_scanner.hub.client import Hub
    from dife_scanner.queue.targets import is_local

    if is_local(what) or not dataset.is_id(what):
        return Path(what).expanduser().resolve()
    token = settings_.secret("hf-token", settings.home)
    hub = Hub(
        settings.endpoint,
        token.value if token else None,
        cache=settings.home / "cache" / "hf",
        request_seconds=settings.limits.request_seconds,
        download_seconds=settings.limits.download_seconds,
        repo_type="dataset",
    )
    return dataset.fetch(hub, what, settings.home / "cache" / "data")[0]


def digests(found: Data) -> tuple[Extension, ...]:
    """The extensions as every report names them."""
    from hashlib import sha256

    from dife_scanner.reports.study import Extension

    return tuple(Extension(path.name, sha256(path.read_bytes()).hexdigest()) for path in found.extensions)


def check_reference(store: Store, name: str) -> None:
    """Raises `NotFound` for a reference that is not there, before anything is fetched."""
    from dife_scanner.queue.targets import is_local

    if not name or any(one.name == name for one in references.references(store)):
        return
    advice = f"`dife reference add {name}` first" if is_local(name) else "`dife reference list` shows them"
    raise NotFound(f"there is no reference called {name!r}", advice)


def scan(store: Store, work: Work, target: str, progress: Progress) -> Job:
    """Queue one target and do it here; the job as it stands then. A running watcher is not disturbed."""
    from dife_scanner.queue import targets, worker

    progress("looking", note=target)
    settings = work.settings
    job = targets.enqueue(store, target, settings.limits, lambda: worker.hub_for(settings, settings.endpoint))
    return worker.run_to_end(store, job, work, progress)


def settle(store: Store, done: Sequence[Job] | None = None) -> None:
    """The end of a batch: p-values of these jobs' audits (of all that wait for one) are corrected together."""
    from dife_scanner.queue import batch

    if done is None:
        batch.settle_when_over(store)
    else:
        batch.settle(store, [job.audit_id for job in done if job.audit_id])


def rerun(store: Store, settings: Settings, stored: Audit, data: Data, progress: Progress) -> Audit:
    """A stored audit made again; what is stored stays as it is. Raises what `queue.rerun` raises."""
    from dife_scanner.audit.plan import Plan
    from dife_scanner.queue.rerun import rerun as run_again
    from dife_scanner.triggers import discovery

    if stored.plan:
        signatures, detectors = stored.plan.signatures, stored.plan.detectors
    else:  # an older audit tells its detectors by what they found, and its signatures only once it is prepared
        usual = discovery.names(stored.budget)
        signatures = ()
        detectors = tuple(search.detector for search in stored.searches if search.detector in usual)
    plan = Plan(
        signatures,
        stored.budget,
        stored.seed,
        extensions=data.extensions,
        pictures=data.pictures,
        captions=data.captions,
        detectors=detectors,
    )
    return run_again(store, settings, stored, plan, progress)


def _look(settings: Settings, target: str) -> Manifest:
    """The manifest of a target: a local path where there is one, else a repository on the endpoint."""
    from dife_scanner.hub.manifest import local_manifest
    from dife_scanner.queue import intake, targets
    from dife_scanner.queue.worker import hub_for

    limits = settings.limits
    if targets.is_local(target):
        return local_manifest(
            Path(target).expanduser().resolve(),
            checkpoint_bytes=limits.checkpoint_bytes,
            small_file_bytes=limits.small_file_bytes,
        )
    repo_id, _, revision = target.partition("@")
    return intake.look(hub_for(settings, settings.endpoint), ModelRef(repo_id, revision), limits)[1]


def plan_targets(settings: Settings, targets: Sequence[str], budget: str) -> PlanDocument:
    """What `dife scan` would fetch for these targets, and how long it would take."""
    from dife_scanner.hub.poll import BYTES_PER_SECOND, audit_words
    from dife_scanner.reports.as_json import PlanDocument, PlannedModel

    found = [_look(settings, target) for target in targets]
    fetched = [one for one in found if one.state is JobState.QUEUED]
    total = sum(one.bytes_to_fetch for one in fetched if not one.ref.local)
    with open_home(settings) as store:
        audit_seconds = findings.usual_seconds(store, budget) or 0.0
    states: dict[str, int] = {}
    for one in found:
        states[one.state.value] = states.get(one.state.value, 0) + 1
    return PlanDocument(
        models=len(found),
        auditable=len(fetched),
        states=states,
        bytes=total,
        requests=sum(2 + len(one.files) for one in fetched if not one.ref.local),
        hours=(total / BYTES_PER_SECOND + audit_seconds * len(fetched)) / 3600,
        exact=True,
        assumptions=(f"downloads at {BYTES_PER_SECOND / 1e6:g} MB/s", audit_words(audit_seconds)),
        targets=tuple(
            PlannedModel(
                one.ref, one.layout.value, one.state, one.reason, one.bytes_to_fetch, tuple(f.path for f in one.files)
            )
            for one in found
        ),
    )


def plan_pass(settings: Settings) -> PlanDocument:
    """What the next poll would find and what looking at it would cost; nothing is fetched and nothing recorded."""
    from dife_scanner.hub.deadline import Deadline
    from dife_scanner.hub.poll import SOURCES, plan, poll
    from dife_scanner.queue.worker import hub_for
    from dife_scanner.reports.as_json import PlanDocument

    hub = hub_for(settings, settings.endpoint)
    with open_home(settings) as store:
        known, marks = jobs.known(store, settings.endpoint), polls.watermarks(store, settings.endpoint)
        audit_seconds = findings.usual_seconds(store, settings.budget) or 0.0
    deadline = Deadline(settings.limits.pass_seconds)
    result = poll(
        hub,
        known=known,
        watermarks=marks,
        overlap_seconds=settings.overlap_seconds,
        deadline=deadline,
        sources=settings.filters or SOURCES,
    )
    found = plan(hub, result, audit_seconds=audit_seconds, deadline=deadline)
    return PlanDocument(
        models=found.models,
        auditable=found.auditable,
        states=found.states,
        bytes=found.bytes,
        requests=found.requests,
        hours=found.hours,
        exact=found.exact and result.complete,
        assumptions=(*found.assumptions, *result.problems),
    )


# --- watching -------------------------------------------------------------------------------------------------


def watch(settings: Settings, *, once: bool, on_event: Callable[[Event], None]) -> Summary:
    """Supervise poller, workers and alert sender until stopped; with `once`, one pass and everything it found."""
    from dife_scanner.queue.watch import watch as supervise
    from dife_scanner.queue.worker import default_work

    with open_home(settings):
        pass
    return supervise(default_work(settings), once=once, on_event=on_event)


def work(settings: Settings, *, until_idle: bool, progress: Progress) -> None:
    """Be one worker in this process until stopped."""
    from dife_scanner.queue.processes import stop_event
    from dife_scanner.queue.worker import default_work, work_loop

    with open_home(settings):
        pass
    work_loop(default_work(settings), stop_event(), until_idle=until_idle, progress_for=lambda job: progress)
