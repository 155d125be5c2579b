"""What a scan or the next poll would fetch, before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.baselines.home import open_home
from dife_scanner.records import Budget, JobState, Manifest, ModelRef
from dife_scanner.settings import Settings
from dife_scanner.store import findings, jobs, polls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.reports.as_json import PlanDocument


def _look(settings: Settings, target: str) -> Manifest:
    """The manifest of a target: a local path where there is one, else a repository on the endpoint."""
    from dife_scanner import checkpoints
    from dife_scanner.hub.manifest import local_manifest
    from dife_scanner.queue.worker import hub_for

    limits = settings.limits
    if checkpoints.is_local(target):
        return local_manifest(
            Path(target).expanduser().resolve(),
            checkpoint_bytes=limits.checkpoint_bytes,
            small_file_bytes=limits.small_file_bytes,
        )
    repo_id, _, revision = target.partition("@")
    return checkpoints.look(hub_for(settings, settings.endpoint), ModelRef(repo_id, revision), limits)[1]


def plan_targets(settings: Settings, targets: Sequence[str], budget: Budget) -> PlanDocument:
    """What `dife scan` would fetch for these targets, and how long it would take."""
    from dife_scanner.hub.poll import BYTES_PER_SECOND, audit_words
    from dife_scanner.reports.as_json import PlanDocument, PlannedModel

    found = [_look(settings, target) for target in targets]
    fetched = [one for one in found if one.state is JobState.QUEUED]
    total = sum(one.bytes_to_fetch for one in fetched if not one.ref.local)
    with open_home(settings) as store:
        audit_seconds = findings.usual_seconds(store, budget) or 0.0
    states: dict[str, int] = {}
    for one in found:
        states[one.state.value] = states.get(one.state.value, 0) + 1
    return PlanDocument(
        models=len(found),
        auditable=len(fetched),
        states=states,
        bytes=total,
        requests=sum(2 + len(one.files) for one in fetched if not one.ref.local),
        hours=(total / BYTES_PER_SECOND + audit_seconds * len(fetched)) / 3600,
        exact=True,
        assumptions=(f"downloads at {BYTES_PER_SECOND / 1e6:g} MB/s", audit_words(audit_seconds)),
        targets=tuple(
            PlannedModel(
                one.ref, one.layout.value, one.state, one.reason, one.bytes_to_fetch, tuple(f.path for f in one.files)
            )
            for one in found
        ),
    )


def plan_pass(settings: Settings) -> PlanDocument:
    """What the next poll would find and what looking at it would cost; nothing is fetched and nothing recorded."""
    from dife_scanner.hub.deadline import Deadline
    from dife_scanner.hub.poll import SOURCES, plan, poll
    from dife_scanner.queue.worker import hub_for
    from dife_scanner.reports.as_json import PlanDocument

    hub = hub_for(settings, settings.endpoint)
    with open_home(settings) as store:
        known, marks = jobs.known(store, settings.endpoint), polls.watermarks(store, settings.endpoint)
        audit_seconds = findings.usual_seconds(store, settings.budget) or 0.0
    deadline = Deadline(settings.limits.pass_seconds)
    result = poll(
        hub,
        known=known,
        watermarks=marks,
        overlap_seconds=settings.overlap_seconds,
        deadline=deadline,
        sources=settings.filters or SOURCES,
    )
    found = plan(hub, result, audit_seconds=audit_seconds, deadline=deadline)
    return PlanDocument(
        models=found.models,
        auditable=found.auditable,
        states=found.states,
        bytes=found.bytes,
        requests=found.requests,
        hours=found.hours,
        exact=found.exact and result.complete,
        assumptions=(*found.assumptions, *result.problems),
    )
