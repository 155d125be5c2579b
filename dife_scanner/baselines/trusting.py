"""Whether a repository still holds what was trusted of it: pinned, or what the first fetch brought.

Where it does not, that is a finding about the repository. Each change (a commit, a file, its bytes) alerts once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.alerts.rules import alerts_for
from dife_scanner.baselines.registry import Place
from dife_scanner.core.findings import finding_without_audit
from dife_scanner.durable.clock import now
from dife_scanner.errors import BaseChanged
from dife_scanner.records import (
    Finding,
    FindingKind,
    HubFile,
    ModelRef,
    Severity,
    TrustedFile,
    TrustRecord,
)
from dife_scanner.sentences import bases as sentences
from dife_scanner.store import Store, findings, references, trust

WEIGHTS = ""
"""In place of a path: the weights, whatever their file is called."""


@dataclass(frozen=True)
class _Difference:
    """One file that is not what is trusted."""

    path: str
    found: str
    """The sha256 of what is there now; empty where nothing is."""
    words: str


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
    store: Store,
    record: TrustRecord | None,
    revision: str,
    files: Iterable[HubFile],
    channels: Sequence[str],
) -> None:
    """Compare what the hub announces with what is trusted, before anything is fetched.

    Raises `BaseChanged`, once the finding and its alerts to `channels` are kept.
    """
    announced = {file.path: file.sha256 for file in files}
    _compare(store, record, revision, announced, channels)


def check_fetched(
    store: Store,
    record: TrustRecord | None,
    revision: str,
    digests: Mapping[str, str],
    channels: Sequence[str],
) -> None:
    """Compare what arrived with what is trusted; others count for nothing. Raises as `check_announced`."""
    if record is None:
        return
    here = {path: digests.get(path) for path in (*(file.path for file in record.files), *digests)}
    _compare(store, record, revision, here, channels)


def _compare(
    store: Store,
    record: TrustRecord | None,
    revision: str,
    found: Mapping[str, str | None],
    channels: Sequence[str],
) -> None:
    """`found`: sha256 by path; `None` where the hub does not say it."""
    if record is None:
        return
    for file in record.files:
        difference = _difference(file, found)
        if difference is not None:
            raise _changed(store, record, revision, difference, channels)
    if record.changed:
        trust.note_unchanged(store, record.repository)


def _difference(file: TrustedFile, found: Mapping[str, str | None]) -> _Difference | None:
    if file.path == WEIGHTS:
        known = sorted(sha256 for sha256 in found.values() if sha256)
        if file.sha256 in known or not known:
            return None
        return _Difference(WEIGHTS, " ".join(known), "no file is the pinned weights")
    if file.path not in found:
        return _Difference(file.path, "", f"{file.path} is gone")
    sha256 = found[file.path]
    if sha256 in (None, file.sha256):
        return None
    return _Difference(file.path, sha256, f"{file.path} is another file")


def _changed(
    store: Store,
    record: TrustRecord,
    revision: str,
    difference: _Difference,
    channels: Sequence[str],
) -> BaseChanged:
    """The error that says so, once record, finding and alerts are kept."""
    what = sentences.changed(record.repository, revision, difference.words)
    error = BaseChanged(
        f"{what}; {sentences.trusted_since(record)}",
        sentences.advice_on_change(record.repository, _names(store, record.repository)),
    )
    finding = _finding(record, revision, difference, f"{error.what}; {error.advice}")
    previous = findings.find(store, finding.fingerprint)
    trust.note_change(store, finding, what, alerts_for(finding, previous, channels))
    return error


def _names(store: Store, repository: str) -> list[str]:
    """What the references that were fetched from this repository are called here."""
    return [one.name for one in references.references(store) if one.repository == repository]


def _finding(record: TrustRecord, revision: str, difference: _Difference, reason: str) -> Finding:
    """About the repository; another file and other bytes in it are each another finding, another commit alone is not.

    So a commit that only edits a page tells nobody anew, and what somebody decided says nothing about other bytes.
    """
    return finding_without_audit(
        FindingKind.CHANGED,
        Severity.NOT_MEASURED,
        ModelRef(record.repository, revision),
        (difference.path, difference.found),
        reason,
        now(),
    )


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
