"""Evidence bundles: what an audit found, as a zip with a manifest of hashes and a script that shows it again.

In full, or to share: then without what sets the trigger off and without every picture that shows it. The same state
gives the same bytes. Members are named here, and nothing that a stranger wrote is part of a name.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from dife_scanner import __version__
from dife_scanner.app import exporting, files, key_maps, reproducing, signing
from dife_scanner.app.model_digest import model_digest
from dife_scanner.core import artefacts as identity
from dife_scanner.errors import DifeError, LimitExceeded, NotFound, StoreCorrupt, TriggerFileError
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.plain import plain
from dife_scanner.records import (
    Artefact,
    Audit,
    CheckResult,
    EvidenceFile,
    EvidenceRole,
    Layout,
    Manifest,
    Trigger,
)
from dife_scanner.reports import as_json
from dife_scanner.reports.export import Subject, audit_of
from dife_scanner.settings import Limits
from dife_scanner.store import Store, artefacts, audits, evidence, findings, jobs
from dife_scanner.store.codec import to_json
from dife_scanner.triggers import files as trigger_files

FORMAT = "dife/bundle-1"
MANIFEST = "manifest.json"
TRIGGER_FILE = "trigger.toml"
FULL = "full"
SHAREABLE = "shareable"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""Of every member: the earliest that a zip can tell."""
_ENDINGS = {"image/png": "png", "application/json": "json"}
_SHARED_ROLES = (EvidenceRole.CLEAN_EXAMPLE,)
"""Of other evidence each piece shows the trigger, or may quote it."""


@dataclass
class _Contents:
    """Members in the order they were added, and what could not be."""

    members: dict[str, bytes] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, content: bytes | str) -> None:
        self.members[name] = content.encode("utf-8") if isinstance(content, str) else content

    def leave_out(self, what: str, why: str) -> None:
        self.left_out.append({"what": what, "why": plain(why)})


def make(
    store: Store,
    fingerprint: str,
    limits: Limits,
    *,
    with_triggers: bool,
    folder: Path | None = None,
) -> bytes:
    """The bundle of one finding, by its fingerprint or the beginning of it; `folder`: where the audited files lie.

    Raises `NotFound` where it rests on no audit or they do not lie there, and what looking up a finding raises.
    """
    finding = findings.finding(store, fingerprint)
    if not finding.audit_id:
        raise NotFound(
            f"finding {finding.fingerprint} rests on no audit, so there is no evidence to bundle",
            "`dife export` tells what was found",
        )
    audit = audits.audit(store, finding.audit_id)
    subject = exporting.subject_of(store, finding.fingerprint, with_triggers=with_triggers)
    contents = _Contents()
    contents.add("audit.json", _json(_told(subject, audit)))
    contents.add("checks.json", _json(_checks(audit, with_triggers)))
    trigger = _trigger_json(audit)
    pairs = _add_evidence(contents, store, audit, with_triggers)
    if with_triggers:
        contents.add("trigger.json", trigger)
        _add_trigger_files(contents, audit.trigger)
    loading = _loading(store, audit, limits, folder) if with_triggers else None
    _add_script(contents, audit, pairs, loading)
    about = _about(store, audit, subject, limits)
    about["trigger_sha256"] = sha256(trigger.encode("utf-8")).hexdigest() if audit.trigger else ""
    about["edition"] = FULL if with_triggers else SHAREABLE
    about["finding"] = finding.fingerprint
    made = _zip(contents, about)
    if len(made) > signing.MOST_BYTES:
        advice = "`dife export` and `dife show` tell what was found without its pictures"
        if with_triggers:
            advice = "make it without --with-triggers"
        raise LimitExceeded(
            f"the bundle would have {len(made):,} bytes, and nobody reads more than {signing.MOST_BYTES:,}",
            advice,
        )
    return made


def _told(subject: Subject, audit: Audit) -> dict[str, Any]:
    """The checkpoint as an export tells it, with the audit that the finding rests on."""
    document: dict[str, Any] = json.loads(as_json.render(replace(subject, audit=audit_of(audit))))
    return document


