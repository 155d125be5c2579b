"""Kill the process at every point where something has just become durable; nothing may be lost or done twice.

Each crash point is struck once by a process that does real work (poll, fetch, inspect, audit, save, send) with the
audit double of `queue_kit`; a second process then works on, and the rules of `assert_sound` must hold. Both read what
they fetched in their own process; the limited child that reads it otherwise is in `test_five_kills_at_random_moments`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from killing import Rig, Told, broken_deliveries, told_by
from queue_kit import checkpoint, work_for
from scanner_programs import picklescan_answer, printing

from dife_scanner import checkpoints
from dife_scanner.alerts import deliver
from dife_scanner.alerts.calendar import after
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.operations import note
from dife_scanner.durable.clock import later, now
from dife_scanner.durable.crash import CRASH_POINTS
from dife_scanner.errors import AlertFailed, DiskFull
from dife_scanner.hub.session import prepare
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.queue import batch, failures
from dife_scanner.queue.lease import worker_name
from dife_scanner.queue.poller import poll_pass, serve_requests
from dife_scanner.queue.work import Work
from dife_scanner.queue.worker import process, work_loop
from dife_scanner.records import (
    DecisionState,
    DeploymentDecision,
    DeploymentMeasurement,
    DeploymentProfile,
    JobState,
    Qualification,
    Recognition,
    Reference,
    Severity,
    TriageState,
    TrustRecord,
)
from dife_scanner.settings import Opinions
from dife_scanner.store import (
    Store,
    audits,
    decisions,
    deployments,
    evidence,
    findings,
    job_rows,
    jobs,
    leases,
    measurements,
    open_store,
    operations,
    outbox,
    polls,
    qualifications,
    references,
    silences,
    triage,
    trust,
)
from dife_scanner.store import requests as asked

BAD = "org/clip-bad"
ONE_CERTIFICATE = Path(__file__).parents[1] / "assets" / "certificate-one.pem"
"""Each process would load all those of the system, for a hub that has none."""
prepare(Path("unused"))
OPEN = [state for state in JobState if not state.is_final]
APPROVED = DeploymentDecision(
    *("0" * 64, "art1:" + "0" * 64, "shop", "0" * 64),
    *(DecisionState.APPROVED, "looked at", "ada", "ada", now(), "org/clip"),
)


class FileChannel:
    """A channel that writes down what it took."""

    name = "file"
    takes_pictures = False

    def __init__(self, home: Path, *, works: bool = True) -> None:
        self._path = home.parent / "sent"
        self._works = works

    def send(self, message: Message) -> None:
        if not self._works:
            raise AlertFailed("nobody there", "try again", 0.001)
        with self._path.open("a") as file:
            file.write(message.key + "\n")


# --- what the processes do --------------------------------------------------------------------------------------


def watch_once(work: Work) -> None:
    """What a watcher's children do, in one process: a pass, what windows asked for, every job, every alert."""
    with open_store(work.home) as store:
        polls.beat(store, "crash test", os.getpid(), "")
        serve_requests(store, work)
        poll_pass(store, work)
        work_loop(work, threading.Event(), until_idle=True)
        while jobs.jobs(store, states=OPEN):
            time.sleep(0.02)
            work_loop(work, threading.Event(), until_idle=True)
        deliver(store, [FileChannel(work.home)], now())


def _first_job(store: Store, work: Work) -> int:
    poll_pass(store, work)
    return jobs.jobs(store)[0].id


def _direct(work: Work) -> None:
    with open_store(work.home) as store:
        process(store, jobs.job(store, _first_job(store, work)), work)


def _stopped(work: Work) -> None:
    stop = threading.Event()
    stop.set()
    with open_store(work.home) as store:
        process(store, jobs.job(store, _first_job(store, work)), work, stop=stop)


def _full_disk(work: Work) -> None:
    def full(*args: object) -> None:
        raise DiskFull("the disk is full")

    checkpoints.fetch, before = full, checkpoints.fetch  # type: ignore[assignment]
    failures.PAUSE_SECONDS = 0.1
    try:
        _direct(work)
    finally:
        checkpoints.fetch = before


def _lost_worker(work: Work) -> None:
    with open_store(work.home) as store:
        _first_job(store, work)
        leases.claim(store, "somewhere:1:1.00", -1)
        leases.requeue_lost(store)


def _rechecked(work: Work) -> None:
    """It ended as gated, and is due to be looked at again."""
    after_a_week = job_rows.RECHECK_SECONDS
    with open_store(work.home) as store:
        job, worker = _first_job(store, work), worker_name()
        leases.claim_job(store, job, worker, 60.0)
        job_rows.RECHECK_SECONDS = -1.0
        leases.finish(store, job, worker, JobState.GATED, "its author wants to know who you are")
        job_rows.RECHECK_SECONDS = after_a_week
        leases.queue_rechecks(store)


def _ahead(work: Work) -> None:
    """Fetched ahead by one process, and audited by the next."""
    with open_store(work.home) as store:
        _first_job(store, work)
        job = leases.claim_ahead(store, worker_name("fetcher"), 60.0, 0)
        assert job is not None
        process(store, job, work, worker=job.worker or "", ahead=True)
    watch_once(work)


