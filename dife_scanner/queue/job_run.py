"""The steps of one job: look, fetch, copy, inspect, audit in a child, keep."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dife_scanner import checkpoints
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.audit.both_settings import deviations_of
from dife_scanner.audit.faults import Gaps
from dife_scanner.audit.pipeline import Plan, Request
from dife_scanner.baselines import calibration, references
from dife_scanner.core.findings import fingerprint
from dife_scanner.core.verdict import is_complete
from dife_scanner.durable.clock import now
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.progress import Progress
from dife_scanner.queue import child, outcome
from dife_scanner.queue.cleanup import remove_finished_searches
from dife_scanner.queue.work import Work, hub_for, threads
from dife_scanner.records import (
    Alert,
    Audit,
    Finding,
    Job,
    JobState,
    Manifest,
    Trigger,
)
from dife_scanner.store import Store, audits, findings, jobs, leases
from dife_scanner.store import references as kept_references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

SAME_IDENTITY_SECONDS = 10.0
"""Until a job is looked at again whose weights another worker audits just now."""


def remove_folder(folder: Path) -> None:
    """Remove a work folder, which may be missing. What cannot go now goes when the next worker starts."""
    shutil.rmtree(folder, ignore_errors=True)


class JobRun:
    """The steps of one job, top to bottom; call it to do them."""

    def __init__(
        self,
        store: Store,
        job: Job,
        work: Work,
        worker: str,
        progress: Progress,
        check: Callable[[], None],
    ) -> None:
        self._store = store
        self._job = job
        self._work = work
        self._worker = worker
        self._progress = progress
        self._check = check
        self._limits = work.settings.limits
        self.folder = work.home / "work" / str(job.id)
        """Everything that the job writes on the way; nothing of it is needed afterwards."""

    def __call__(self) -> Job:
        remove_folder(self.folder)
        with disk_errors(self._work.home):
            self.folder.mkdir(mode=0o700, parents=True)
        manifest = self._look()
        if manifest.state.is_final:
            return self._finish(manifest.state, manifest.reason)
        child.warm_up(self._work.preload, self._work.start)
        prepared = self._prepare(manifest)
        return self._audit_once(self._request(manifest, prepared))

    # --- the checkpoint -------------------------------------------------------------------------------------------

    def _look(self) -> Manifest:
        """What there is to fetch, and whether it can be audited at all."""
        self._progress("looking", note=str(self._job.ref))
        if self._job.ref.local:
            return checkpoints.look_local(
                self._job.ref, jobs.manifest_of(self._store, self._job.id)
            )
        hub = self._hub()
        seen = checkpoints.look(hub, self._job.ref, self._limits)
        leases.keep_manifest(self._store, self._job.id, self._worker, seen.model, seen.manifest)
        known = kept_references.references(self._store)
        checkpoints.judge(hub, seen, self._limits, known, scratch=self.folder)
        return seen.manifest

    def _hub(self) -> Hub:
        return hub_for(self._work.settings, self._job.endpoint, self._pause)

    def _pause(self, seconds: float) -> None:
        """Sleep, and still notice that the job must not go on."""
        end = time.monotonic() + seconds
        left = seconds
        while left > 0:
            self._check()
            time.sleep(min(left, 0.2))
            left = end - time.monotonic()

    def _prepare(self, manifest: Manifest) -> checkpoints.Prepared:
        """A private copy of the files, checked."""
        if self._job.ref.local:
            files = checkpoints.local_files(manifest)
        else:
            cache = checkpoints.cache_folder(self._work.home, self._job.ref)
            files = checkpoints.fetch(
                self._hub(), manifest, cache, self._limits, self._progress, self._check
            )
        self._check()
        self._progress("checking", note=str(self._job.ref))
        known = kept_references.references(self._store)
        return checkpoints.prepare(files, self.folder / "checkpoint", self._limits, known)

    # --- the request --------------------------------------------------------------------------------------------

    def _request(self, manifest: Manifest, prepared: checkpoints.Prepared) -> Request:
        known = kept_references.references(self._store)
        choice = references.choose(
            known,
            references.fits(prepared.config, self._limits),
            manifest.base_claim,
            self._work.reference,
            partial(references.likeness, prepared.weights, limits=self._limits),
        )
        found_in_base: tuple[Trigger, ...] = ()
        if choice.reference:
            prepared = checkpoints.complete(prepared, choice.reference, self._limits)
            found_in_base = references.triggers_found_in(self._store, choice.reference)
        request = Request(
            ref=self._job.ref,
            folder=prepared.folder,
            weights_sha256=prepared.weights_sha256,
            config_digest=prepared.config_digest,
            reference=choice.reference,
            known=tuple(known),
            flagged=references.flagged(self._store, known),
            plan=self._plan_with(found_in_base),
            device=self._work.settings.device,
            cache=self._work.home / "cache" / "embeddings",
            seconds=self._limits.audit_seconds,
            likeness=choice.likeness,
            own_settings_problem=prepared.own_settings_problem,
            limits=self._limits,
            named=bool(self._work.reference),
            notes=(*choice.notes, *prepared.notes, *checkpoints.notes(manifest)),
            unread=manifest.unread,
            demonstrated=frozenset(trigger.name for trigger in found_in_base),
        )
        return replace(request, deviations=deviations_of(request))

    def _plan_with(self, triggers: tuple[Trigger, ...]) -> Plan:
        """The plan, and these triggers as further signatures."""
        plan = self._work.plan
        if not triggers:
            return plan
        return replace(plan, signatures=(*plan.signatures, *triggers))

    # --- the audit ------------------------------------------------------------------------------------------------

    def _audit_once(self, request: Request) -> Job:
        """Audit unless this identity was audited completely before; two workers never audit one identity at a time."""
        identity = self._as_stored(request).identity
        lock = FileLock(self._work.home / "work" / f"identity-{identity[:32]}.lock")
        try:
            with lock.acquire(timeout=0):
                before = audits.audit_by_identity(self._store, identity)
                if before and is_complete(before):
                    return self._reuse(before, request)
                return self._audit(request, before)
        except Timeout:
            reason = "another worker audits the same weights just now"
            return leases.pause(
                self._store, self._job.id, self._worker, reason, SAME_IDENTITY_SECONDS
            )

    def _as_stored(self, request: Request) -> Request:
        """The request under whose identity the audit would be found.

        Where the audit itself has to say whether the reference is the base, only one that said no is taken for it: one
        that compared may have been requested to.
        """
        in_doubt = all(request.likeness.unrelated) and not request.named
        if not in_doubt:
            return request
        return replace(request, reference=None, turned_down=request.reference)

    def _audit(self, request: Request, before: Audit | None) -> Job:
        """Audit; what comes of it takes the place of `before`, the same audit with gaps."""
        leases.advance(self._store, self._job.id, self._worker, JobState.AUDITING, "")
        folder = self.folder / "outcome"
        folder.mkdir(mode=0o700)
        received = child.run(
            request,
            folder,
            seconds=self._limits.audit_seconds * request.audits,
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
        received = self._calibrated(outcome.keep(self._work.home, received), request)
        if before:
            received = outcome.in_place_of(received, before)
        done = self._finish(JobState.DONE, received.audit.reason, received.audit, received.finding)
        remove_finished_searches(self._store)
        return done

    def _calibrated(self, received: outcome.Received, request: Request) -> outcome.Received:
        """With what packs say about its score; without, where a fault keeps them from being read."""
        gaps = Gaps()
        audit = gaps.attempt(
            "calibration of the score",
            lambda: calibration.with_calibration(
                received.audit, request.reference, request.plan, self._work.home
            ),
            received.audit,
        )
        return outcome.with_gaps(replace(received, audit=audit), gaps.found)

    def _reuse(self, before: Audit, request: Request) -> Job:
        """The same checkpoint under another name or commit: same audit, and its finding is one for this place too.

        What packs added since say about its score is kept with it.
        """
        finding = findings.of_audit(self._store, before.id)
        if finding:
            effect = (finding.kind, finding.channel, finding.carrier, finding.target)
            finding = replace(
                finding,
                fingerprint=fingerprint(self._job.ref.repo_id, *effect),
                ref=self._job.ref,
                created_at=now(),
            )
        audit = calibration.with_current_calibration(
            before, request.reference, request.plan, self._work.home
        )
        reason = "; ".join((f"same identity as audit {before.id}", *request.notes))
        return self._finish(JobState.DONE, reason, audit, finding)

    def _finish(
        self,
        state: JobState,
        reason: str,
        audit: Audit | None = None,
        finding: Finding | None = None,
    ) -> Job:
        alerts: tuple[Alert, ...] = ()
        if finding:
            finding = findings.as_kept(self._store, finding, self._job.endpoint)
            previous = findings.find(self._store, finding.fingerprint)
            alerts = alerts_for(finding, previous, self._work.channels)
        return leases.finish(
            self._store,
            self._job.id,
            self._worker,
            state,
            reason,
            audit=audit,
            finding=finding,
            alerts=alerts,
        )