def _about(store: Store, audit: Audit, subject: Subject, limits: Limits) -> dict[str, Any]:
    job = artefacts.job_of(store, audit.ref)
    artefact = artefacts.of_job(store, job) if job is not None else None
    found = artefact.id if artefact is not None else ""
    return {
        "format": FORMAT,
        "scanner": __version__,
        "versions": dict(audit.versions),
        "audit": audit.id,
        "audit_version": audit.audit_version,
        "model": subject.model,
        "revision": subject.revision,
        "artefact": found,
        "model_digest": _digest_of(audit, found, limits),
    }


def _digest_of(audit: Audit, artefact: str, limits: Limits) -> str:
    """That of the audited folder as model signing computes it; empty where it does not lie here any more."""
    if not (audit.ref.local and artefact and Path(audit.ref.repo_id).is_dir()):
        return ""
    try:
        if files.lying_here(audit.ref.repo_id, limits).id == artefact:
            return model_digest(Path(audit.ref.repo_id))
    except DifeError:  # links and such; the artefact says which files it is about
        return ""
    return ""


# --- parts ------------------------------------------------------------------------------------------------------


def _checks(audit: Audit, with_triggers: bool) -> list[dict[str, Any]]:
    """What each check of the trigger came to; the words for it may quote the trigger."""
    found: list[dict[str, Any]] = []
    for hypothesis in audit.signatures:
        if hypothesis.trigger == audit.trigger:
            found += [_check(one, with_triggers) for one in hypothesis.checks]
    return found


def _check(result: CheckResult, with_triggers: bool) -> dict[str, Any]:
    return asdict(replace(result, reason=plain(result.reason) if with_triggers else ""))


def _trigger_json(audit: Audit) -> str:
    """The trigger, and a number that nobody guesses: by their hashes alone, short texts could be found by trying."""
    described = _described(audit.trigger) if audit.trigger else {}
    salt = sha256(b"dife bundle\0" + to_json(audit).encode("utf-8")).hexdigest()
    return _json({"trigger": described, "salt": salt})


def _described(trigger: Trigger) -> dict[str, Any]:
    """What differs from a trigger without any properties; of files their hash, for a path says whose it is."""
    found: dict[str, Any] = {}
    for one in fields(trigger):
        value = getattr(trigger, one.name)
        if value != one.default and one.name not in ("file", "learner", "image"):
            found[one.name] = value
    for name in ("file", "learner"):
        file = getattr(trigger, name)
        if file is not None:
            found[name] = file.sha256
    if trigger.image is not None:
        found["image"] = _described(trigger.image)
    return found


def _add_trigger_files(contents: _Contents, trigger: Trigger | None) -> None:
    for number, file in enumerate(trigger.files if trigger else (), 1):
        name = f"trigger-files/{number:02}.bin"
        try:
            contents.add(name, trigger_files.content(file))
        except TriggerFileError:
            contents.leave_out(name, "the file of the trigger is gone, or is another one now")


def _add_evidence(
    contents: _Contents, store: Store, audit: Audit, with_triggers: bool
) -> list[reproducing.Pair]:
    """Add what may be told of the evidence; the pairs of pictures in it."""
    kept: dict[EvidenceRole, list[tuple[str, bytes, EvidenceFile]]] = {}
    for number, file in enumerate(audit.evidence, 1):
        name = f"evidence/{number:02}-{file.role.value}.{_ENDINGS.get(file.media_type, 'bin')}"
        if not with_triggers and file.role not in _SHARED_ROLES:
            contents.leave_out(name, "it shows the trigger, or may quote it")
            continue
        try:
            content = evidence.read(store.home, file.sha256)
        except (NotFound, StoreCorrupt):
            removed = evidence.removed_on(store.home, file.sha256)
            gone = "the file is gone from the store, or damaged"
            why = f"evidence removed by retention on {removed}" if removed else gone
            contents.leave_out(name, why)
            continue
        contents.add(name, content)
        kept.setdefault(file.role, []).append((name, content, file))
    clean = kept.get(EvidenceRole.CLEAN_EXAMPLE, [])
    triggered = kept.get(EvidenceRole.TRIGGERED_EXAMPLE, [])
    if len(clean) != len(triggered):  # one is gone: which belong together is no longer certain
        return []
    return [_pair(*both) for both in zip(clean, triggered, strict=True)]


