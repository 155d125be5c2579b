"""From what somebody types to the files that a decision is about: hashed where they lie, or looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dife_scanner.checkpoints import is_local
from dife_scanner.core import artefacts as identity
from dife_scanner.errors import LimitExceeded, NotFound, Unsupported
from dife_scanner.hub import local_files
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.plain import plain
from dife_scanner.records import Artefact, Job, Manifest
from dife_scanner.settings import Limits
from dife_scanner.store import Store, artefacts, deciding, jobs, lookup


@dataclass(frozen=True)
class Files:
    """The files that a target stands for, as far as they are known."""

    name: str
    model: str = ""
    """What the checkpoint is called in the log: of a folder its name, and not where it lies."""
    artefact: Artefact | None = None
    beside: tuple[str, ...] = ()
    """Weights beside those of the artefact."""
    unknown: str = ""
    """Why the files are not known, in words."""

    @property
    def id(self) -> str:
        """The artefact's; empty where the files are not known."""
        return self.artefact.id if self.artefact else ""


def lying_here(target: str, limits: Limits) -> Files:
    """The files of a folder, or of one file of weights with what stands beside it, hashed now.

    Raises `UsageError` where there is nothing to look at, or several files may be meant.
    """
    path = Path(target).expanduser().absolute()
    try:
        manifest = local_manifest(
            path,
            checkpoint_bytes=limits.checkpoint_bytes,
            small_file_bytes=limits.small_file_bytes,
        )
    except (Unsupported, LimitExceeded) as error:
        return Files(target, unknown=error.what)
    folder = path if path.is_dir() else path.parent
    if not local_files.is_listed_whole(folder):
        # among what is not looked at, weights might lie
        most = local_files.MOST_LOOKED_AT
        return Files(target, unknown=f"the folder holds more than {most:,} names")
    found = identity.artefact(manifest)
    unknown = "" if found else manifest.reason or "it holds no files that are read"
    return Files(target, deciding.name_of(manifest.ref), found, _beside(manifest), unknown)


def of_repository(store: Store, target: str) -> Files:
    """Those of `org/name[@revision]`, as they are known here; of the newest revision known where none is named."""
    name, _, revision = target.partition("@")
    job = artefacts.newest_revision(store, name, revision)
    if job is None:
        return Files(target, unknown="nothing is known of it here; `dife scan` audits it")
    return _of_job(store, job)


def decided_about(store: Store, target: str, limits: Limits) -> Files:
    """Those that somebody decides about, by folder, repository, audit, finding or job.

    Raises `NotFound` or `UsageError` where they are not known.
    """
    if is_local(target):
        found = lying_here(target, limits)
    elif artefacts.newest_revision(store, target.partition("@")[0]):
        found = of_repository(store, target)
    else:
        found = _of_id(store, target)
    if found.artefact is None:
        raise NotFound(f"{plain(found.name, 200)}: {found.unknown}", "`dife scan` audits it")
    return found


def _of_id(store: Store, target: str) -> Files:
    match = lookup.find(store, target)
    job = artefacts.job_of(store, match.ref)
    if job is None:
        return Files(target, unknown="its files were not recorded")
    return _of_job(store, job)


def _of_job(store: Store, job: Job) -> Files:
    name = str(job.ref)
    found = artefacts.of_job(store, job)
    if found is None:
        return Files(name, unknown=f"its files were not recorded ({job.state}: {job.reason})")
    manifest = jobs.manifest_of(store, job.id)
    beside = _beside(manifest) if manifest else ()
    return Files(name, deciding.name_of(job.ref), found, beside)


def _beside(manifest: Manifest) -> tuple[str, ...]:
    return tuple(sorted({*manifest.other_weights, *manifest.unread}))
