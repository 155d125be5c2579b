"""Models in use: looked up, first in the queue, each in its state."""

from __future__ import annotations

from pathlib import Path

import pytest
from queue_kit import checkpoint, work_for

from dife_scanner import checkpoints
from dife_scanner.durable.clock import later
from dife_scanner.errors import HubUnavailable
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.queue.poller import PassResult, poll_pass
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import HubScan, JobState, WatchedModel
from dife_scanner.sentences.watching import reason_text, scan_text, watched_lines
from dife_scanner.settings import Limits
from dife_scanner.store import Store, jobs, leases, watchlist

FILES = checkpoint()


@pytest.fixture
def listed(store: Store, hub: LoopbackHub, tmp_path: Path) -> Path:
    return tmp_path / "train.py"


def work_of(store: Store, hub: LoopbackHub, path: Path, scope: str = "in-use") -> Work:
    return work_for(store.home, hub.endpoint, watch={"scope": scope, "list": [path]})


def loads(path: Path, *names: str) -> None:
    lines = [f'CLIPModel.from_pretrained("{name}")' for name in names]
    path.write_text("\n".join(lines))


def by_name(store: Store, hub: LoopbackHub) -> dict[str, WatchedModel]:
    return {one.wanted.repo_id: one for one in watchlist.watched(store, hub.endpoint)}


def passed(store: Store, hub: LoopbackHub, path: Path, scope: str = "in-use") -> PassResult:
    return poll_pass(store, work_of(store, hub, path, scope))


def test_what_is_in_use_goes_first_and_says_where_it_is_used(
    store: Store, hub: LoopbackHub, listed: Path
) -> None:
    hub.add_repo("org/clip-a", FILES, last_modified=later(-60))
    hub.add_repo("org/clip-b", FILES, last_modified=later(-50))
    hub.add_repo("org/other", FILES)  # no listing shows it
    passed(store, hub, listed.with_name("none.txt"), "everything")
    loads(listed, "org/other", "org/clip-a")
    result = passed(store, hub, listed, "everything")
    assert result.complete and result.new == 1
    first, second, third = (leases.claim(store, "w", 60.0) for _ in range(3))
    assert first and second and third
    assert (first.ref.repo_id, first.in_use) == ("org/clip-a", "train.py:2")
    assert (second.ref.repo_id, third.ref.repo_id) == ("org/other", "org/clip-b")
    job = jobs.job(store, second.id)
    assert reason_text(jobs.job(store, job.id)).startswith("in use: train.py:1")


def test_each_model_in_use_gets_its_state(store: Store, hub: LoopbackHub, listed: Path) -> None:
    hub.add_repo("org/gated", FILES, gated="manual")
    hub.add_repo("org/old", FILES)
    hub.rename("org/old", "org/new")
    hub.add_repo("org/disabled", FILES)
    hub.change("org/disabled", disabled=True)
    hub.add_repo("org/fine", FILES)
    loads(listed, "org/gated", "org/old", "org/disabled", "org/gone", "org/fine")
    passed(store, hub, listed)
    states = {job.ref.repo_id: job.state for job in jobs.jobs(store)}
    assert states == {
        "org/gated": JobState.GATED,
        "org/new": JobState.QUEUED,
        "org/fine": JobState.QUEUED,
    }
    known = by_name(store, hub)
    assert known["org/old"].reason == "its name is org/new now"
    assert known["org/disabled"].state is JobState.DISABLED
    assert known["org/gone"].state is None and "answer 1 of 3" in known["org/gone"].reason
    for _ in range(2):
        passed(store, hub, listed)
    gone = by_name(store, hub)["org/gone"]
    assert gone.state is JobState.DELETED and "asked 3 times" in gone.reason
    lines = watched_lines(watchlist.watched(store, hub.endpoint))
    assert lines[0] == "in use: 5 models"
    assert any(line.startswith("  org/gone (train.py:4): deleted: ") for line in lines)


