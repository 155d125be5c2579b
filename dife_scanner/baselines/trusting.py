"""Whether a repository still holds what was trusted of it: pinned, or what the first fetch brought."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from dife_scanner.baselines.registry import Place
from dife_scanner.durable.clock import now
from dife_scanner.errors import BaseChanged
from dife_scanner.records import HubFile, TrustedFile, TrustRecord
from dife_scanner.store import Store, trust

WEIGHTS = ""
"""In place of a path: the weights, whatever their file is called."""


def trusted(store: Store, place: Place) -> TrustRecord | None:
    """What is trusted of this place: what was pinned or fetched before, else what the registry's source states."""
    record = trust.record(store, place.repository)
    if record is not None or not (place.revision or place.sha256):
        return record
    files = (TrustedFile(WEIGHTS, place.sha256),) if place.sha256 else ()
    return TrustRecord(place.repository, place.revision, files, "", pinned_at=now())


def revision_of(record: TrustRecord | None) -> str:
    """The commit to fetch: the pinned one, else the main branch's (empty)."""
    return record.revision if record is not None and record.pinned_at else ""


def check_announced(
    store: Store, record: TrustRecord | None, revision: str, files: Iterable[HubFile]
) -> None:
    """Compare what the hub announces with what is trusted, before anything is fetched. Raises `BaseChanged`."""
    announced = {file.path: file.sha256 for file in files}
    _compare(store, record, revision, announced)


def check_fetched(
    store: Store, record: TrustRecord | None, revision: str, digests: Mapping[str, str]
) -> None:
    """Compare what arrived with what is trusted; others count for nothing. Raises `BaseChanged`."""
    if record is None:
        return
    here = {path: digests.get(path) for path in (*(file.path for file in record.files), *digests)}
    _compare(store, record, revision, here)


def _compare(
    store: Store, record: TrustRecord | None, revision: str, found: Mapping[str, str | None]
) -> None:
    """`found`: sha256 by path; `None` where the hub does not say it."""
    if record is None:
        return
    for file in record.files:
        what = _difference(file, found)
        if what:
            changed = f"{record.repository} at commit {revision[:12]}: {what}"
            trust.note_change(store, record.repository, changed)
            raise BaseChanged(
                f"{changed}; it is not the base that was trusted since {record.first_at[:10] or 'it was pinned'}",
                f"find out why; `dife reference pin {record.repository} --revision COMMIT` settles which one is right",
            )
    if record.changed:
        trust.note_change(store, record.repository, "")


def _difference(file: TrustedFile, found: Mapping[str, str | None]) -> str:
    if file.path == WEIGHTS:
        known = [sha256 for sha256 in found.values() if sha256]
        return "" if file.sha256 in known or not known else "no file is the pinned weights"
    if file.path not in found:
        return f"{file.path} is gone"
    sha256 = found[file.path]
    return "" if sha256 in (None, file.sha256) else f"{file.path} is another file"


def remember(
    store: Store,
    record: TrustRecord | None,
    repository: str,
    revision: str,
    digests: Mapping[str, str],
) -> None:
    """Trust these files from now on where nothing, or a commit alone, was trusted before."""
    if record is not None and record.files and trust.record(store, repository) is not None:
        return
    files = tuple(TrustedFile(path, sha256) for path, sha256 in sorted(digests.items()))
    if record is None:
        trust.keep(store, TrustRecord(repository, revision, files, now()))
        return
    trust.keep(
        store, replace(record, revision=revision, files=files, first_at=record.first_at or now())
    )


def digests_of(files: Mapping[str, Path]) -> dict[str, str]:
    """The sha256 of fetched files by their paths in the repository."""
    digests = {}
    for path, file in files.items():
        with file.open("rb") as stream:
            digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests
