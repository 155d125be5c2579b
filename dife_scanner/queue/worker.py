"""One job from claimed to its final state, and the loop that takes one after the other.

look at the hub -> fetch -> private copy -> inspect -> (same identity?) -> audit in a child -> save, all or nothing
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dife_scanner import checkpoints
from dife_scanner import settings as settings_
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.audit.pipeline import Plan, Request
from dife_scanner.baselines import calibration, references
from dife_scanner.core.findings import fingerprint
from dife_scanner.durable.clock import later, now
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DiskFull, HomeUnwritable, StoreCorrupt
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import batch, child, outcome
from dife_scanner.queue.lease import Lease, gone, worker_name
from dife_scanner.queue.settle import settle
from dife_scanner.queue.sweep import forget_searches, sweep
from dife_scanner.records import Alert, Audit, Finding, Job, JobState, Manifest, Reference
from dife_scanner.settings import Settings
from dife_scanner.store import LeaseLost, Store, findings, jobs, open_store, polls
from dife_scanner.store import references as kept_references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
BEAT_SECONDS = 10.0
SAME_IDENTITY_SECONDS = 10.0


@dataclass(frozen=True)
class Work:
    """What decides how jobs are done; picklable, so that it reaches every process."""

    settings: Settings
    plan: Plan
    reference: str = ""
    """Name of the reference to use; empty: chosen per checkpoint."""
    channels: tuple[str, ...] = ()
    """Names of the alert channels that findings go to."""
    audit: str = child.AUDIT
    """What an audit child runs, `module:function`."""
    preload: tuple[str, ...] = child.PRELOAD
    start: str = child.FORKSERVER
    """How audit children come about; `spawn` where the system has no such server."""
    lease_seconds: float = 60.0
    seed: int | None = field(default=None)
    """Of the jitter in delays; `None`: from the system."""

    @property
    def home(self) -> Path:
        return self.settings.home


def default_work(settings: Settings, *, plan: Plan | None = None, reference: str = "") -> Work:
    """As the settings say: bundled signatures and theirs, blind search, budget, all configured channels."""
    from dife_scanner import discovery
    from dife_scanner.alerts.channels import configured
    from dife_scanner.triggers import known

    signatures = known.gather(settings.signatures, with_library=True)
    names = tuple(channel.name for channel in configured(settings))
    detectors = discovery.names(settings.budget) if settings.discover else ()
    usual = Plan(signatures, settings.budget, detectors=detectors)
    return Work(settings, plan or usual, reference=reference, channels=names)


def hub_for(settings: Settings, endpoint: str, pause: Callable[[float], object] = time.sleep) -> Hub:
    """A client for `endpoint`; the token goes only to the endpoint it was set for."""
    from dife_scanner.hub.client import Hub

    token = settings_.secret("hf-token", settings.home) if endpoint == settings.endpoint else None
    return Hub(
        endpoint,
        token.value if token else None,
        cache=settings.home / "cache" / "hf",
        request_seconds=settings.limits.request_seconds,
        download_seconds=settings.limits.download_seconds,
        pause=pause,
    )


# --- one job --------------------------------------------------------------------------------------------------


class Stopping(Exception):
    """This worker was asked to stop."""


def process(
    store: Store,
    job: Job,
    work: Work,
    progress: Progress = SILENT,
    *,
    worker: str = "",
    stop: threading.Event | None = None,
) -> Job:
    """Do `job` (waiting, or claimed by `worker`) and return it as it stands then.

    Whatever goes wrong with the checkpoint or the hub becomes a state with a reason; only trouble with the home
    itself (`DiskFull` when not even that can be written, `HomeUnwritable`) is raised. A job that somebody else holds,
    or that has ended, is returned as it is.
    """
    worker = worker or worker_name()
    if job.worker != worker:
        jobs.requeue_lost(store, gone=gone)
    claimed = job if job.worker == worker else jobs.claim_job(store, job.id, worker, work.lease_seconds)
    if claimed is None:
        return jobs.job(store, job.id)
    rng = random.Random(work.seed)
    with Lease(work.home, claimed.id, worker, work.lease_seconds) as lease:
        run = _Run(store, claimed, work, worker, progress, _check(lease, stop))
        try:
            try:
                done = run()
            except (LeaseLost, Stopping, HomeUnwritable, StoreCorrupt):
                raise
            except Exception as error:
                done = settle(store, claimed, worker, error, work.channels, rng)
        except LeaseLost as lost:
            log.info("%s", lost.what)
            done = jobs.job(store, claimed.id)
        except Stopping:
            done = jobs.release(store, claimed.id, worker, "its worker was stopped")
        finally:
            _remove(run.folder)
    if done.state.is_final and not done.ref.local:
        checkpoints.forget(work.home, done.ref)
    return done


def run_to_end(
    store: Store, job: Job, work: Work, progress: Progress = SILENT, *, patience_seconds: float = 30.0
) -> Job:
    """`process`, again for as long as the job only has to wait a moment; what `dife scan` does."""
    end = later(patience_seconds)
    while True:
        job = process(store, job, work, progress)
        due = job.next_check_at
        if job.state.is_final or job.worker or (due and due > end):
            return job
        while due and now() < due:
            progress("waiting", note=job.reason)
            time.sleep(0.2)


def _check(lease: Lease, stop: threading.Event | None) -> Callable[[], None]:
    def check() -> None:
        lease.check()
        if stop is not None and stop.is_set():
            raise Stopping

    return check


def _remove(folder: Path) -> None:
    """Staged files are read-only and their folder may be missing; what cannot go now goes with the next worker."""
    shutil.rmtree(folder, ignore_errors=True)


class _Run:
    """The steps of one job, top to bottom."""

    def __init__(
        self, store: Store, job: Job, work: Work, worker: str, progress: Progress, check: Callable[[], None]
    ) -> None:
        self._store, self._job, self._work, self._worker = store, job, work, worker
        self._progress, self._check = progress, check
        self._limits = work.settings.limits
        self.folder = work.home / "work" / str(job.id)

    def __call__(self) -> Job:
        _remove(self.folder)
        with disk_errors(self._work.home):
            self.folder.mkdir(mode=0o700, parents=True)
        found = self._look()
        if found.state.is_final:
            return self._finish(found.state, found.reason)
        child.warm_up(self._work.preload, self._work.start)
        return self._audit_once(self._request(found, self._prepare(found)))

    def _look(self) -> Manifest:
        self._progress("looking", note=str(self._job.ref))
        if self._job.ref.local:
            return checkpoints.look_local(self._job.ref, jobs.manifest_of(self._store, self._job.id))
        model, found = checkpoints.look(self._hub(), self._job.ref, self._limits)
        jobs.keep_manifest(self._store, self._job.id, self._worker, model, found)
        return found

    def _hub(self) -> Hub:
        return hub_for(self._work.settings, self._job.endpoint, self._pause)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, 0.2))

    def _prepare(self, found: Manifest) -> checkpoints.Prepared:
        if self._job.ref.local:
            files, expected = checkpoints.local_files(found)
        else:
            cache = checkpoints.cache_folder(self._work.home, self._job.ref)
            files = checkpoints.fetch(self._hub(), found, cache, self._limits, self._progress, self._check)
            expected = {file.path: file for file in found.files}
        self._check()
        self._progress("checking", note=str(self._job.ref))
        return checkpoints.prepare(files, expected, self.folder / "checkpoint", self._limits)

    def _request(self, found: Manifest, prepared: checkpoints.Prepared) -> Request:
        known = kept_references.references(self._store)
        measure = partial(references.likeness, prepared.weights, limits=self._limits)
        chosen = references.choose(known, prepared.architecture, found.base_claim, self._work.reference, measure)
        reference, plan = chosen.reference, self._work.plan
        came = references.came_with(self._store, reference) if reference else ()
        if came:
            plan = replace(plan, signatures=(*plan.signatures, *came))
        return Request(
            ref=self._job.ref,
            folder=prepared.folder,
            weights_sha256=prepared.weights_sha256,
            config_digest=prepared.config_digest,
            reference=reference,
            known=tuple(known),
            flagged=frozenset(one.name for one in known if _was_flagged(self._store, one)),
            plan=plan,
            device=self._work.settings.device,
            cache=self._work.home / "cache" / "embeddings",
            seconds=self._limits.audit_seconds,
            likeness=chosen.likeness,
            named=bool(self._work.reference),
            notes=(*chosen.notes, *checkpoints.notes(found)),
            unread=found.unread,
            demonstrated=frozenset(one.name for one in came),
        )

    def _audit_once(self, request: Request) -> Job:
        """Audit unless this identity was audited before; two workers never audit one identity at a time."""
        stored = self._as_stored(request)
        name = stored.identity
        lock = FileLock(self._work.home / "work" / f"identity-{name[:32]}.lock")
        try:
            with lock.acquire(timeout=0):
                before = findings.audit_by_identity(self._store, name) or self._of_an_older_program(stored)
                return self._reuse(before, request) if before else self._audit(request)
        except Timeout:
            reason = "another worker audits the same weights just now"
            return jobs.pause(self._store, self._job.id, self._worker, reason, SAME_IDENTITY_SECONDS)

    def _of_an_older_program(self, stored: Request) -> Audit | None:
        """The audit of this request that was stored under its legacy identity."""
        legacy = stored.legacy_identity
        return findings.recognised(self._store, stored.identity, legacy) if legacy else None

    def _as_stored(self, request: Request) -> Request:
        """The request under whose identity the audit would be found. Where the audit itself has to say whether the
        reference is the base, only one that said no is taken for it: one that compared may have been asked to.
        """
        doubted = all(request.likeness.unrelated) and not request.named
        if not doubted:
            return request
        return replace(request, reference=None, turned_down=request.reference)

    def _audit(self, request: Request) -> Job:
        jobs.advance(self._store, self._job.id, self._worker, JobState.AUDITING, "")
        folder = self.folder / "outcome"
        folder.mkdir(mode=0o700)
        kept = child.run(
            request,
            folder,
            seconds=self._limits.audit_seconds,
            rss_mib=self._limits.audit_rss_mib,
            threads=threads(self._work.settings),
            progress=self._progress,
            check=self._check,
            entry=self._work.audit,
            preload=self._work.preload,
            start=self._work.start,
        )
        crash_point("worker.audited")
        self._check()
        outcome.keep(self._work.home, kept)
        audit = calibration.calibrated(kept.audit, request.reference, request.plan, self._work.home)
        done = self._finish(JobState.DONE, audit.reason, audit, kept.finding)
        forget_searches(self._store)
        return done

    def _reuse(self, before: Audit, request: Request) -> Job:
        """The same checkpoint under another name or commit: same audit, and its finding is one for this place too.

        What packs that came since say about its score is kept with it.
        """
        finding = findings.of_audit(self._store, before.id)
        if finding:
            parts = (finding.kind, finding.channel, finding.carrier, finding.target)
            place = fingerprint(self._job.ref.repo_id, *parts)
            finding = replace(finding, fingerprint=place, ref=self._job.ref, created_at=now())
        audit = calibration.renewed(before, request.reference, request.plan, self._work.home)
        reason = "; ".join((f"same identity as audit {before.id}", *request.notes))
        return self._finish(JobState.DONE, reason, audit, finding)

    def _finish(self, state: JobState, reason: str, audit: Audit | None = None, finding: Finding | None = None) -> Job:
        alerts: tuple[Alert, ...] = ()
        if finding:
            previous = findings.find(self._store, finding.fingerprint)
            alerts = alerts_for(finding, previous, self._work.channels)
        return jobs.finish(
            self._store, self._job.id, self._worker, state, reason, audit=audit, finding=finding, alerts=alerts
        )


def _was_flagged(store: Store, reference: Reference) -> bool:
    return bool(findings.demonstrated_in(store, reference.image_tower, reference.text_tower))


def threads(settings: Settings) -> int:
    """Of one audit, so that all workers together use the machine once."""
    return max(1, _cores() // settings.workers)


def _cores() -> int:
    """Those this process may use, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- one after the other --------------------------------------------------------------------------------------


