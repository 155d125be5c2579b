"""Whether references are still what they were, and which commit of a base is the only one that counts."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.baselines import keeping, trusting
from dife_scanner.baselines.registry import registry
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import BaseChanged, HubError, NotFound, UsageError
from dife_scanner.models.layouts.open_clip import WEIGHT_FILES
from dife_scanner.records import Reference, ReferenceCheck, TrustedFile, TrustRecord
from dife_scanner.settings import Settings
from dife_scanner.store import Store, references, trust

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub
    from dife_scanner.hub.deadline import Deadline

log = logging.getLogger(__name__)

LOOK_EVERY = 24 * 3600.0
"""Seconds between looks of the watcher at the repository of a trusted base."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


# --- verifying ------------------------------------------------------------------------------------------------


def verify(store: Store, reference: Reference, hub: Hub, channels: Sequence[str]) -> ReferenceCheck:
    """Hash a reference's files again, and where it was fetched, ask the hub what that repository holds now.

    A repository that changed is a finding, with its alerts to `channels`. A damaged copy that was fetched for a
    checkpoint is forgotten: it is fetched again when it is needed.
    """
    intact, damage = _on_disk(store, reference)
    on_hub, change = _on_hub(store, reference, hub, channels)
    if reference.fetched and not intact:
        _forget(store, reference)
        damage += "; it is fetched again when it is needed"
    problem = "; ".join(filter(None, (damage, change)))
    return ReferenceCheck(reference.name, intact, on_hub, problem)


def _on_disk(store: Store, reference: Reference) -> tuple[bool | None, str]:
    try:
        found = keeping.file_digests(Path(reference.path))
    except OSError as error:
        return False, f"{reference.path} cannot be read: {error.strerror}"
    recorded = references.files(store, reference.name)
    if not recorded:  # bundled, or registered by an older version, which recorded its weights alone
        weights = [found[name] for name in WEIGHT_FILES if name in found]
        same = weights[:1] == [reference.weights_sha256]
        return same, "" if same else "its weights are not those that were registered"
    for name, sha256 in recorded.items():
        if found.get(name) != sha256:
            missing = "is missing" if name not in found else "is not the file that was stored"
            return False, f"{name} {missing}"
    return True, ""


def _on_hub(
    store: Store, reference: Reference, hub: Hub, channels: Sequence[str]
) -> tuple[bool | None, str]:
    record = trust.record(store, reference.repository) if reference.repository else None
    if record is None:
        return None, ""
    if reference.revision != record.revision:
        return (
            False,
            f"commit {record.revision[:12]} is trusted, this copy is of {reference.revision[:12]}",
        )
    try:
        model = hub.info(record.repository, trusting.revision_of(record) or None)
        trusting.check_announced(store, record, model.sha, model.files, channels)
    except BaseChanged as error:
        return False, error.what
    except HubError as error:
        return None, f"the hub was not asked: {error.what}"
    return True, ""


def look_again(store: Store, hub: Hub, channels: Sequence[str], deadline: Deadline) -> None:
    """Ask the hub, once a day, what each trusted repository holds now. One that changed is a finding with its alerts.

    What the hub does not answer is asked again the next time; a base that is here already is used all the same.
    """
    for record in trust.not_looked_at_since(store, later(-LOOK_EVERY)):
        if deadline.passed:
            return
        try:
            model = hub.info(record.repository, trusting.revision_of(record) or None)
            trusting.check_announced(store, record, model.sha, model.files, channels)
        except BaseChanged as error:
            log.warning("%s", error.what)
        except HubError as error:
            log.warning("the clean base %s was not looked at: %s", record.repository, error.what)
            continue
        trust.note_look(store, record.repository)


# --- pinning --------------------------------------------------------------------------------------------------


def pin(store: Store, settings: Settings, name: str, revision: str, sha256: str) -> TrustRecord:
    """Make one commit of a repository, and with `sha256` its weights, the only ones that are accepted from now on.

    `name` is a reference that was fetched, a base of the registry or the repository it is fetched from. Without
    `revision` the commit that is trusted already is pinned. A copy of another commit that was fetched for a checkpoint
    is removed. Raises `NotFound` and `UsageError`.
    """
    _check_form(revision, sha256)
    repository = _repository(store, settings, name)
    before = trust.record(store, repository)
    if before is None and not revision:
        raise UsageError(
            f"nothing was fetched from {repository} yet",
            "name the commit with --revision, or `dife reference add` it first",
        )
    files: tuple[TrustedFile, ...] = ()
    if before is not None and revision in ("", before.revision):
        files = before.files
        revision = before.revision
    if sha256:
        _check_weights(files, sha256)
        files = files or (TrustedFile(trusting.WEIGHTS, sha256),)
    first_at = before.first_at if before else now()
    pinned = TrustRecord(repository, revision, files, first_at, pinned_at=now())
    trust.keep(store, pinned)
    for reference in references.references(store):
        another = reference.repository == repository and reference.revision != revision
        if another and reference.fetched:
            _forget(store, reference)
    return pinned


def _forget(store: Store, reference: Reference) -> None:
    """Remove a reference that can be fetched again."""
    references.remove(store, reference.name)
    shutil.rmtree(reference.path, ignore_errors=True)


def _check_form(revision: str, sha256: str) -> None:
    if revision and not _COMMIT.fullmatch(revision):
        raise UsageError("--revision is a commit of 40 hexadecimal digits", "branches move")
    if sha256 and not _SHA256.fullmatch(sha256):
        raise UsageError("--sha256 has 64 hexadecimal digits", "it is that of the weights")


def _check_weights(files: tuple[TrustedFile, ...], sha256: str) -> None:
    if files and sha256 not in {file.sha256 for file in files}:
        raise UsageError(
            "no file of the commit that was fetched has this sha256",
            "name the right commit with --revision; what is here is not changed",
        )


def _repository(store: Store, settings: Settings, name: str) -> str:
    """The repository that is meant. Raises `NotFound`."""
    for reference in references.references(store):
        if reference.name == name and reference.repository:
            return reference.repository
    known = {record.repository for record in trust.records(store)}
    base = registry(settings.references.registry).resolve(name)
    if name in known or (base is None and "/" in name):
        return name
    if base is None:
        raise NotFound(
            f"{name} is neither a fetched reference nor a known base", "`dife reference list`"
        )
    of_place = [place.repository for place in base.places]
    if name in of_place:
        return name
    return next((place for place in of_place if place in known), of_place[0])
