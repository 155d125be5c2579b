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

BY_HAND = "asked for by hand"


def enqueue(store: Store, target: str, limits: Limits, hub: Callable[[], Hub]) -> Job:
    """Queue exactly this checkpoint, pinned; one that has ended is queued again, one in work is left alone.

    Raises `UsageError` and `Unsupported` for a path that is no checkpoint, and the hub's errors (`RepoNotFound`,
    `BadToken`, `HubUnavailable`, …) for a repository that cannot be read.
    """
    job = _discover(store, target, limits, hub)
    if job.state.is_final and job.reason != _reason_from_names(store, job):
        job = jobs.requeue(store, job.id, reason=BY_HAND)
    return job


def _discover(store: Store, target: str, limits: Limits, hub: Callable[[], Hub]) -> Job:
    if is_local(target):
        return _discover_local(store, target, limits)
    return _discover_remote(store, target, hub())


def _discover_local(store: Store, target: str, limits: Limits) -> Job:
    path = Path(target).expanduser().resolve()
    manifest = local_manifest(
        path,
        checkpoint_bytes=limits.checkpoint_bytes,
        small_file_bytes=limits.small_file_bytes,
    )
    return jobs.discover(
        store,
        manifest.ref,
        endpoint="",
        state=manifest.state,
        reason=manifest.reason or BY_HAND,
        manifest=manifest,
        pinned=True,
    )


def _discover_remote(store: Store, target: str, hub: Hub) -> Job:
    name, _, revision = target.partition("@")
    model = hub.info(name, revision or None)
    manifest = first_look(model, hub.has_token)
    return jobs.discover(
        store,
        ModelRef(model.repo_id, model.sha),
        endpoint=hub.endpoint,
        state=manifest.state,
        reason=manifest.reason or BY_HAND,
        model=model,
        manifest=manifest,
        pinned=True,
    )


def _reason_from_names(store: Store, job: Job) -> str:
    """The reason for which names alone decided this job, which asking again would not change."""
    manifest = jobs.manifest_of(store, job.id)
    if manifest is None or manifest.state is JobState.QUEUED:
        return ""
    return manifest.reason
