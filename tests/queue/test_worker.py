"""One job through the real path, with real processes, against the loopback hub."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from queue_kit import (
    CONFIG,
    EMPTY_ZIP,
    WEIGHTS,
    audit_record,
    checkpoint,
    checkpoint_folder,
    finding_of,
    work_for,
)
from waiting import BUSY_SECONDS

from dife_scanner.app import rerun
from dife_scanner.app.references import add_reference
from dife_scanner.confinement.fork_server import ForkServer
from dife_scanner.discovery import readings
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import DiskFull, StoreBusy, UnusableEnvironment
from dife_scanner.hub.session import tools
from dife_scanner.lab.loopback import Announced, LoopbackHub, faults
from dife_scanner.models import sandbox
from dife_scanner.progress import SILENT, Progress, Step
from dife_scanner.queue import child, cleanup, targets, worker
from dife_scanner.queue.lease import gone, worker_name
from dife_scanner.queue.poller import poll_pass, serve_requests
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import (
    Hypothesis,
    InCleanReference,
    Job,
    JobState,
    ModelRef,
    Reference,
    Trigger,
    TriggerFile,
    TriggerKind,
    Verdict,
)
from dife_scanner.store import (
    Patience,
    Store,
    audits,
    evidence,
    findings,
    jobs,
    leases,
    models,
    open_store,
    outbox,
    polls,
    requests,
)
from dife_scanner.store import references as kept_references


def asked(store: Store, work: Work, target: str) -> Job:
    settings = work.settings
    return targets.enqueue(
        store, target, settings.limits, lambda: hub_for(settings, settings.endpoint)
    )


def work_folders(store: Store, job: Job) -> list[Path]:
    return list((store.home / "work").glob(f"{job.id}*"))


def scanned(store: Store, hub: LoopbackHub, target: str, **changes: Any) -> Job:
    """Queued and done in one go."""
    work = work_for(store.home, hub.endpoint, **changes)
    return worker.run_to_end(store, asked(store, work, target), work)


# --- to a verdict ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("limited_child")
def test_a_repository_ends_done_with_audit_evidence_finding_and_alert(
    store: Store, hub: LoopbackHub
) -> None:
    sha = hub.add_repo("org/clip-bad", checkpoint())
    steps: list[Step] = []
    work = work_for(store.home, hub.endpoint, channels=("email", "slack"))
    job = asked(store, work, "org/clip-bad")
    job = worker.run_to_end(store, job, work, Progress(steps.append))
    assert (job.state, job.ref.revision) == (JobState.DONE, sha)
    (row,) = models.model_rows(store, filter="verdict:flagged state:done")
    audit = audits.audit(store, job.audit_id or "")
    assert evidence.read(store.home, audit.evidence[0].sha256).startswith(b"picture of")
    assert findings.finding(store, row.finding or "").audit_id == audit.id
    assert sorted(alert.channel for alert in outbox.pending(store, now())) == ["email", "slack"]
    assert [event.state.value for event in jobs.events(store, job.id)] == [
        "queued",
        "downloading",
        "auditing",
        "done",
    ]
    phases = list(dict.fromkeys(step.phase for step in steps))
    assert phases == ["looking", "downloading", "checking", "auditing"]
    assert not work_folders(store, job)
    assert not list((store.home / "cache" / "hub").rglob("*.safetensors"))
    assert row.layout == "open_clip"


def test_a_local_folder_takes_the_same_path(store: Store, hub: LoopbackHub, tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path / "fine")
    job = scanned(store, hub, str(folder))
    assert (job.state, job.endpoint, job.ref.local) == (JobState.DONE, "", True)
    renamed = checkpoint_folder(tmp_path / "renamed", seed=3)
    (renamed / WEIGHTS).rename(renamed / "mine.safetensors")
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in (CONFIG, "mine.safetensors"):
        (linked / name).symlink_to(renamed / name)
    assert scanned(store, hub, str(linked / "mine.safetensors")).state is JobState.DONE
    assert not hub.seen()


def test_the_same_weights_elsewhere_are_not_audited_again_but_are_a_finding_there(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip-bad", checkpoint())
    hub.add_repo("copycat/clip-dies", checkpoint())
    first = scanned(store, hub, "org/clip-bad", channels=("email",))
    second = scanned(store, hub, "copycat/clip-dies", channels=("email",))
    assert second.audit_id == first.audit_id
    assert second.reason.startswith(f"same identity as audit {first.audit_id}: the hub announces")
    assert JobState.AUDITING not in [event.state for event in jobs.events(store, second.id)]
    assert {f.ref.repo_id for f in findings.findings(store)} == {
        "org/clip-bad",
        "copycat/clip-dies",
    }
    assert len(outbox.pending(store, now())) == 2
    again = scanned(store, hub, "org/clip-bad", channels=("email",))
    assert (
        again.id == first.id and again.state is JobState.DONE and again.audit_id == first.audit_id
    )
    assert len(outbox.pending(store, now())) == 2


ENDED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from dife_scanner.confinement import fork_server
from dife_scanner.models import sandbox
sandbox.main = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
fork_server.serve(*sys.argv[2:])
"""


