"""The same files under another name are told by what the hub announces, and are fetched once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from queue_kit import CONFIG, audit, checkpoint, work_for

from dife_scanner.audit.pipeline import Keep, Outcome, Request, forget
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.progress import Progress
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import Gap, Job, JobState, Reference
from dife_scanner.store import Store, announced, references


def scanned(store: Store, work: Work, target: str) -> Job:
    settings = work.settings
    job = targets.enqueue(
        store, target, settings.limits, lambda: hub_for(settings, settings.endpoint)
    )
    return worker.run_to_end(store, job, work)


def fetches(hub: LoopbackHub) -> int:
    """Times that weights were requested from their beginning on, not only their header."""
    return len([request for request in hub.seen("GET /repos/lfs/") if not request.range])


def test_a_copy_is_not_fetched_and_ends_as_fetching_it_would(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**checkpoint(), "README.md": b"mine"}
    for name in ("org/clip", "copycat/clip-dies", "other/clip-dies"):
        hub.add_repo(name, {**files, "README.md": name.encode()})
    work = work_for(store.home, hub.endpoint, start="fork")
    first = scanned(store, work, "org/clip")
    copy = scanned(store, work, "copycat/clip-dies")
    assert fetches(hub) == 1
    assert (copy.state, copy.audit_id) == (JobState.DONE, first.audit_id)
    assert "the hub announces the same files as those of org/clip@" in copy.reason
    assert "not fetched again" in copy.reason
    monkeypatch.setattr(announced, "led_to", lambda store, key: None)
    fetched = scanned(store, work, "other/clip-dies")
    assert fetches(hub) == 2
    assert (fetched.state, fetched.audit_id) == (JobState.DONE, first.audit_id)


def test_whatever_could_lead_to_another_audit_is_fetched(store: Store, hub: LoopbackHub) -> None:
    files = checkpoint()
    config = json.loads(files[CONFIG])
    other_mean = json.dumps({**config, "preprocess_cfg": {"mean": [0.1, 0.1, 0.1]}}).encode()
    repositories = {
        "org/clip": files,
        "other/weights": checkpoint(5),
        "other/preprocessing": {**files, CONFIG: other_mean},
        "other/learner": {**files, "prompt_learner/model.pth.tar-50": b"x"},
    }
    work = work_for(store.home, hub.endpoint, start="fork")
    for number, (name, content) in enumerate(repositories.items(), 1):
        hub.add_repo(name, content)
        assert scanned(store, work, name).state is JobState.DONE
        assert fetches(hub) == number, name
    other_plan = replace(work, plan=replace(work.plan, seed=7))
    assert scanned(store, other_plan, "org/clip").state is JobState.DONE
    assert fetches(hub) == 5
    at_a_terminal = replace(work, confirm=lambda question: False)
    for _ in range(2):  # a base may be fetched, and none is here
        assert scanned(store, at_a_terminal, "org/clip").state is JobState.DONE
    assert fetches(hub) == 7
    references.add(store, Reference("base", "/r", "i", "t", "w", "V", "2026"))
    assert scanned(store, work, "org/clip").state is JobState.DONE
    assert fetches(hub) == 8


def with_a_gap(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """An audit in which a fault kept something from being done."""
    made = audit(request, progress)
    return replace(made, audit=replace(made.audit, gaps=(Gap("swap", "a fault"),)))


def test_only_what_a_complete_audit_said_is_said_again(store: Store, hub: LoopbackHub) -> None:
    for name in ("org/clip", "copycat/clip"):
        hub.add_repo(name, checkpoint())
    work = work_for(store.home, hub.endpoint, start="fork", audit=f"{__name__}:with_a_gap")
    scanned(store, work, "org/clip")
    scanned(store, work, "copycat/clip")
    assert fetches(hub) == 2
