"""A stored audit made again from the same weights, reference, plan and pools. Nothing that is stored is touched."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from dife_scanner import checkpoints
from dife_scanner.app.scanning import Data
from dife_scanner.audit.pipeline import Request
from dife_scanner.audit.plan import Plan
from dife_scanner.baselines import references
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import ContentMismatch, NotFound
from dife_scanner.models.likeness import UNTOLD
from dife_scanner.progress import Progress
from dife_scanner.queue import child
from dife_scanner.queue.worker import hub_for, threads
from dife_scanner.records import Audit, Job, Manifest, Origin, Reference, Trigger
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs
from dife_scanner.store import references as kept_references
from dife_scanner.triggers import known


def rerun_audit(store: Store, settings: Settings, stored: Audit, data: Data, progress: Progress) -> Audit:
    """A stored audit made again; what is stored stays as it is. Raises what `rerun` raises."""
    from dife_scanner import discovery
    from dife_scanner.audit.plan import Plan

    if stored.plan:
        signatures = stored.plan.signatures
        detectors = stored.plan.detectors
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
    return rerun(store, settings, stored, plan, progress)


def rerun(store: Store, settings: Settings, stored: Audit, plan: Plan, progress: Progress) -> Audit:
    """The audit as it comes out now, with nothing from the embedding cache.

    `plan` lacks its signatures where the stored audit has no plan: they are reconstructed. Where an older program
    stored the very same audit under the identity that it had then, what comes out has that identity too.

    Raises `NotFound` where the weights or the reference are gone, `ContentMismatch` where the weights are others, and
    what fetching, loading and auditing raise.
    """
    reference = _reference(store, stored)
    came = references.came_with(store, reference) if reference else ()
    work = store.home / "work"
    with disk_errors(store.home):
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="rerun-", dir=work))
    try:
        found, prepared = _prepare(store, settings, stored, folder, progress)
        request = Request(
            ref=stored.ref,
            folder=prepared.folder,
            weights_sha256=prepared.weights_sha256,
            config_digest=prepared.config_digest,
            reference=reference,
            known=_known(store, stored, reference),
            plan=plan,
            device=settings.device,
            seconds=settings.limits.audit_seconds,
            likeness=references.likeness(prepared.weights, reference, settings.limits) if reference else UNTOLD,
            named=True,
            notes=stored.notes,
            unread=found.unread,
            turned_down=_turned_down(store, stored),
            demonstrated=frozenset(one.name for one in came),
        )
        if stored.plan is None:
            request = _with_signatures(request, stored, settings)
        outcome = folder / "outcome"
        outcome.mkdir(mode=0o700)
        kept = child.run(
            request,
            outcome,
            seconds=settings.limits.audit_seconds,
            rss_mib=settings.limits.audit_rss_mib,
            threads=threads(settings),
            progress=progress,
        )
        return _named_as_stored(kept.audit, request, stored)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _named_as_stored(again: Audit, request: Request, stored: Audit) -> Audit:
    if again.identity == request.identity and stored.identity == request.legacy_identity:
        return replace(again, identity=stored.identity)
    return again


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
    """The base, the references whose obedience to a discovered trigger had a say in what was demonstrated, and those in
    which its success was told."""
    near = {one.reference for result in stored.signatures for one in result.near}
    near |= set(stored.recovered.elsewhere) if stored.recovered else set()
    others = (one for one in kept_references.references(store) if one.name in near and one != reference)
    return (*((reference,) if reference else ()), *others)


def _turned_down(store: Store, stored: Audit) -> Reference | None:
    """The reference that the checkpoint turned out not to come from, if it is still there."""
    return next((one for one in kept_references.references(store) if one.name == stored.turned_down), None)


def _prepare(
    store: Store, settings: Settings, stored: Audit, folder: Path, progress: Progress
) -> tuple[Manifest, checkpoints.Prepared]:
    job = next((job for job in jobs.jobs(store) if job.ref == stored.ref), None)
    progress("looking", note=str(stored.ref))
    if stored.ref.local:
        if not Path(stored.ref.repo_id).exists():
            raise NotFound(
                f"the weights of audit {stored.id} are no longer at {stored.ref.repo_id}", "put them back there"
            )
        found = checkpoints.look_local(stored.ref, jobs.manifest_of(store, job.id) if job else None)
        if found.ref.revision != stored.ref.revision:
            raise ContentMismatch(
                f"what lies at {stored.ref.repo_id} is not the checkpoint that audit {stored.id} measured",
                "put the audited files back, or scan the new ones",
            )
        files, expected = checkpoints.local_files(found)
    else:
        hub = hub_for(settings, _endpoint(job, settings))
        found = checkpoints.look(hub, stored.ref, settings.limits)[1]
        if found.state.is_final:
            raise NotFound(f"{stored.ref} can no longer be fetched: {found.reason}", "ask its owner")
        files = checkpoints.fetch(hub, found, folder / "fetched", settings.limits, progress, lambda: None)
        expected = {file.path: file for file in found.files}
    progress("checking", note=str(stored.ref))
    return found, checkpoints.prepare(files, expected, folder / "checkpoint", settings.limits)


def _endpoint(job: Job | None, settings: Settings) -> str:
    return job.endpoint if job else settings.endpoint


def _with_signatures(request: Request, stored: Audit, settings: Settings) -> Request:
    """The request with the plan's signatures as they were before source and target were chosen for them.

    An audit keeps them with what was chosen, beside what it discovered, which is searched for again. Those of the
    library and the settings are looked up by name; of others it is the identity that tells whether source and target
    were given.
    """
    library = {one.name: one for one in known.gather(settings.signatures, with_library=True)}
    searched = [result for result in stored.signatures if result.origin is not Origin.DISCOVERED]
    given = tuple(_unchosen(result.trigger, library.get(result.trigger.name)) for result in searched)
    bare = tuple(one if one.name in library else replace(one, source="", target="") for one in given)
    named = tuple(
        kept if result.origin is Origin.KNOWN else stripped
        for result, kept, stripped in zip(searched, given, bare, strict=True)
    )
    for signatures in (given, bare, named):
        asked = replace(request, plan=replace(request.plan, signatures=signatures))
        if stored.identity in (asked.identity, asked.legacy_identity):
            return asked
    return replace(request, plan=replace(request.plan, signatures=given))


def _unchosen(trigger: Trigger, named: Trigger | None) -> Trigger:
    if named is not None and replace(trigger, source=named.source, target=named.target) == named:
        return named
    return trigger