# --- to a state with a reason ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "limits", "state", "reason"),
    [
        ("clip-bug", {}, JobState.FAILED, "division by zero"),
        ("clip-nan", {}, JobState.FAILED, "not finite; do not use it"),
        (
            "clip-small",
            {},
            JobState.FAILED,
            "five pictures of twenty [card: caption retrieval] [pool: mine]; give more pictures",
        ),
        ("clip-dies", {}, JobState.QUARANTINED, "SIGKILL"),
        ("clip-greedy", {}, JobState.LIMIT_EXCEEDED, "out of memory: [enforce fail"),
        ("clip-gone", {}, JobState.QUARANTINED, "is gone: CUDA error: unspecified launch failure"),
        ("clip-without-gpu", {}, JobState.PAUSED, "the device 'cuda:99' cannot be used"),
        ("clip-sleeps", {"audit_seconds": 0.25}, JobState.LIMIT_EXCEEDED, "0.5 seconds"),
        ("clip-hogs", {"audit_rss_mib": 250}, JobState.LIMIT_EXCEEDED, "250 MiB"),
    ],
)
def test_what_happens_in_the_audit_child(
    store: Store,
    hub: LoopbackHub,
    caplog: pytest.LogCaptureFixture,
    name: str,
    limits: dict[str, Any],
    state: JobState,
    reason: str,
) -> None:
    hub.add_repo(f"org/{name}", checkpoint())
    job = scanned(store, hub, f"org/{name}", limits=limits)
    assert job.state is state and reason in job.reason
    assert job.deaths == (2 if state is JobState.QUARANTINED else 0)
    assert ("Traceback" in caplog.text) is (name == "clip-bug")  # an error of ours is no bug
    assert audits.audits(store) == []


@pytest.mark.usefixtures("limited_child")
@pytest.mark.parametrize(("times", "state"), [(1, JobState.DONE), (2, JobState.QUARANTINED)])
def test_a_parser_that_somebody_ends_is_tried_once_more(
    store: Store,
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    state: JobState,
) -> None:
    """What ended it is not known to be the checkpoint's doing, so that alone never ends a job as failed."""
    hub.add_repo("org/clip", checkpoint())
    ended = ForkServer("dife_scanner.models.sandbox:main", sandbox.environment(), program=ENDED)
    servers = [ended] * times
    real = sandbox._server()
    monkeypatch.setattr(sandbox, "_server", lambda: servers.pop() if servers else real)
    try:
        job = scanned(store, hub, "org/clip")
    finally:
        ended.close()
    assert (job.state, job.deaths) == (state, times), job.reason
    if state is JobState.QUARANTINED:
        assert "ended from outside" in job.reason


@pytest.mark.usefixtures("limited_child")
def test_what_a_repository_can_be(store: Store, hub: LoopbackHub) -> None:
    files = checkpoint()
    hub.add_repo("org/pickle", {CONFIG: files[CONFIG], "open_clip_pytorch_model.bin": b"x" * 100})
    hub.add_repo("org/gated", files, gated="manual")
    hub.add_repo("org/huge", {CONFIG: files[CONFIG], WEIGHTS: Announced(10**12)})
    hub.add_repo(
        "org/odd",
        {
            CONFIG: files[CONFIG].replace(b'"layers": 1', b'"layers": 1000000'),
            WEIGHTS: files[WEIGHTS],
        },
    )
    hub.add_repo("org/extra", {CONFIG: files[CONFIG], WEIGHTS: files[WEIGHTS] + EMPTY_ZIP})
    states = {
        name: scanned(store, hub, f"org/{name}").state
        for name in ("pickle", "gated", "huge", "odd", "extra")
    }
    assert states == {
        "pickle": JobState.FAILED,
        "gated": JobState.GATED,
        "huge": JobState.LIMIT_EXCEEDED,
        "odd": JobState.UNSUPPORTED,
        "extra": JobState.REFUSED,
    }
    (refused,) = findings.findings(store, filter="kind:refused")
    assert refused.ref.repo_id == "org/extra" and refused.severity == "refused"


