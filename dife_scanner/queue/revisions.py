"""What is kept of a checkpoint for the next revision of its repository, and which revisions lay between the two."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.errors import DifeError, DiskFull
from dife_scanner.models import intake
from dife_scanner.models.digests import tensor_marks
from dife_scanner.models.load import parse_limits
from dife_scanner.records import HubCommit, HubModel, Job, JobState, Manifest, ModelRef
from dife_scanner.settings import Limits
from dife_scanner.store import Store, jobs, revisions

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

MOST_BETWEEN = 20
"""Commits between two audited ones that are looked at; of more the newest."""


def keep_marks(store: Store, identity: str, folder: Path, limits: Limits) -> None:
    """Keep marks of the tensors audited under `identity`; without them nothing but the comparison is missing."""
    try:
        marks = tensor_marks(intake.weights(folder), parse_limits(limits))
        revisions.keep_marks(store, identity, marks)
    except DiskFull:
        raise
    except (DifeError, OSError, ValueError) as error:
        log.warning(
            "the tensors of audit identity %s cannot be compared later: %s", identity, error
        )


def record_between(store: Store, hub: Hub, job: Job, manifest: Manifest) -> None:
    """Record, as superseded, each commit since the last audited revision that brought other weights.

    A repository whose history cannot be read keeps no audit waiting: then they are missing.
    """
    last = revisions.audited_before(store, job)
    if last is None:
        return
    try:
        between = _since(hub.commits(job.ref, most=MOST_BETWEEN + 1), last.ref.revision)
        _record(store, hub, job, manifest, last, between)
    except DiskFull:
        raise
    except DifeError as error:
        log.info("the history of %s was not read: %s", job.ref, error.what)


def _since(history: list[HubCommit], revision: str) -> list[HubCommit]:
    """The commits after `revision` and before the newest, oldest first."""
    found = []
    for commit in history[1:]:
        if commit.sha == revision:
            break
        found.append(commit)
    return found[::-1]


def _record(
    store: Store, hub: Hub, job: Job, manifest: Manifest, last: Job, between: list[HubCommit]
) -> None:
    names = {file.path for file in manifest.files if file.sha256}
    before = _weights(hub, last.ref, names) if between else {}
    for commit in between:
        ref = ModelRef(job.ref.repo_id, commit.sha)
        here = _weights(hub, ref, names)
        if here != before and here:
            _supersede(store, job, ref, commit)
        before = here


def _weights(hub: Hub, ref: ModelRef, names: set[str]) -> dict[str, str]:
    """The announced sha256 of each of these files at a commit."""
    files = hub.tree(ref)
    return {file.path: file.sha256 for file in files if file.sha256 and file.path in names}


def _supersede(store: Store, job: Job, ref: ModelRef, commit: HubCommit) -> None:
    jobs.discover(
        store,
        ref,
        endpoint=job.endpoint,
        state=JobState.SUPERSEDED,
        reason=f"overtaken by revision {job.ref.revision[:12]} before it was looked at",
        model=HubModel(ref.repo_id, ref.revision, commit.date),
    )
