"""A stored audit made again from the same weights, reference, plan and pools. Nothing that is stored is touched."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from dife_scanner import checkpoints
from dife_scanner.app.scanning import Data
from dife_scanner.audit.both_settings import deviations_of
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.request import Request
from dife_scanner.baselines import references
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import ContentMismatch, NotFound
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.progress import Progress
from dife_scanner.queue import child, qualifying
from dife_scanner.queue.work import hub_for, threads
from dife_scanner.records import Audit, Hypothesis, Job, Manifest, Origin, Reference, Trigger
from dife_scanner.settings import Settings
from dife_scanner.store import Store, artefacts, jobs
from dife_scanner.store import references as kept_references
from dife_scanner.triggers import known


def rerun_audit(
    store: Store, settings: Settings, stored: Audit, data: Data, progress: Progress
) -> Audit:
    """Make a stored audit again; what is stored stays as it is. Raises what `rerun` raises."""
    if stored.plan:
        signatures = stored.plan.signatures
        detectors = stored.plan.detectors
    else:  # an older audit shows its detectors by their traces, and its signatures only once it is prepared
        signatures = ()
        detectors = _detectors_of(stored)
    plan = Plan(
        signatures,
        stored.budget,
        stored.seed,
        extensions=data.extensions,
        pictures=data.pictures,
        captions=data.captions,
        detectors=detectors,
        work=stored.plan.work if stored.plan else None,
        ended=stored.plan.ended if stored.plan else (),
        bfloat16=stored.plan.bfloat16 if stored.plan else (),
    )
    return rerun(store, settings, stored, plan, progress)


def _detectors_of(stored: Audit) -> tuple[str, ...]:
    """The detectors that an older audit was asked for: all of its budget where any of them left a trace, else none.

    A detector with nothing to search, as where its tower did not move, leaves none.
    """
    from dife_scanner import discovery

    usual = discovery.names(stored.budget)
    left_traces = {search.detector for search in stored.searches}
    left_traces |= {search.detector for search in stored.not_searched}
    return usual if left_traces & {*usual} else ()


def rerun(store: Store, settings: Settings, stored: Audit, plan: Plan, progress: Progress) -> Audit:
    """Make the audit as it comes out now, with nothing from the embedding cache.

    `plan` lacks its signatures where the stored audit has no plan: they are reconstructed.

    Raises `NotFound` where the weights or the reference are gone, `ContentMismatch` where the weights are others, and
    what fetching, loading and auditing raise.
    """
    reference = _reference(store, stored)
    work = store.home / "work"
    with disk_errors(store.home):
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="rerun-", dir=work))
    try:
        manifest, prepared = _prepare(store, settings, stored, reference, folder, progress)
        request = _request(store, settings, stored, plan, reference, manifest, prepared)
        if stored.plan is None and not plan.signatures:
            request = _with_signatures(request, stored, settings)
        outcome = folder / "outcome"
        outcome.mkdir(mode=0o700)
        received = child.run(
            request,
            outcome,
            seconds=_most_seconds(settings, stored) * request.audits,
            rss_mib=settings.limits.audit_rss_mib,
            threads=threads(settings),
            progress=progress,
        )
        return received.audit
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _request(
    store: Store,
    settings: Settings,
    stored: Audit,
    plan: Plan,
    reference: Reference | None,
    manifest: Manifest,
    prepared: checkpoints.Prepared,
) -> Request:
    """The request of the stored audit, for the files as they were prepared again."""
    found_in_base: tuple[Trigger, ...] = ()
    if reference:
        found_in_base = references.triggers_found_in(store, reference)
    request = Request(
        ref=stored.ref,
        folder=prepared.folder,
        weights_sha256=prepared.weights_sha256,
        config_digest=prepared.config_digest,
        reference=reference,
        known=_known(store, stored, reference),
        plan=plan,
        device=settings.device,
        replays=True,
        likeness=_likeness(prepared, reference, settings),
        named=True,
        notes=stored.notes,
        unread=manifest.unread,
        turned_down=_turned_down(store, stored),
        demonstrated=frozenset(trigger.name for trigger in found_in_base),
        flagged=references.flagged(store, kept_references.references(store)),
        own_settings_problem=prepared.own_settings_problem,
        limits=settings.limits,
        at_once=stored.memory.at_once if stored.memory else 0,
        qualification=qualifying.kept(store, reference) if reference else None,
    )
    return replace(request, deviations=deviations_of(request))


def _most_seconds(settings: Settings, stored: Audit) -> float:
    """After which the process is killed: it may take what the stored audit took, or was granted, and as much again."""
    work = stored.plan.work if stored.plan else None
    granted = work.seconds if work else 0.0
    return child.BEYOND_PLAN * max(settings.limits.audit_seconds, granted, stored.seconds)


def _likeness(
    prepared: checkpoints.Prepared, reference: Reference | None, settings: Settings
) -> Likeness:
    if reference is None:
        return UNTOLD
    return references.likeness(prepared.weights, reference, settings.limits)


def _reference(store: Store, stored: Audit) -> Reference | None:
    if not stored.reference:
        return None
    for one in kept_references.references(store):
        if one.name == stored.reference:
            return one
    raise NotFound(
        f"audit {stored.id} was made against the reference {stored.reference}, which is no longer there",
        "add it again with `dife reference add FOLDER --name …`",
    )


def _known(store: Store, stored: Audit, reference: Reference | None) -> tuple[Reference, ...]:
    """The base, the other references that a discovered trigger was tried in before it counted as demonstrated, and
    those in which its success was measured afterwards.
    """
    names: set[str] = set()
    for result in stored.signatures:
        names.update(one.reference for one in result.near)
    if stored.recovered:
        names.update(stored.recovered.elsewhere)
    found = []
    if reference:
        found.append(reference)
    for one in kept_references.references(store):
        if one.name in names and one != reference:
            found.append(one)
    return tuple(found)


def _turned_down(store: Store, stored: Audit) -> Reference | None:
    """The reference that the checkpoint turned out not to come from, if it is still there."""
    for one in kept_references.references(store):
        if one.name == stored.turned_down:
            return one
    return None


def _prepare(
    store: Store,
    settings: Settings,
    stored: Audit,
    reference: Reference | None,
    folder: Path,
    progress: Progress,
) -> tuple[Manifest, checkpoints.Prepared]:
    """The audited files once more, checked, in a private folder. Raises `NotFound` or `ContentMismatch`."""
    job = artefacts.job_of(store, stored.ref)
    progress("looking", note=str(stored.ref))
    if stored.ref.local:
        manifest = _local_manifest(store, stored, job)
        files = checkpoints.local_files(manifest)
    else:
        hub = hub_for(settings, job.endpoint if job else settings.endpoint)
        manifest = checkpoints.look(hub, stored.ref, settings.limits).manifest
        if manifest.state.is_final:
            raise NotFound(
                f"{stored.ref} can no longer be fetched: {manifest.reason}", "ask its owner"
            )
        files = checkpoints.fetch(
            hub, manifest, folder / "fetched", settings.limits, progress, lambda: None
        )
    progress("checking", note=str(stored.ref))
    known = kept_references.references(store)
    prepared = checkpoints.prepare(files, folder / "checkpoint", settings.limits, known)
    if reference is not None:
        prepared = checkpoints.complete(prepared, reference, settings.limits)
    return manifest, prepared


def _local_manifest(store: Store, stored: Audit, job: Job | None) -> Manifest:
    """What lies in the audited folder. Raises `NotFound`, and `ContentMismatch` where that is another checkpoint."""
    if not Path(stored.ref.repo_id).exists():
        raise NotFound(
            f"the weights of audit {stored.id} are no longer at {stored.ref.repo_id}",
            "put them back there",
        )
    known = None
    if job:
        known = jobs.manifest_of(store, job.id)
    manifest = checkpoints.look_local(stored.ref, known)
    if manifest.ref.revision != stored.ref.revision:
        raise ContentMismatch(
            f"what lies at {stored.ref.repo_id} is not the checkpoint that audit {stored.id} measured",
            "put the audited files back, or scan the new ones",
        )
    return manifest


def _with_signatures(request: Request, stored: Audit, settings: Settings) -> Request:
    """The request with the plan's signatures as they were before source and target were chosen for them.

    An audit keeps them with what was chosen, next to what it discovered, which is searched for again.
    """
    library = {one.name: one for one in known.gather(settings.signatures, with_library=True)}
    signatures = []
    for result in stored.signatures:
        if result.origin is not Origin.DISCOVERED:
            signatures.append(_unchosen(result, library.get(result.trigger.name)))
    return replace(request, plan=replace(request.plan, signatures=tuple(signatures)))


def _unchosen(result: Hypothesis, named: Trigger | None) -> Trigger:
    """The trigger of the library or the settings where the result's is that one with source and target chosen.

    Of others, only a known one left nothing to choose.
    """
    trigger = result.trigger
    if named is not None and replace(trigger, source=named.source, target=named.target) == named:
        return named
    if result.origin is Origin.KNOWN:
        return trigger
    return replace(trigger, source="", target="")