def _by_hand(work: Work) -> None:
    """Everything that windows and commands write, after a run that left something to write about."""
    watch_once(work)
    with open_store(work.home) as store:
        (found,) = findings.findings(store)
        job = jobs.jobs(store)[0]
        triage.decide(
            store, TriageState.CONFIRMED, triage.seen(store, [found.fingerprint]), actor="ada"
        )
        jobs.requeue(store, job.id)
        jobs.cancel(store, job.id)
        jobs.requeue(store, job.id)
        references.add(store, Reference("base", "/r", "i", "t", "w", "V", now()))
        references.remove(store, "base")
        trust.keep(store, TrustRecord("org/base", "a" * 40, (), ""))
        deployments.add(
            store, DeploymentProfile("shop", ("text reranking",), queries=("x",)), "ada"
        )
        measurements.keep(
            store, DeploymentMeasurement("a", "shop", 1, "p", Severity.WEAK, (), now(), 0.0)
        )
        decisions.append(store, [APPROVED])
        known = Recognition({"cat": 1.0})
        qualifications.keep(store, Qualification("i", "t", "p", "v", known, 1, 1, 0.0))
        asked.take(store, asked.request_scan(store, "org/none"))


def _alerts(work: Work) -> None:
    """A channel that fails, one given up on, and one revived by hand."""
    with open_store(work.home) as store:
        poll_pass(store, work)
        work_loop(work, threading.Event(), until_idle=True)
        deliver(store, [FileChannel(work.home, works=False)], now())
        (alert,) = outbox.alerts(store)
        outbox.dead(store, alert.id, "given up")
        outbox.revive(store)
        note(store, work.settings, ["file"], after(now(), 86_400.0), 0.0)
        operations.note_told(store, now())
        polls.forget(store, now())
        outbox.forget_news(store, now())
        silences.add(store, "repo:org/none", until=later(60), reason="a test", actor="ada")


def _batch(work: Work) -> None:
    """One pass whose scores were searched, corrected together at its end."""
    watch_once(work)
    with open_store(work.home) as store:
        batch.correct(store)


def _with_a_scanner(work: Work) -> None:
    path = printing(work.home.parent / "bin", "picklescan", picklescan_answer())
    chosen = work.settings.model_copy(update={"opinions": Opinions(picklescan=str(path))})
    watch_once(replace(work, settings=chosen))


def _models_in_use(work: Work) -> None:
    """A watch-list, then another, of a model that is pinned and known."""
    path = work.home.parent / "in-use.txt"
    watch_once(work)
    with open_store(work.home) as store:
        ref = jobs.jobs(store)[0].ref
        for text in ("org/none", f"{ref.repo_id}@{ref.revision}"):
            path.write_text(text)
            watch = work.settings.watch.model_copy(update={"list": (path,)})
            settings = work.settings.model_copy(update={"watch": watch})
            poll_pass(store, replace(work, settings=settings))


SCENARIOS: dict[str, Callable[[Work], None]] = {
    "jobs.claim_job": _direct,
    "jobs.claim_ahead": _ahead,
    "jobs.release": _stopped,
    "jobs.pause": _full_disk,
    "jobs.requeue_lost": _lost_worker,
    "jobs.requeue": _by_hand,
    "jobs.recheck": _rechecked,
    "jobs.cancel": _by_hand,
    "jobs.mark_in_use": _models_in_use,
    "watchlist.replace_all": _models_in_use,
    "watchlist.keep": _models_in_use,
    "batch.settle": _batch,
    "opinions.keep": _with_a_scanner,
    "findings.triage": _by_hand,
    "references.add": _by_hand,
    "references.remove": _by_hand,
    "trust.keep": _by_hand,
    "deployments.keep": _by_hand,
    "measurements.keep": _by_hand,
    "decisions.keep": _by_hand,
    "qualifications.keep": _by_hand,
    "requests.add": _by_hand,
    "requests.take": _by_hand,
    "outbox.failed": _alerts,
    "outbox.dead": _alerts,
    "outbox.news": _alerts,
    "outbox.pause": _alerts,
    "operations.told": _alerts,
    "outbox.revive": _alerts,
    "outbox.forget_news": _alerts,
    "polls.forget": _alerts,
    "silences.keep": _alerts,
}
"""The others are passed by `watch_once`."""
IN_THE_AUDIT = ("discovery.kept", "inversion.kept", "readings.kept")
"""Passed by a real audit alone: `test_a_killed_search.py`, `test_discovery_readings.py`."""