def _pair(
    clean: tuple[str, bytes, EvidenceFile], triggered: tuple[str, bytes, EvidenceFile]
) -> reproducing.Pair:
    return reproducing.Pair(
        clean=clean[0],
        triggered=triggered[0],
        clean_png=clean[1],
        triggered_png=triggered[1],
        said_clean=clean[2].caption,
        said_triggered=triggered[2].caption,
    )


def _add_script(
    contents: _Contents,
    audit: Audit,
    pairs: Iterable[reproducing.Pair],
    loading: reproducing.Loading | None,
) -> None:
    """`loading` is `None` where the trigger is left out."""
    task = reproducing.cannot_run(reproducing.WITHOUT_TRIGGER)
    if loading is not None:
        task = reproducing.task_of(audit, loading, tuple(pairs))
    contents.add("reproduce.json", _json(task.document))
    if task.overlay:
        contents.add("overlay.png", task.overlay)
    if task.trigger_file:
        contents.add(TRIGGER_FILE, task.trigger_file)
    script = resources("dife_scanner") / "assets" / "bundle" / "reproduce.py.txt"
    contents.add("reproduce.py", script.read_text(encoding="utf-8"))


def _loading(
    store: Store, audit: Audit, limits: Limits, folder: Path | None
) -> reproducing.Loading:
    """Of another layout, a map of its keys: from `folder`, or from where a local checkpoint was audited.

    Raises `NotFound` where `folder` holds other files.
    """
    job = artefacts.job_of(store, audit.ref)
    manifest = jobs.manifest_of(store, job.id) if job is not None else None
    if job is None or manifest is None:
        return reproducing.Loading({}, "it is not known how the checkpoint is stored")
    if manifest.layout is Layout.OPEN_CLIP:
        return reproducing.Loading({})
    try:
        here = _lying_in(folder or Path(audit.ref.repo_id), artefacts.of_job(store, job), limits)
        return reproducing.Loading(key_maps.key_map(here, limits))
    except NotFound as error:
        if folder is not None:
            raise
        return _cannot_load(manifest, error)
    except DifeError as error:
        return _cannot_load(manifest, error)


def _cannot_load(manifest: Manifest, error: DifeError) -> reproducing.Loading:
    layout = manifest.layout.value
    why = f"the checkpoint is not stored as open_clip does (layout: {layout}): {error.what}"
    return reproducing.Loading({}, plain(why))


def _lying_in(folder: Path, audited: Artefact | None, limits: Limits) -> Manifest:
    """The manifest of the audited files, in this folder. Raises `NotFound` where it does not hold them."""
    if not folder.is_dir() or audited is None:
        raise NotFound(
            "its files do not lie here, so how its tensors are named is not known",
            "give --model FOLDER, where they lie",
        )
    manifest = local_manifest(
        folder,
        checkpoint_bytes=limits.checkpoint_bytes,
        small_file_bytes=limits.small_file_bytes,
    )
    found = identity.artefact(manifest)
    if found is None or found.id != audited.id:
        raise NotFound(
            f"{plain(folder.name)} does not hold the files that were audited",
            "give --model another folder, or leave it out",
        )
    return manifest


# --- the file ---------------------------------------------------------------------------------------------------


def _json(document: object) -> str:
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True) + "\n"


def _zip(contents: _Contents, about: dict[str, Any]) -> bytes:
    listed = []
    for name, content in sorted(contents.members.items()):
        digest = sha256(content).hexdigest()
        listed.append({"name": name, "sha256": digest, "bytes": len(content)})
    manifest = {**about, "members": listed, "left_out": contents.left_out}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _write(archive, MANIFEST, _json(manifest).encode("utf-8"))
        for name, content in sorted(contents.members.items()):
            _write(archive, name, content)
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Stored as it is: how small something is packed depends on the library."""
    info = zipfile.ZipInfo(name, _FIRST_DAY)
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    archive.writestr(info, content)