def work_loop(
    work: Work,
    stop: threading.Event,
    *,
    until_idle: bool = False,
    progress_for: Callable[[Job], Progress] = lambda job: SILENT,
    on_done: Callable[[Job], None] = lambda job: None,
) -> None:
    """Take jobs until `stop` is set (or, with `until_idle`, until none is due)."""
    worker = worker_name()
    beat_at = 0.0
    with open_store(work.home) as store:
        sweep(store)
        while not stop.is_set():
            try:
                if time.monotonic() >= beat_at:
                    polls.beat(store, "worker", os.getpid(), "waiting for jobs")
                    beat_at = time.monotonic() + BEAT_SECONDS
                jobs.requeue_lost(store, gone=gone)
                job = jobs.claim(store, worker, work.lease_seconds)
                if job is not None:
                    on_done(process(store, job, work, progress_for(job), worker=worker, stop=stop))
                    batch.settle_when_full(store)
                else:
                    batch.settle_when_over(store)
                    if until_idle:
                        return
                    stop.wait(IDLE_SECONDS)
            except DiskFull as error:
                _wait_for_room(store, worker, error, stop)


def _wait_for_room(store: Store, worker: str, error: DiskFull, stop: threading.Event) -> None:
    """Nothing can be written: keep trying to put the job in hand back, so that it is not taken for lost."""
    log.warning("%s; waiting for room", error.what)
    while not stop.wait(5.0):
        try:
            for job in jobs.jobs(store, states=(JobState.DOWNLOADING, JobState.AUDITING)):
                if job.worker == worker:
                    jobs.pause(store, job.id, worker, error.what, 10.0)
            polls.beat(store, "worker", os.getpid(), "waited for room on the disk")
            return
        except (DiskFull, LeaseLost) as again:
            log.info("%s", again.what)
