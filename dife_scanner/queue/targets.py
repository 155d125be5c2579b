"""From what somebody types to a job: a folder, a weights file, or `org/name[@revision]`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.checkpoints import first_look, is_local
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.records import Job, JobState, ModelRef
from dife_scanner.settings import Limits
from dife_scanner.store import Store, jobs

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

ASKED = "asked for by hand"


def enqueue(store: Store, target: str, limits: Limits, hub: Callable[[], Hub]) -> Job:
    """Queue exactly this checkpoint, pinned; one that has ended is queued again, one in work is left alone.

    Raises `UsageError` and `Unsupported` for a path that is no checkpoint, and the hub's errors (`RepoNotFound`,
    `BadToken`, `HubUnavailable`, …) for a repository that cannot be asked.
    """
    job = _local(store, target, limits) if is_local(target) else _remote(store, target, hub())
    if job.state.is_final and job.reason != _judged(store, job):
        job = jobs.requeue(store, job.id, reason=ASKED)
    return job


def _local(store: Store, target: str, limits: Limits) -> Job:
    path = Path(target).expanduser().resolve()
    found = local_manifest(path, checkpoint_bytes=limits.checkpoint_bytes, small_file_bytes=limits.small_file_bytes)
    reason = found.reason or ASKED
    return jobs.discover(store, found.ref, endpoint="", state=found.state, reason=reason, manifest=found, pinned=True)


def _remote(store: Store, target: str, hub: Hub) -> Job:
    name, _, revision = target.partition("@")
    model = hub.info(name, revision or None)
    found = first_look(model, hub.has_token)
    return jobs.discover(
        store,
        ModelRef(model.repo_id, model.sha),
        endpoint=hub.endpoint,
        state=found.state,
        reason=found.reason or ASKED,
        model=model,
        manifest=found,
        pinned=True,
    )


def _judged(store: Store, job: Job) -> str:
    """The reason for which names alone decided this job, which asking again would not change."""
    found = jobs.manifest_of(store, job.id)
    return found.reason if found and found.state is not JobState.QUEUED else ""
