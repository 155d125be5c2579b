"""A repository under a new name: what people decided about it goes along, and says where it was made."""

from __future__ import annotations

from typing import Any

import pytest
from queue_kit import EMPTY_ZIP, checkpoint, work_for

from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import hub_for
from dife_scanner.records import AlertState, Finding, Job, JobState, TriageState
from dife_scanner.sentences.findings import triage_text
from dife_scanner.store import Store, findings, jobs, outbox, triage, triage_log


def scanned(store: Store, hub: LoopbackHub, target: str, **changes: Any) -> Job:
    work = work_for(store.home, hub.endpoint, channels=("slack",), **changes)
    settings = work.settings
    job = targets.enqueue(
        store, target, settings.limits, lambda: hub_for(settings, settings.endpoint)
    )
    return worker.run_to_end(store, job, work)


def only_finding(store: Store) -> Finding:
    (found,) = findings.findings(store)
    return found


def decided(store: Store, state: TriageState = TriageState.FALSE_POSITIVE) -> Finding:
    about = triage.seen(store, [only_finding(store).fingerprint])
    triage.decide(store, state, about, actor="ada", note="looked at")
    return only_finding(store)


def test_a_decision_goes_along_with_the_name(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/bad-old", checkpoint())
    scanned(store, hub, "org/bad-old")
    before = decided(store)
    assert triage_text(before) == "false-positive"

    hub.rename("org/bad-old", "org/bad-new")
    job = scanned(store, hub, "org/bad-new")
    after = only_finding(store)
    assert (after.fingerprint, after.triage) == (before.fingerprint, TriageState.FALSE_POSITIVE)
    assert after.ref == job.ref
    assert after.ref.repo_id == "org/bad-new"
    assert triage_text(after) == "false-positive (decided for org/bad-old)"
    (alert,) = outbox.alerts(store)  # of the first time; nobody needs it any more
    assert alert.state is AlertState.SILENCED

    hub.commit("org/bad-new", checkpoint(3))
    scanned(store, hub, "org/bad-new")
    assert only_finding(store).fingerprint == before.fingerprint

    again = decided(store, TriageState.ACCEPTED_RISK)
    assert triage_text(again) == "accepted-risk"
    events = triage_log.events(store, before.fingerprint)
    assert [event.repo_id for event in events] == ["org/bad-old", "org/bad-new"]


def test_a_refused_file_keeps_its_decision_too(store: Store, hub: LoopbackHub) -> None:
    files = checkpoint()
    files["open_clip_model.safetensors"] = files["open_clip_model.safetensors"] + EMPTY_ZIP
    hub.add_repo("org/old", files)
    assert scanned(store, hub, "org/old").state is JobState.REFUSED
    decided(store)
    hub.rename("org/old", "org/new")
    scanned(store, hub, "org/new")
    assert only_finding(store).triage is TriageState.FALSE_POSITIVE


@pytest.mark.parametrize("same_commit", [True, False], ids=["nobody decided", "another commit"])
def test_what_is_no_decided_rename_is_a_finding_of_its_own(
    store: Store, hub: LoopbackHub, same_commit: bool
) -> None:
    hub.add_repo("org/bad-old", checkpoint())
    scanned(store, hub, "org/bad-old")
    if same_commit:
        hub.rename("org/bad-old", "org/bad-new")
    else:
        decided(store)
        hub.add_repo("org/bad-new", checkpoint(1))
    scanned(store, hub, "org/bad-new")
    found = {finding.ref.repo_id: finding.triage for finding in findings.findings(store)}
    assert found["org/bad-new"] is TriageState.NEW
    assert len(found) == 2
    assert len(jobs.jobs(store)) == 2