def test_an_outage_says_nothing_of_a_model(store: Store, hub: LoopbackHub, listed: Path) -> None:
    hub.add_repo("org/clip", FILES)
    loads(listed, "org/clip")
    hub.inject(faults.rate_limited("GET /api/models/", 280, times=None))
    with pytest.raises(HubUnavailable, match="limits our rate"):
        passed(store, hub, listed)
    assert by_name(store, hub)["org/clip"].state is None and not jobs.jobs(store)


def test_a_pinned_commit_is_looked_up_once_and_kept_when_overtaken(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    sha = hub.add_repo("org/clip", FILES, last_modified=later(-60))
    path = tmp_path / "models.txt"
    path.write_text(f"org/clip@{sha}")
    passed(store, hub, path)
    hub.commit("org/clip", {"README.md": b"again"})
    hub.requests.clear()
    passed(store, hub, path)
    assert not hub.requests
    passed(store, hub, path, "everything")
    states = {job.ref.revision == sha: job.state for job in jobs.jobs(store)}
    assert states == {True: JobState.QUEUED, False: JobState.QUEUED}


def test_a_closer_look_is_not_forgotten_when_the_model_is_looked_up_again(
    store: Store, hub: LoopbackHub, listed: Path
) -> None:
    hub.add_repo("org/clip", FILES)
    loads(listed, "org/clip")
    passed(store, hub, listed)
    job = leases.claim(store, "w", 60.0)
    assert job
    seen = checkpoints.look(
        hub_for(work_of(store, hub, listed).settings, hub.endpoint), job.ref, Limits()
    )
    leases.keep_manifest(store, job.id, "w", seen.model, seen.manifest)
    passed(store, hub, listed)
    assert jobs.manifest_of(store, job.id) == seen.manifest and seen.manifest.architecture


def test_what_leaves_the_list_loses_its_place(store: Store, hub: LoopbackHub, listed: Path) -> None:
    hub.add_repo("org/clip", FILES)
    loads(listed, "org/clip")
    passed(store, hub, listed)
    loads(listed, "org/other")
    passed(store, hub, listed)
    assert list(by_name(store, hub)) == ["org/other"] and jobs.jobs(store)[0].in_use == ""
    listed.unlink()
    result = passed(store, hub, listed)
    assert "cannot be read as a list of models" in result.problems[0]
    assert list(by_name(store, hub)) == ["org/other"]


def test_the_scope_of_fine_tunes_reads_what_was_made_from_them_and_their_bases(
    store: Store, hub: LoopbackHub, listed: Path
) -> None:
    hub.add_repo("org/mine", FILES, tags=["base_model:up/base", "base_model:finetune:up/base"])
    hub.add_repo("a/child", FILES, tags=["base_model:org/mine"], last_modified=later(-60))
    hub.add_repo("b/sibling", FILES, tags=["base_model:up/base"], last_modified=later(-60))
    hub.add_repo("c/clip", FILES, tags=["clip"], last_modified=later(-60))
    loads(listed, "org/mine")
    passed(store, hub, listed, "fine-tunes")
    assert {job.ref.repo_id for job in jobs.jobs(store)} == {"org/mine", "a/child", "b/sibling"}


def test_the_hubs_own_scan_is_kept_and_never_called_safe(
    store: Store, hub: LoopbackHub, listed: Path
) -> None:
    hub.add_repo("org/clip", FILES)
    issue = {"path": "x\x1b[31m.bin", "level": "unsafe"}
    hub.change("org/clip", scan={"scansDone": False, "filesWithIssues": [issue, 7]})
    loads(listed, "org/clip")
    passed(store, hub, listed)
    (job,) = jobs.jobs(store)
    scan = jobs.scan_of(store, job.ref)
    assert scan == HubScan(False, (("x\x1b[31m.bin", "unsafe"),), 1)
    assert "not scanned does not mean safe; issues in" in scan_text(scan)
    hub.change("org/clip", scan={})
    passed(store, hub, listed)
    assert jobs.scan_of(store, job.ref) is None
    assert "does not mean safe" in scan_text(None)
    assert "not for backdoors" in scan_text(HubScan(True))
