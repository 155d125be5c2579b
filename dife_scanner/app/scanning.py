"""Scan targets here and now: what is tried on them, with which data, and the batch they make."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.app.own_pictures import is_to_be_fetched
from dife_scanner.app.wiring import hub
from dife_scanner.errors import UsageError
from dife_scanner.records import Budget, Job
from dife_scanner.settings import Settings
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.progress import Progress
    from dife_scanner.queue.work import Work
    from dife_scanner.records import Trigger
    from dife_scanner.reports.study import Extension


def signatures(
    files: Sequence[Path], settings: Settings, *, with_library: bool, blind: bool = False
) -> tuple[Trigger, ...]:
    """Gather what an ordinary scan tries: the library, the settings' files and these.

    Raises `TriggerFileError`, also for none at all, unless the scan is `blind` and searches as well.
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
    budget: Budget = Budget.DEFAULT,
    seed: int = 0,
    data: Data,
    blind: bool = False,
    granted: float | None = None,
    all_searches: bool = False,
) -> Work:
    """Say how the jobs of one `dife scan` are done; data of the user's own is read before the first begins.

    `blind`: triggers that nobody described are searched for besides measuring these. `granted`: seconds for each audit.
    `all_searches`: go on through a channel of which a trigger is demonstrated already.

    Raises what reading it raises, `TriggerFileError` for a trigger whose target no picture shows, and `UsageError` for
    time that is granted where nothing is searched.
    """
    from dife_scanner import discovery
    from dife_scanner.audit.pipeline import check_known
    from dife_scanner.audit.plan import Plan
    from dife_scanner.queue.work import default_work

    if granted is not None and not blind:
        raise UsageError(
            "--minutes is time for searches, and this audit makes none",
            "leave --minutes out, or search: without --no-discovery, and not for known triggers alone",
        )
    detectors: tuple[str, ...] = ()
    if blind:
        detectors = discovery.names(budget)
    plan = Plan(
        tuple(triggers),
        budget,
        seed,
        extensions=data.extensions,
        pictures=data.pictures,
        captions=data.captions,
        detectors=detectors,
    )
    plan.read(settings.limits.picture_classes)
    check_known(plan, plan.probes().class_names)
    work = default_work(settings, plan=plan, reference=reference)
    ends_early = work.ends_early and not all_searches
    return replace(work, granted=granted, ends_early=ends_early)


def granted_seconds(minutes: float | None) -> float | None:
    """The seconds of `--minutes`. Raises `UsageError` where that is no time."""
    if minutes is None:
        return None
    if not math.isfinite(minutes) or minutes <= 0:
        raise UsageError(
            f"an audit cannot be granted {minutes:g} minutes",
            "grant more than 0, or leave --minutes out",
        )
    return 60 * minutes


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
    return Data(
        extensions=tuple(path.resolve() for path in extend),
        pictures=_pictures(settings, pictures),
        captions=_pictures(settings, captions),
    )


def _extend(path: Path) -> None:
    from dife_scanner.audit.interfaces import extend

    extend(path)  # here too, so that trigger files may use its kinds


def _pictures(settings: Settings, what: str) -> Path | None:
    """The folder or file of somebody's own pictures, fetched where `what` is the id of a data set; `None` for none."""
    from dife_scanner import secrets
    from dife_scanner.audit.populations import dataset
    from dife_scanner.hub.client import Hub

    if not what:
        return None
    if not is_to_be_fetched(what):
        return Path(what).expanduser().resolve()
    secret = secrets.secret("hf-token", settings.home)
    token = secret.value if secret else None
    datasets = Hub(
        settings.endpoint,
        token,
        cache=settings.home / "cache" / "hf",
        request_seconds=settings.limits.request_seconds,
        download_seconds=settings.limits.download_seconds,
        repo_type="dataset",
    )
    return dataset.fetch(datasets, what, settings.home / "cache" / "data")[0]


def digests(found: Data) -> tuple[Extension, ...]:
    """Name the extensions as every report does."""
    from hashlib import sha256

    from dife_scanner.reports.study import Extension

    named = []
    for path in found.extensions:
        digest = sha256(path.read_bytes()).hexdigest()
        named.append(Extension(path.name, digest))
    return tuple(named)


def scan(store: Store, work: Work, target: str, progress: Progress) -> Job:
    """Queue one target and do it here; the job as it stands then. A running watcher is not disturbed."""
    from dife_scanner.queue import targets, worker

    progress("looking", note=target)
    job = targets.enqueue(store, target, work.settings.limits, lambda: hub(work.settings))
    return worker.run_to_end(store, job, work, progress)


def end_batch(store: Store, done: Sequence[Job] | None = None) -> None:
    """Correct the p-values of these jobs' audits together; without `done`, those of all that are in no batch yet."""
    from dife_scanner.queue import batch

    if done is None:
        batch.correct_when_idle(store)
        return
    audit_ids = [job.audit_id for job in done if job.audit_id]
    batch.correct(store, audit_ids)
