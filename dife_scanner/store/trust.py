"""What is trusted of the repositories that clean bases are fetched from: a commit and its files, pinned or not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import Alert, Finding, TrustedFile, TrustRecord
from dife_scanner.store import findings, outbox
from dife_scanner.store.db import Store


def record(store: Store, repository: str) -> TrustRecord | None:
    """What is trusted of this repository, or `None` where nothing was fetched from it or pinned yet."""
    rows = store.read("SELECT * FROM trusted_repositories WHERE repository = ?", (repository,))
    return _to_record(rows[0]) if rows else None


def records(store: Store) -> list[TrustRecord]:
    """Every repository of which anything is trusted, by name."""
    rows = store.read("SELECT * FROM trusted_repositories ORDER BY repository")
    return [_to_record(row) for row in rows]


def not_looked_at_since(store: Store, moment: str) -> list[TrustRecord]:
    """The repositories that the hub was not asked about since then, those that waited longest first."""
    rows = store.read(
        "SELECT * FROM trusted_repositories WHERE looked_at < ? ORDER BY looked_at, repository",
        (moment,),
    )
    return [_to_record(row) for row in rows]


def note_look(store: Store, repository: str) -> None:
    """Say that the hub was asked now what this repository holds."""
    with store.atomic("trust.keep"):
        store.write(
            "UPDATE trusted_repositories SET looked_at = ? WHERE repository = ?",
            (now(), repository),
        )


def keep(store: Store, trusted: TrustRecord) -> None:
    """Trust this commit and these files from now on, whatever was trusted before."""
    files = json.dumps({file.path: file.sha256 for file in trusted.files}, sort_keys=True)
    with store.atomic("trust.keep"):
        store.write(
            "INSERT OR REPLACE INTO trusted_repositories"
            " (repository, revision, files, first_at, pinned_at, changed, looked_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                trusted.repository,
                trusted.revision,
                files,
                trusted.first_at or now(),
                trusted.pinned_at,
                trusted.changed,
                now(),
            ),
        )


def note_change(store: Store, finding: Finding, what: str, alerts: Sequence[Alert]) -> None:
    """Say what a later look found instead of what is trusted: in the record, as a finding, and to the channels."""
    with store.atomic("trust.keep"):
        _set_changed(store, finding.ref.repo_id, what)
        findings.insert_finding(store, finding, None)
        outbox.insert(store, alerts)


def note_unchanged(store: Store, repository: str) -> None:
    """Say that the repository holds what is trusted again; the finding stays until somebody decides about it."""
    with store.atomic("trust.keep"):
        _set_changed(store, repository, "")


def _set_changed(store: Store, repository: str, what: str) -> None:
    store.write(
        "UPDATE trusted_repositories SET changed = ? WHERE repository = ?", (what, repository)
    )


def _to_record(row: dict[str, Any]) -> TrustRecord:
    files = json.loads(row["files"])
    return TrustRecord(
        repository=row["repository"],
        revision=row["revision"],
        files=tuple(TrustedFile(path, sha256) for path, sha256 in files.items()),
        first_at=row["first_at"],
        pinned_at=row["pinned_at"],
        changed=row["changed"],
    )