ON_THE_WAY = {
    "another byte": (faults.corrupt("/repos/lfs/", times=None), "arrived with the hash"),
    "too short": (faults.shorten("/repos/lfs/", 1000, times=None), "ended after 1000 of"),
    "cut off": (faults.truncate("/repos/lfs/", 1000, times=None), "broke during"),
    "a small file": (faults.corrupt("/api/resolve-cache/", times=None), "arrived with the hash"),
    "packed": (
        faults.packed("/api/resolve-cache/", "br", times=None),
        "compressed as br, which was not requested",
    ),
    "a login": (faults.page("/api/resolve-cache/", times=None), "sent a web page instead of"),
    "a filter": (faults.page("GET /api/models/", 403, times=None), "answered 403 with a web page"),
}


@pytest.mark.parametrize("what", ON_THE_WAY)
def test_what_a_network_did_is_named_and_tried_again_and_never_a_finding(
    what: str, store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.queue.failures.MOST_RETRIES", 2)
    fault, words = ON_THE_WAY[what]
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip")
    monkeypatch.setattr("dife_scanner.hub.wire._backoff", lambda failures: 0.0)
    hub.inject(fault)
    for _ in range(2):
        job = worker.process(store, job, work)
        assert job.state is JobState.RETRY_WAIT and words in job.reason
    job = worker.process(store, job, work)
    assert job.state is JobState.FAILED and "unavailable, given up after 3 tries" in job.reason
    assert findings.findings(store) == []


def test_a_file_packed_by_a_proxy_is_audited_like_any_other(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip", checkpoint())
    hub.inject(faults.packed("/api/resolve-cache/", times=None))
    hub.inject(faults.packed("/repos/lfs/", times=None))
    assert scanned(store, hub, "org/clip").state is JobState.DONE


def test_damage_that_comes_once_is_waited_for(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.queue.failures.FIRST_RETRY_SECONDS", 0.1)
    hub.add_repo("org/clip", checkpoint())
    hub.inject(faults.corrupt("/repos/lfs/"))
    assert scanned(store, hub, "org/clip").state is JobState.DONE


def test_jobs_and_requests_wait_while_the_environment_allows_no_connection(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip")
    requests.request_scan(store, "org/clip")
    tools().close_session()
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:7890")
    for act in (
        lambda: worker.process(store, job, work),
        lambda: worker.work_loop(work, threading.Event(), until_idle=True),
        lambda: serve_requests(store, work),
        lambda: poll_pass(store, work),
    ):
        with pytest.raises(UnusableEnvironment, match="ALL_PROXY"):
            act()
    job = jobs.job(store, job.id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0) and "ALL_PROXY" in job.reason
    monkeypatch.delenv("ALL_PROXY")
    assert serve_requests(store, work) == [] and not requests.waiting(store)
    worker.work_loop(work, threading.Event(), until_idle=True)
    assert jobs.job(store, job.id).state is JobState.DONE


def test_a_repository_that_is_gone_three_times_is_deleted(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip")
    hub.remove("org/clip")
    states = [worker.process(store, job, work).state for _ in range(3)]
    assert states == [JobState.RETRY_WAIT, JobState.RETRY_WAIT, JobState.DELETED]


def test_an_outage_delays_with_growing_pauses_and_ends_in_words(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.queue.failures.MOST_RETRIES", 3)
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint, limits={"request_seconds": 0.2})
    job = asked(store, work, "org/clip")
    hub.inject(faults.rate_limited("GET /api", 300, times=None))
    first = worker.process(store, job, work)
    assert first.state is JobState.RETRY_WAIT and (first.next_check_at or "") > later(290)
    hub.heal()
    held = worker.process(store, job, work)  # the hub's word holds: it is not even asked
    assert (held.next_check_at or "") > later(280)
    for windows in (store.home / "cache").glob("windows-*.json"):
        windows.unlink()
    hub.inject(faults.status("GET /api", 418, times=None))
    second = worker.process(store, job, work)
    assert second.state is JobState.RETRY_WAIT and later(19) < (second.next_check_at or "") < later(
        26
    )
    third = worker.process(store, job, work)
    assert third.state is JobState.FAILED and "given up after 4 tries" in third.reason


def test_a_full_disk_pauses_and_loses_nothing(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip")

    def full(*args: object, **kwargs: object) -> None:
        raise DiskFull("the disk is full", "free some space")

    with monkeypatch.context() as patch:
        patch.setattr("dife_scanner.checkpoints.fetch", full)
        job = worker.process(store, job, work)
    assert (job.state, job.attempts, job.reason) == (JobState.PAUSED, 0, "the disk is full")
    assert worker.process(store, job, work).state is JobState.DONE


def test_a_token_that_is_none_pauses_and_loses_nothing(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/clip-bad", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip-bad")
    monkeypatch.setenv("DIFE_HF_TOKEN", "hf_\xe9")
    job = worker.process(store, job, work)
    assert (job.state, job.attempts) == (JobState.PAUSED, 0)
    assert "hf-token (environment DIFE_HF_TOKEN)" in job.reason
    monkeypatch.delenv("DIFE_HF_TOKEN")
    assert worker.process(store, job, work).state is JobState.DONE


def test_a_run_that_gave_its_job_back_removes_nothing_of_the_next_run(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/clip-bad", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip-bad")
    late: list[Path] = []
    with monkeypatch.context() as patched:
        patched.setattr(worker, "remove_folder", late.append)
        fetched = worker.process(store, job, work, ahead=True)
    assert fetched.state is JobState.QUEUED
    progress = Progress(
        lambda step: worker.remove_folder(late[0]) if step.phase == "looking" else None
    )
    assert worker.process(store, fetched, work, progress).state is JobState.DONE
    assert not work_folders(store, job)


def test_a_database_that_is_held_ends_a_scan_with_words_and_leaves_the_job_to_the_next(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip-bad", checkpoint())
    work = work_for(store.home, hub.endpoint)
    with open_store(store.home, patience=Patience(0.3)) as patient:
        job = asked(patient, work, "org/clip-bad")
        other = sqlite3.connect(store.home / "dife.db", isolation_level=None)
        progress = Progress(
            lambda step: other.execute("BEGIN IMMEDIATE") if step.phase == "checking" else None
        )
        with pytest.raises(StoreBusy, match="held by another program"):
            worker.process(patient, job, work, progress)
        other.close()
        left = jobs.job(patient, job.id)
        assert not left.state.is_final
        assert not work_folders(store, job)
        leases.requeue_lost(patient, gone=lambda name: True)
        assert worker.run_to_end(patient, job, work).state is JobState.DONE


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full(hub: LoopbackHub, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False
    ).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        hub.add_repo("org/clip-bad", checkpoint())
        work = work_for(disk / "home", hub.endpoint, start="fork")
        with open_store(work.home) as store:
            job = worker.run_to_end(store, asked(store, work, "org/clip-bad"), work)
            assert job.state is JobState.PAUSED and ("full" in job.reason or "free" in job.reason)
            assert store.integrity() == [] and audits.audits(store) == []
            subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
            assert worker.process(store, job, work).state is JobState.DONE
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# --- leases ---------------------------------------------------------------------------------------------------


def test_a_cancelled_job_stops_its_audit(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip-sleeps", checkpoint())
    work = work_for(store.home, hub.endpoint, lease_seconds=1.0)
    job = asked(store, work, "org/clip-sleeps")

    def cancel() -> None:
        from dife_scanner.store import open_store

        with open_store(store.home) as own:
            while jobs.job(own, job.id).state is not JobState.AUDITING:
                time.sleep(0.05)
            jobs.cancel(own, job.id)

    thread = threading.Thread(target=cancel)
    thread.start()
    began = time.monotonic()
    job = worker.process(store, job, work)
    thread.join()
    assert job.state is JobState.CANCELLED and time.monotonic() - began < 20


def test_a_worker_that_is_asked_to_stop_gives_its_job_back(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip-sleeps", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip-sleeps")
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    job = worker.process(store, job, work, stop=stop)
    assert (job.state, job.attempts, job.deaths, job.lost_leases) == (JobState.QUEUED, 0, 0, 0)


def test_a_wait_that_a_hub_asks_for_does_not_hold_up_a_worker_that_is_to_stop(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip")
    hub.inject(faults.rate_limited("GET /api", 50, times=None))  # within our patience
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    done = worker.process(store, job, work, stop=stop)
    assert done.state is JobState.QUEUED and "stopped" in done.reason
    assert time.monotonic() - began < BUSY_SECONDS


@pytest.mark.parametrize(
    ("request_", "before"),
    [("GET /api/models/org/clip", 0), ("GET /repos/lfs/", 0), ("GET /repos/lfs/", 1)],
    ids=["looking", "header", "downloading"],
)
def test_a_hub_that_hangs_does_not_hold_up_a_worker_that_is_to_stop(
    request_: str, before: int, store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint, limits={"request_seconds": 3600.0})
    job = asked(store, work, "org/clip")
    hub.requests.clear()
    hub.inject(faults.hang(request_, skip=before, times=None))
    stop = threading.Event()

    def stop_once_it_hangs() -> None:
        while len(hub.seen(request_)) <= before:
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=stop_once_it_hangs, daemon=True).start()
    done = worker.process(store, job, work, stop=stop)
    assert done.state is JobState.QUEUED and "stopped" in done.reason
    assert (done.attempts, done.deaths, done.lost_leases) == (0, 0, 0)
    assert not work_folders(store, job)


def test_a_lease_is_renewed_while_the_audit_runs(
    store: Store, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("org/clip-sleeps", checkpoint())
    work = work_for(store.home, hub.endpoint, lease_seconds=0.8, limits={"audit_seconds": 1.5})
    job = asked(store, work, "org/clip-sleeps")
    assert worker.process(store, job, work).state is JobState.LIMIT_EXCEEDED
    assert jobs.job(store, job.id).lost_leases == 0


def test_a_job_that_another_worker_holds_is_left_alone(store: Store, hub: LoopbackHub) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    job = asked(store, work, "org/clip")
    leases.claim_job(store, job.id, "somebody", 60)
    assert worker.process(store, job, work).worker == "somebody"


def test_a_scan_that_was_killed_does_not_hold_up_the_next_one(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint, start="fork")
    job = asked(store, work, "org/clip")
    host = worker_name().split(":")[0]
    leases.claim_job(store, job.id, f"{host}:{2**22 + 1}:1.00", 3600)
    assert worker.process(store, job, work).state is JobState.DONE


def test_who_is_gone() -> None:
    mine = worker_name()
    host, pid, start = mine.rsplit(":", 2)
    assert not gone(mine)
    assert gone(f"{host}:{pid}:1.00")
    assert gone(f"{host}:{2**22 + 1}:{start}")
    assert not gone(f"elsewhere:{2**22 + 1}:{start}")
    assert not gone("w1")
    child = os.fork()
    if not child:
        signal.pause()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert gone(f"{host}:{child}:{start}")


# --- finding jobs ---------------------------------------------------------------------------------------------


def test_a_pass_records_every_revision_once(store: Store, hub: LoopbackHub) -> None:
    for number in range(3):
        hub.add_repo(f"org/clip{number}", checkpoint(), last_modified=later(-60))
    hub.add_repo("org/clip-onnx", {"model.onnx": b"x"}, last_modified=later(-60))
    work = work_for(store.home, hub.endpoint)
    assert poll_pass(store, work).new == 4
    assert jobs.counts(store) == {"queued": 3, "unsupported": 1}
    assert poll_pass(store, work).new == 0
    sha = hub.commit("org/clip0", checkpoint(5))
    assert poll_pass(store, work).new == 1
    assert jobs.counts(store) == {"queued": 3, "unsupported": 1, "superseded": 1}
    assert jobs.known(store, hub.endpoint)["org/clip0"] == sha
    assert [(p.complete, p.new) for p in polls.passes(store)] == [(True, 1), (True, 0), (True, 4)]


def test_what_a_window_asks_for_is_queued_first(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add_repo("org/clip", checkpoint())
    work = work_for(store.home, hub.endpoint)
    poll_pass(store, work)
    requests.request_scan(store, str(checkpoint_folder(tmp_path / "mine")), actor="window")
    requests.request_scan(store, "org/none")
    (problem,) = serve_requests(store, work)
    assert "org/none" in problem
    first = leases.claim(store, "w", 60)
    assert first is not None and first.ref.local
    assert requests.waiting(store) == []


def test_what_was_found_in_a_reference_is_tried_on_what_is_compared_with_it(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    text = Trigger("found-text-1", TriggerKind.TEXT, text="zq", source="cat", target="dog")
    lost = Trigger(
        "found-patch-1",
        TriggerKind.OVERLAY,
        file=TriggerFile("/nowhere/patch.png", "0" * 64),
        target="dog",
    )
    work = work_for(store.home, hub.endpoint)
    base = add_reference(
        store, work.settings, str(checkpoint_folder(tmp_path / "base")), "base", SILENT
    )
    towers = {"image_tower": base.image_tower, "text_tower": base.text_tower}
    for number, (trigger, verdict, confidence) in enumerate(
        [
            (text, Verdict.FLAGGED, "demonstrated"),
            (text, Verdict.INHERITED, ""),
            (lost, Verdict.FLAGGED, "demonstrated"),
            (replace(text, text="qq"), Verdict.FLAGGED, "anomalous"),
            (replace(text, text="zz"), Verdict.NOTHING_FOUND, ""),
        ]
    ):
        name = f"{number}" * 16
        seen = audit_record(
            ModelRef("o/base", "0" * 40), verdict, id=name, identity=name, trigger=trigger, **towers
        )
        record = audits.keep_record(store, seen)
        with store.atomic("test"):
            audits.insert_audit(store, seen, record)
            if confidence:
                findings.insert_finding(store, finding_of(seen, confidence), None)
    add_reference(
        store, work.settings, str(checkpoint_folder(tmp_path / "other", seed=3)), "other", SILENT
    )
    child_folder = str(checkpoint_folder(tmp_path / "child", seed=2))
    job = scanned(store, hub, child_folder, audit="queue_kit:naming")
    tried, flagged = job.reason.split("; ")
    assert tried == "base-found-text-1:any", (
        "once, without its file it cannot be, and nothing is chosen for it"
    )
    assert flagged == "flagged: base", (
        "what a backdoored reference obeys too may be an attack all the same"
    )


def test_an_audit_is_made_again_with_the_references_that_its_triggers_were_tried_on(
    store: Store,
) -> None:
    for name in ("base", "near", "later"):
        kept_references.add(
            store, Reference(name, f"/{name}", f"i-{name}", "t", "w", "tiny", "2026-01-01")
        )
    base = kept_references.reference(store, "base")
    near = Hypothesis(
        Trigger("t", TriggerKind.PATCH), 1.0, near=(InCleanReference("near", 0.1, 0.9, 0.9),)
    )
    stored = audit_record(ModelRef("o/it", "0" * 40), reference="base", signatures=(near,))
    assert [one.name for one in rerun._known(store, stored, base)] == ["base", "near"]
    assert [one.name for one in rerun._known(store, replace(stored, signatures=()), base)] == [
        "base"
    ]


def test_finished_searches_go_once_their_audit_is_stored(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    job = scanned(store, hub, str(checkpoint_folder(tmp_path / "fine")))
    stored = audits.audit(store, job.audit_id or "")
    kept = store.home / "cache" / "discovery" / "searches"
    kept.mkdir(parents=True)
    names = [f"{stored.identity[:32]}-texts.json", f"{'9' * 32}-texts.json"]
    for name in names:
        (kept / name).write_text("{}")
    cleanup.remove_leftovers(store)
    assert [file.name for file in kept.iterdir()] == names[1:], (
        "an audit that is not stored may have been killed"
    )


def test_what_a_killed_search_had_read_is_kept_for_two_weeks(store: Store) -> None:
    kept = store.home / "cache" / "discovery" / "searches"
    kept.mkdir(parents=True)
    for name, days in (("old", 15), ("new", 13)):
        file = kept / f"{'9' * 32}-{name}{readings.SUFFIX}"
        file.write_bytes(b"")
        os.utime(file, (0, time.time() - days * 24 * 3600))
    cleanup.remove_leftovers(store)
    assert [file.name for file in kept.iterdir()] == [f"{'9' * 32}-new{readings.SUFFIX}"]


# --- the real audit -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("audit_server", "limited_child")
def test_the_real_audit_runs_in_the_child(store: Store, hub: LoopbackHub) -> None:
    """torch, open_clip and `audit.pipeline:run` themselves; without a reference nothing can be compared."""
    hub.add_repo("org/clip", checkpoint(1))
    steps: list[Step] = []
    work = work_for(store.home, hub.endpoint, audit=child.AUDIT, preload=child.PRELOAD)
    job = worker.run_to_end(store, asked(store, work, "org/clip"), work, Progress(steps.append))
    assert job.state is JobState.DONE
    audit = audits.audit(store, job.audit_id or "")
    assert (audit.verdict.value, audit.reference) == ("inconclusive", "")
    assert "unknown base" in job.reason
    assert "loading" in [step.phase for step in steps]

    hub.add_repo("org/nan", checkpoint(float("nan")))
    broken = scanned(store, hub, "org/nan", audit=child.AUDIT, preload=child.PRELOAD)
    assert broken.state is JobState.FAILED and "NaN" in broken.reason
    assert findings.findings(store) == []
