"""The steps of one job: look, fetch, copy, inspect, audit in a child, keep."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout

from dife_scanner import checkpoints
from dife_scanner.alerts.rules import alerts_for
from dife_scanner.audit import faults
from dife_scanner.audit.both_settings import deviations_of
from dife_scanner.audit.faults import Gaps
from dife_scanner.audit.plan import SAME_WORK, Plan
from dife_scanner.audit.request import Grant, Request
from dife_scanner.baselines import calibration, references
from dife_scanner.core.findings import fingerprint
from dife_scanner.core.verdict import is_complete
from dife_scanner.durable.clock import now
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DifeError, NeedsBase, NoRoom, NotFound
from dife_scanner.progress import Progress
from dife_scanner.queue import announced, child, outcome, qualifying, revisions, room
from dife_scanner.queue.base_choice import BaseChoice
from dife_scanner.queue.cleanup import remove_finished_searches
from dife_scanner.queue.opinions import SecondOpinions
from dife_scanner.queue.work import Work, hub_for, threads
from dife_scanner.records import (
    Alert,
    Audit,
    Finding,
    Job,
    JobState,
    Manifest,
    Reference,
    StoredPlan,
    Trigger,
)
from dife_scanner.sentences.work_plan import as_far_text
from dife_scanner.store import Store, artefacts, audits, findings, jobs, leases
from dife_scanner.store import references as kept_references
from dife_scanner.store.announced import Led

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

T = TypeVar("T")

SAME_IDENTITY_SECONDS = 10.0
"""Until a job is looked at again whose weights another worker audits just now."""

FETCHED_AHEAD = "fetched; waits for a worker"


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
        self.folder = work.home / "work" / f"{job.id}-{uuid.uuid4().hex}"
        """Everything that the job writes on the way; nothing of it is needed afterwards.

        No other run of the job has it: a run removes its own after it gave the job back, when another may have begun.
        """
        self._bases = BaseChoice(store, job, work, self._hub, progress, check)

    def __call__(self) -> Job:
        manifest = self._look_afresh()
        if manifest.state.is_final:
            return self._finish(manifest.state, manifest.reason)
        self._keep_artefact(manifest)
        before = self._audited_before(manifest)
        if before:
            return self._reuse_unfetched(before, manifest)
        child.warm_up(self._work.preload, self._work.start)
        if not self._job.ref.local:
            revisions.record_between(self._store, self._hub(), self._job, manifest)
        prepared = self._prepare(manifest)
        request = self._request(manifest, prepared)
        key = announced.key_of(self._store, self._work, manifest, self._hub)
        done = self._audit_once(request)
        in_doubt = all(request.likeness.unrelated) and not request.named
        has_base = request.reference is not None and not in_doubt
        announced.keep(self._store, self._work, key, self._led_to(request), done, has_base=has_base)
        return done

    def fetch_ahead(self) -> Job:
        """The first steps alone, while others are audited: look and fetch, then give the job back to the queue."""
        reason = FETCHED_AHEAD
        try:
            manifest = self._look_afresh(ahead=True)
            if manifest.state.is_final:
                return self._finish(manifest.state, manifest.reason)
            if not self._audited_before(manifest):
                self._fetch(manifest, ahead=True)
        except NoRoom as error:
            reason = error.what
        return leases.release(self._store, self._job.id, self._worker, reason)

    # --- the checkpoint -------------------------------------------------------------------------------------------

    def _look_afresh(self, *, ahead: bool = False) -> Manifest:
        """Look, in an empty work folder; not at all where the disk has no room for what an earlier look found."""
        for left in self.folder.parent.glob(f"{self._job.id}-*"):  # by a run that was killed
            remove_folder(left)
        with disk_errors(self._work.home):
            self.folder.mkdir(mode=0o700, parents=True)
        wanted = jobs.reserved(self._store, self._job.id)
        if wanted:
            self._make_room(wanted, ahead=ahead)
        return self._look()

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
        self._with_base(seen.manifest, partial(self._judge, hub, seen))
        return seen.manifest

    def _judge(self, hub: Hub, seen: checkpoints.Look) -> None:
        known = self._bases.known(seen.manifest)
        checkpoints.judge(hub, seen, self._limits, known, scratch=self.folder)

    def _with_base(self, manifest: Manifest, step: Callable[[], T]) -> T:
        """Take a step; where a part of a checkpoint needs a base that is not here, fetch that first.

        Raises what the step raises, and `NeedsBase` with what is known of the base where it may not be fetched.
        """
        try:
            return step()
        except NeedsBase as error:
            self._bases.for_part(manifest, error)
        return step()

    def _hub(self) -> Hub:
        """The job's own hub; that of the settings for a local checkpoint, which has none."""
        settings = self._work.settings
        endpoint = settings.endpoint if self._job.ref.local else self._job.endpoint
        return hub_for(settings, endpoint, self._pause, self._check)

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
        local = self._job.ref.local
        files = checkpoints.local_files(manifest) if local else self._fetch(manifest)
        self._check()
        self._progress("checking", note=str(self._job.ref))
        return self._with_base(manifest, partial(self._check_copy, manifest, files))

    def _check_copy(self, manifest: Manifest, files: checkpoints.Files) -> checkpoints.Prepared:
        known = self._bases.known(manifest)
        remove_folder(self.folder / "checkpoint-as-stored")  # of a copy that needed a base
        asked = SecondOpinions(
            self._store, self._job, self._work.settings, self.folder, self._check
        )
        return checkpoints.prepare(files, self.folder / "checkpoint", self._limits, known, asked)

    def _audited_before(self, manifest: Manifest) -> announced.Before | None:
        """The audit of the very files that the hub announces; `None` where they have to be fetched."""
        if self._job.ref.local:
            return None  # they lie here, and are compared with what they were when the audit was requested
        key = announced.key_of(self._store, self._work, manifest, self._hub)
        return announced.audited_before(self._store, key)

    def _keep_artefact(self, manifest: Manifest) -> None:
        """Say which files the job is about, so that what is decided about them can be found again."""
        found = announced.artefact_of(self._work, manifest, self._hub)
        if found is not None:
            artefacts.keep(self._store, self._job.id, found)

    def _fetch(self, manifest: Manifest, *, ahead: bool = False) -> checkpoints.Files:
        """What an audit reads, on the disk and verified. Raises `NoRoom`."""
        self._make_room(manifest.bytes_to_fetch, ahead=ahead)
        cache = checkpoints.cache_folder(self._work.home, self._job.ref)
        return checkpoints.fetch(
            self._hub(), manifest, cache, self._limits, self._progress, self._check
        )

    def _make_room(self, wanted: int, *, ahead: bool) -> None:
        room.make_room(
            self._store, self._job, self._worker, wanted, self._work.settings.disk, ahead=ahead
        )

    # --- the request --------------------------------------------------------------------------------------------

    def _request(self, manifest: Manifest, prepared: checkpoints.Prepared) -> Request:
        choice = self._bases.of(manifest, prepared)
        known = kept_references.references(self._store)
        if choice.reference and prepared.parts:
            prepared = checkpoints.complete(prepared, choice.reference, self._limits)
            alike = references.likeness(prepared.weights, choice.reference, self._limits)
            choice = replace(choice, likeness=alike)
        found_in_base = self._found_in(choice.reference)
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
            likeness=choice.likeness,
            own_settings_problem=prepared.own_settings_problem,
            limits=self._limits,
            named=bool(self._work.reference),
            notes=(*choice.notes, *prepared.notes, *checkpoints.notes(manifest)),
            unread=manifest.unread,
            demonstrated=frozenset(trigger.name for trigger in found_in_base),
            ends_early=self._work.ends_early,
        )
        request = replace(request, deviations=deviations_of(request))
        return replace(request, grant=self._grant(request.audits))

    def _grant(self, audits_made: int) -> Grant:
        """The time of one of so many audits of the checkpoint; what somebody granted is shared among them."""
        more = self._work.more
        before = more.plan.work.seconds if more and more.plan and more.plan.work else 0.0
        after = more.id if more else ""
        if self._work.granted is None:
            return Grant(self._limits.audit_seconds, before=before, after=after)
        return Grant(self._work.granted / audits_made, by_hand=True, before=before, after=after)

    def _found_in(self, reference: Reference | None) -> tuple[Trigger, ...]:
        """Triggers that earlier audits demonstrated in the reference itself."""
        if reference is None:
            return ()
        return references.triggers_found_in(self._store, reference)

    def _plan_with(self, triggers: tuple[Trigger, ...]) -> Plan:
        """The plan, and these triggers as further signatures; an audit that is gone on with has them already."""
        plan = self._work.plan
        further = [one for one in triggers if one not in plan.signatures]
        if not further:
            return plan
        return replace(plan, signatures=(*plan.signatures, *further))

    # --- the audit ------------------------------------------------------------------------------------------------

    def _audit_once(self, request: Request) -> Job:
        """Audit unless this identity was audited completely before, or as far as the time goes; two workers never audit
        one identity at a time.
        """
        identity = self._as_stored(request).identity
        self._check_gone_on_with(identity)
        lock = FileLock(self._work.home / "work" / f"identity-{identity[:32]}.lock")
        try:
            with lock.acquire(timeout=0):
                before = audits.audit_by_identity(self._store, identity)
                if before and is_complete(before):
                    reason = "; ".join((f"same identity as audit {before.id}", *request.notes))
                    return self._reuse(before, request.reference, request.plan, reason)
                as_far = self._as_far_before(request, identity)
                if as_far:
                    reason = as_far_text(as_far)
                    return self._reuse(as_far, request.reference, request.plan, reason)
                return self._audit(request)
        except Timeout:
            reason = "another worker audits the same weights just now"
            return leases.pause(
                self._store, self._job.id, self._worker, reason, SAME_IDENTITY_SECONDS
            )

    def _check_gone_on_with(self, identity: str) -> None:
        """Raise `NotFound` where the audit to go on with was of something else: nothing of it could be gone on with."""
        more = self._work.more
        if more is not None and more.identity[:SAME_WORK] != identity[:SAME_WORK]:
            raise NotFound(
                f"audit {more.id} cannot be gone on with: its checkpoint, base, pictures, extensions or signatures are "
                "no longer what they were",
                f"scan {more.ref} anew",
            )

    def _as_far_before(self, request: Request, identity: str) -> Audit | None:
        """A complete audit of the same that would leave out as much now: its time was as long as what is granted, or a
        channel of it ended early, as it may now.
        """
        grant = request.grant
        if grant is None or grant.after:
            return None
        for one in audits.cut_audits(self._store, identity[:SAME_WORK]):
            if is_complete(one) and one.plan and _as_far(one.plan, request, grant):
                return one
        return None

    def _led_to(self, request: Request) -> Led:
        name = request.reference.name if request.reference else ""
        return Led(self._as_stored(request).identity, name)

    def _as_stored(self, request: Request) -> Request:
        """The request under whose identity the audit would be found.

        Where the audit itself has to say whether the reference is the base, only one that said no is taken for it: one
        that compared may have been requested to.
        """
        in_doubt = all(request.likeness.unrelated) and not request.named
        if not in_doubt:
            return request
        return replace(request, reference=None, turned_down=request.reference)

    def _audit(self, request: Request) -> Job:
        """Audit; what comes of it takes the place of the same audit with gaps."""
        leases.advance(self._store, self._job.id, self._worker, JobState.AUDITING, "")
        gaps = Gaps()
        request = self._qualified(request, gaps)
        folder = self.folder / "outcome"
        folder.mkdir(mode=0o700)
        received = child.run(
            request,
            folder,
            seconds=self._most_seconds(request),
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
        received = outcome.with_gaps(outcome.keep(self._work.home, received), gaps.found)
        received = self._calibrated(received, request)
        before = audits.audit_by_identity(self._store, received.audit.identity)
        more = self._work.more
        reached_no_further = before is not None and more is not None and before.id == more.id
        if before and (reached_no_further or not is_complete(before)):
            received = outcome.in_place_of(received, before)
        revisions.keep_marks(self._store, received.audit.identity, request.folder, self._limits)
        done = self._finish(JobState.DONE, received.audit.reason, received.audit, received.finding)
        remove_finished_searches(self._store)
        return done

    def _most_seconds(self, request: Request) -> float:
        """After which the process of an audit is killed, whatever it was planned for."""
        planned = max(self._limits.audit_seconds, self._work.granted or 0.0)
        return child.BEYOND_PLAN * planned * request.audits

    def _qualified(self, request: Request, gaps: Gaps) -> Request:
        """With what the base recognises, where something is searched; without, where a fault keeps that from being
        measured.
        """
        base = request.reference
        in_doubt = all(request.likeness.unrelated) and not request.named
        if base is None or in_doubt or not request.plan.detectors:
            return request
        try:
            found = qualifying.qualify(
                self._store,
                base,
                self._work.settings,
                self._progress,
                self._check,
                threads=threads(self._work.settings),
                start=self._work.start,
            )
        except DifeError as error:
            self._check()
            stage = f"what {base.name} recognises"
            gaps.add(stage, faults.reason(error, stage))
            return request
        return replace(request, qualification=found)

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

    def _reuse_unfetched(self, before: announced.Before, manifest: Manifest) -> Job:
        """End as the audit of the files that the hub announces ended."""
        audit = before.audit
        same = f"same identity as audit {audit.id}: the hub announces the same files as those of {audit.ref}"
        reason = "; ".join(
            (f"{same}, and they were not fetched again", *checkpoints.notes(manifest))
        )
        plan = self._plan_with(self._found_in(before.reference))
        return self._reuse(audit, before.reference, plan, reason)

    def _reuse(self, before: Audit, reference: Reference | None, plan: Plan, reason: str) -> Job:
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
        audit = calibration.with_current_calibration(before, reference, plan, self._work.home)
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


def _as_far(plan: StoredPlan, request: Request, grant: Grant) -> bool:
    """Whether an audit that left searches out would leave out as much under this request."""
    if plan.ended and not request.ends_early:
        return False
    if plan.bfloat16 and request.limits and request.limits.search_precision == "float32":
        return False
    cut = plan.work is not None and plan.work.is_cut
    return not cut or plan.work is None or plan.work.seconds >= grant.seconds