def forked(action: Callable[[], None], **environment: str) -> int:
    """Run `action` in a fork of this process (its imports are paid for); the exit code, negative for a signal."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.environ.update(environment)
            action()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


# --- the rules --------------------------------------------------------------------------------------------------


def assert_sound(home: Path, expected: dict[str, JobState]) -> None:
    with open_store(home) as store:
        assert store.integrity() == []
        found = {job.ref.repo_id: job for job in jobs.jobs(store)}
        assert {name: job.state for name, job in found.items()} == expected
        assert len(jobs.jobs(store)) == len(expected)
        rows = audits.audits(store)
        assert len({row.identity for row in rows}) == len(rows)
        for row in rows:
            whole = audits.audit(store, row.id)
            assert all(evidence.verify(home, file.sha256) for file in whole.evidence)
        for job in found.values():
            assert job.state is not JobState.DONE or job.audit_id in {row.id for row in rows}
            final = [event for event in jobs.events(store, job.id) if event.state.is_final]
            assert len(final) >= 1 and final[-1].state is job.state
        about = [alert.state for alert in outbox.alerts(store) if alert.fingerprint]
        assert about == ["sent"] * len(findings.findings(store))
        sent = set((home.parent / "sent").read_text().split("\n"))
        assert len(sent) >= len(outbox.alerts(store))
    assert not list((home / "work").glob("[0-9]*"))
    assert not list((home / "evidence").rglob("*.json.*"))


@pytest.fixture(scope="module", autouse=True)
def paid_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One job in this process: what it loads and builds, every fork has without doing it anew."""
    folder = tmp_path_factory.mktemp("once")
    with LoopbackHub(folder / "hub") as hub:
        hub.add_repo(BAD, checkpoint(), last_modified=later(-60))
        watch_once(work_for(folder / "home", hub.endpoint, channels=("file",), start="fork"))


@pytest.fixture
def busy_hub(hub: LoopbackHub) -> Iterator[LoopbackHub]:
    hub.add_repo(BAD, checkpoint(), last_modified=later(-60))
    yield hub


@pytest.mark.parametrize("point", [point for point in CRASH_POINTS if point not in IN_THE_AUDIT])
def test_a_kill_at_every_point(
    point: str, home: Path, busy_hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {BAD: JobState.CANCELLED if point == "jobs.cancel" else JobState.DONE}
    monkeypatch.setattr(failures, "FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setenv("SSL_CERT_FILE", str(ONE_CERTIFICATE))
    seconds, lease = "0", 60.0
    if point == "jobs.retry_later":
        busy_hub.inject(faults.corrupt("/repos/lfs/", times=2))  # the header is read first
    if point == "jobs.record_death":
        busy_hub.add_repo("org/clip-dies", checkpoint(2), last_modified=later(-50))
        expected["org/clip-dies"] = JobState.QUARANTINED
    if point == "jobs.heartbeat":
        seconds, lease = "0.5", 0.8
    work = work_for(home, busy_hub.endpoint, channels=("file",), start="fork", lease_seconds=lease)
    mark = home.parent / "mark"
    scenario = SCENARIOS.get(point, watch_once)
    code = forked(
        lambda: scenario(work),
        DIFE_CRASH_AT=point,
        DIFE_CRASH_MARK=str(mark),
        DIFE_TEST_AUDIT_SECONDS=seconds,
    )
    assert mark.exists(), f"{point} was never passed"
    in_audit_child = point == "child.outcome"
    assert code == (0 if in_audit_child else -signal.SIGKILL)
    if point in ("outbox.failed", "outbox.dead"):
        with open_store(home) as store:
            assert outbox.revive(store) == 1
    assert forked(lambda: watch_once(work)) == 0
    assert_sound(home, expected)


def test_each_alert_is_in_one_message_or_told_again_only_after_a_kill() -> None:
    alerts = [f"fp1:{number:016x}" for number in range(4)]
    several = [Told(frozenset(alerts[:1]), 1), Told(frozenset(alerts[1:3]), 3)]
    assert broken_deliveries(alerts, several, 0) == []  # one is counted and not named
    assert (
        "1 alerts arrived in no"
        in broken_deliveries(alerts, [*several[:1], Told(frozenset(alerts[1:3]), 2)], 0)[0]
    )
    assert "told again, after 0 kills" in broken_deliveries(alerts, [*several, several[0]], 0)[0]
    assert broken_deliveries(alerts, [*several, several[0]], 1) == []
    assert "stand for 5 alerts" in broken_deliveries(alerts, [*several, Told(frozenset(), 1)], 0)[0]


def test_a_message_of_several_alerts_says_how_many() -> None:
    payload = {"text": "[DIFE] 55 findings", "blocks": [{"text": "`fp1:0123456789abcdef`"}]}
    assert told_by(json.dumps(payload)) == Told(frozenset(["fp1:0123456789abcdef"]), 55)
    assert told_by(json.dumps({**payload, "text": "Flagged: a"})).alerts == 1


def test_five_kills_at_random_moments(tmp_path: Path) -> None:
    rng, wanted = random.Random(11), ("audit child", "worker", "watcher", "alert sender")
    with Rig(tmp_path / "rig") as rig:
        rig.add_models(4)
        for number, kind in enumerate((*wanted, "")):
            time.sleep(rng.uniform(0.0, 0.5))
            rig.kill_one(rng, kind)
            rig.add_models(1, start=4 + number)
        assert rig.finish() == 0
        assert rig.broken_rules() == []
        assert all(rig.killed[kind] for kind in wanted)
