"""What can happen to a repository between its discovery and its audit: each a state, a reason, and when it is next
looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from queue_kit import CONFIG, WEIGHTS, checkpoint, work_for

from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import Announced, LoopbackHub, faults
from dife_scanner.queue import worker
from dife_scanner.queue.poller import poll_pass
from dife_scanner.records import JobState
from dife_scanner.store import Store, jobs

NAME = "org/clip"
WEEK = 6.9 * 24 * 3600
HUGE = 200 * 10**9


@dataclass(frozen=True)
class Case:
    """What happens, and what the job says afterwards, try by try."""

    happens: Callable[[LoopbackHub], object]
    states: tuple[JobState, ...]
    reason: str
    next_check_seconds: float | None = None
    """At least; `None` where it is not looked at again by itself."""
    settings: dict[str, Any] = field(default_factory=dict)


def rewritten(hub: LoopbackHub) -> None:
    """The branch was moved to another commit, and the old one collected."""
    hub.commit(NAME, {"README.md": b"squashed"})
    hub.change(NAME, commits=hub.repo(NAME).commits[-1:])


def pushed_meanwhile(hub: LoopbackHub) -> None:
    hub.inject(
        faults.meanwhile("GET /api/models/org/clip/", lambda: hub.commit(NAME, checkpoint(5)))
    )


def many_files(hub: LoopbackHub) -> None:
    other = {f"data/{number}.txt": Announced(1) for number in range(10_000)}
    hub.remove(NAME)
    hub.add_repo(NAME, {**checkpoint(), **other}, last_modified=later(-50))


def huge(hub: LoopbackHub) -> None:
    hub.inject(faults.drop("/open_clip_model.safetensors", times=None))
    hub.remove(NAME)
    hub.add_repo(
        NAME, {CONFIG: checkpoint()[CONFIG], WEIGHTS: Announced(HUGE)}, last_modified=later(-50)
    )


def forbidden(hub: LoopbackHub) -> None:
    answer = {"X-Error-Message": "Forbidden"}
    hub.inject(faults.status("GET /api/models/org/clip/", 403, times=None))
    hub.inject(faults.headers("GET /api/models/org/clip/", answer, times=None))


RETRY, GONE = JobState.RETRY_WAIT, (JobState.RETRY_WAIT, JobState.RETRY_WAIT, JobState.DELETED)
CASES = {
    "gated": Case(lambda hub: hub.change(NAME, gated="manual"), (JobState.GATED,), "access", WEEK),
    "private": Case(forbidden, (JobState.PRIVATE,), "", WEEK),
    "private and hidden": Case(lambda hub: hub.change(NAME, private=True), GONE, "asked 3 times"),
    "disabled": Case(
        lambda hub: hub.change(NAME, disabled=True), (JobState.DISABLED,), "disabled", WEEK
    ),
    "renamed": Case(lambda hub: hub.rename(NAME, "new/name"), (JobState.DONE,), ""),
    "deleted": Case(lambda hub: hub.remove(NAME), GONE, "asked 3 times"),
    "deleted just now": Case(lambda hub: hub.remove(NAME), (RETRY,), "1 of 3", 590.0),
    "rewritten": Case(rewritten, GONE, "its history was rewritten"),
    "pushed between listing and download": Case(pushed_meanwhile, (JobState.DONE,), ""),
    "ten thousand files": Case(many_files, (JobState.DONE,), ""),
    "200 GB": Case(huge, (JobState.LIMIT_EXCEEDED,), "raise limits.checkpoint_bytes"),
    "200 GB where they are allowed": Case(
        huge,
        (JobState.PAUSED,),
        "needs 200.0 GB",
        50.0,
        {"limits": {"checkpoint_bytes": 2 * HUGE}},
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_it_ends_in_a_state_with_a_reason_and_the_next_look(
    what: str, store: Store, hub: LoopbackHub
) -> None:
    case = CASES[what]
    hub.add_repo(NAME, checkpoint(), last_modified=later(-60))
    work = work_for(store.home, hub.endpoint, start="fork", **case.settings)
    if case.happens in (many_files, huge):  # it is so from the beginning
        case.happens(hub)
    poll_pass(store, work)
    (job,) = jobs.jobs(store)
    if case.happens not in (many_files, huge):
        case.happens(hub)
    states = []
    for _ in case.states:
        job = worker.process(store, job, work)
        states.append(job.state)
    assert tuple(states) == case.states, job.reason
    assert case.reason in job.reason and job.reason
    if case.next_check_seconds is None:
        assert job.next_check_at is None
    else:
        assert (job.next_check_at or "") > later(case.next_check_seconds)
    assert job.ref.repo_id == NAME


def test_the_next_pass_finds_what_came_instead(store: Store, hub: LoopbackHub) -> None:
    """A rewritten history, or a push: the old commit is overtaken, the new one waits."""
    hub.add_repo(NAME, checkpoint(), last_modified=later(-60))
    work = work_for(store.home, hub.endpoint, start="fork")
    poll_pass(store, work)
    rewritten(hub)
    poll_pass(store, work)
    new, old = sorted(jobs.jobs(store), key=lambda job: job.id, reverse=True)
    assert (old.state, new.state) == (JobState.SUPERSEDED, JobState.QUEUED)
    assert old.reason == f"overtaken by revision {new.ref.revision[:12]}"
