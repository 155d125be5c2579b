"""Jobs done on a real Ray cluster of three nodes on this machine: nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import calling
import pytest
from queue_kit import EMPTY_ZIP, WEIGHTS, checkpoint, checkpoint_folder, work_for
from waiting import BUSY_SECONDS, until

from dife_scanner.app.references import add_reference
from dife_scanner.baselines.home import open_home
from dife_scanner.cluster import driver, ray_cluster, tasks
from dife_scanner.durable.jumps import Jumps
from dife_scanner.errors import ClusterUnavailable, UsageError
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.progress import SILENT
from dife_scanner.queue.child import ChildDied
from dife_scanner.queue.lease import worker_name
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.watch import Event, EventKind, Executor, watch
from dife_scanner.queue.worker import run_to_end
from dife_scanner.records import JobState, ModelRef
from dife_scanner.store import (
    LeaseLost,
    Store,
    audits,
    findings,
    jobs,
    leases,
    open_store,
    polls,
    references,
)
from dife_scanner.store.codec import to_json

ray_kit = pytest.importorskip("ray_kit", reason="needs the extra `ray`")
pytest.importorskip("ray")

from ray_kit import WORK, Nodes, all_ended, driver_work  # noqa: E402

from dife_scanner.cluster.ray_driver import ROLE, Driver, Flight  # noqa: E402

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(240)]
ENDED_BY = 120.0


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    """Four models: flagged, undecided, refused, and others."""
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as hub:
        for seed, name in enumerate(("a", "bad-b", "torn-c", "evil-d")):
            files = checkpoint(seed + 1)
            if "evil" in name:
                files[WEIGHTS] += EMPTY_ZIP
            hub.add_repo(f"lab{seed}/clip-{name}", files, tags=["clip"])
        yield hub


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, zoo: LoopbackHub) -> Iterator[Nodes]:
    made = Nodes(tmp_path_factory.mktemp("nodes"), zoo.endpoint)
    yield made
    made.close()


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """With the bundled bases in it, as in the homes of the nodes."""
    with open_home(work_for(home).settings) as opened:
        yield opened


def _turns(driver_: Driver, until: Callable[[], bool]) -> None:
    end = time.monotonic() + ENDED_BY
    with driver_.schedule():
        while not until():
            assert time.monotonic() < end, "the cluster did not get there"
            driver_.turn()


def _seen(store: Store) -> dict[str, tuple[object, ...]]:
    """What is known of each repository, without what differs from run to run."""
    told = {one.ref.repo_id: one.fingerprint for one in findings.findings(store)}
    seen: dict[str, tuple[object, ...]] = {}
    for job in jobs.jobs(store):
        audit = audits.audit(store, job.audit_id) if job.audit_id else None
        made = (audit.verdict, audit.identity) if audit else ()
        seen[job.ref.repo_id] = (job.state, *made, told.get(job.ref.repo_id))
    return seen


def _alone(zoo: LoopbackHub, home: Path) -> dict[str, tuple[object, ...]]:
    """The same zoo, audited on this machine."""
    work = work_for(home, zoo.endpoint)
    with open_home(work.settings) as store:
        poll_pass(store, work)
        for job in jobs.jobs(store):
            run_to_end(store, job, work)
        return _seen(store)


def _held(store: Store) -> int:
    return sum(bool(job.worker) for job in jobs.jobs(store))


def _audits_on(home: Path) -> bool:
    """Whether a node audits at this moment."""
    with open_store(home, read_only=True) as there:
        return _held(there) > 0


def _each_once(store: Store) -> None:
    identities = Counter(row.identity for row in audits.audits(store))
    assert set(identities.values()) == {1}
    ends = Counter(
        job_id for _, job_id, event in jobs.events_after(store, 0) if event.state.is_final
    )
    assert set(ends.values()) == {1}
    assert not list((store.home / "work").iterdir())


def test_a_node_is_killed_and_a_driver_too_and_each_job_ends_once_as_it_does_here(
    store: Store, zoo: LoopbackHub, nodes: Nodes, tmp_path: Path
) -> None:
    work = driver_work(store.home, zoo.endpoint, nodes.address)
    poll_pass(store, work)
    given = (str(store.home), zoo.endpoint, nodes.address)
    program = [sys.executable, str(ray_kit.HERE), *given]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ray_kit.ROOT), *sys.path))}
    first = subprocess.Popen(program, env=path)
    end = time.monotonic() + ENDED_BY
    while _held(store) < 2:
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    held = _held(store)
    assert held >= 2

    with ray_cluster.Cluster(work.settings.cluster, WORK) as cluster:
        second = Driver(store, work, cluster)
        second.turn()  # takes up what the first one held; a node may still be at work on it
        _turns(second, lambda: _audits_on(nodes.homes[0]))
        assert sum(job.lost_leases for job in jobs.jobs(store)) >= held  # of the first driver
        lost_before = sum(job.lost_leases for job in jobs.jobs(store))
        nodes.kill(0)
        _turns(second, lambda: all_ended(store))
    assert sum(job.lost_leases for job in jobs.jobs(store)) == lost_before + 1
    _each_once(store)
    assert _seen(store) == _alone(zoo, tmp_path / "here" / "home")
    for home in nodes.homes:
        processes = (home.parent / ray_kit.PROCESSES).read_text().split()
        assert len(processes) > 1 and len(set(processes)) == len(processes), "one for each task"


def test_a_task_that_ran_twice_is_committed_once(
    store: Store, zoo: LoopbackHub, nodes: Nodes
) -> None:
    work = driver_work(store.home, zoo.endpoint, nodes.address)
    poll_pass(store, work)
    made = driver.claim_task(store, work, worker_name("ray-1"), 60.0)
    assert made is not None
    _, task = made
    with ray_cluster.Cluster(work.settings.cluster, WORK) as cluster:
        both = [cluster.send(to_json(task), ()) for _ in range(2)]
        end = time.monotonic() + ENDED_BY
        while len(cluster.ended(both, 1.0)) < 2:
            assert time.monotonic() < end
        answers = [cluster.answer(one) for one in both]
        sending = Driver(store, work, cluster)
        done = sending.deliver(task, answers[0])
        assert done.state.is_final
        number, seen = jobs.last_event(store), _seen(store)
        for answer in answers:
            with pytest.raises(LeaseLost):
                sending.deliver(task, answer)
    assert (jobs.last_event(store), _seen(store)) == (number, seen)
    assert not list((store.home / "work").iterdir())


@pytest.mark.slow
def test_nodes_that_lack_the_reference_or_have_another_version_say_so_and_get_nothing(
    store: Store,
    zoo: LoopbackHub,
    nodes: Nodes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = driver_work(store.home, zoo.endpoint, nodes.address)
    poll_pass(store, work)
    with ray_cluster.Cluster(work.settings.cluster, WORK) as cluster:
        with monkeypatch.context() as patched, pytest.raises(ClusterUnavailable) as other:
            patched.setattr(tasks, "AUDIT_VERSION", "dife-0")
            _turns(Driver(store, work, cluster), lambda: False)
        assert "no node of the cluster can audit" in other.value.what
        assert "the task is of audit version dife-0" in other.value.what
        mine = str(checkpoint_folder(tmp_path / "mine"))
        add_reference(store, work.settings, mine, "mine", SILENT)
        with pytest.raises(ClusterUnavailable) as lacking:
            _turns(Driver(store, work, cluster), lambda: False)
        assert "does not have the reference mine" in lacking.value.what
        assert all(not job.worker and not job.lost_leases for job in jobs.jobs(store))

        with open_store(nodes.homes[1]) as one_of_them:
            add_reference(one_of_them, work.settings, mine, "mine", SILENT)
        sending = Driver(store, work, cluster)
        _turns(sending, lambda: bool(sending._unfit) and bool(sending._flights))
        assert len(sending._flights) == 1  # the others are left out
        _turns(sending, lambda: "on 1 of 2 nodes" in polls.beats(store)[0].note)
        assert "does not have the reference mine" in polls.beats(store)[0].note
        sending.run(threading.Event(), until=lambda: True)
    assert not _held(store)  # it stopped, and gave its job back
    with open_store(nodes.homes[1]) as one_of_them:
        references.remove(one_of_them, "mine")


@contextlib.contextmanager
def _wrong(nodes: Nodes, how: str) -> Iterator[None]:
    """Something is wrong with every node, as `ray_kit.node_work` does it."""
    flags = [home.parent / how for home in nodes.homes]
    for flag in flags:
        flag.touch()
    yield
    for flag in flags:
        flag.unlink()


@pytest.mark.slow
def test_a_process_that_dies_is_tried_once_more_and_then_quarantined_and_a_full_disk_waits(
    store: Store, zoo: LoopbackHub, nodes: Nodes
) -> None:
    work = driver_work(store.home, zoo.endpoint, nodes.address)
    poll_pass(store, work)
    with ray_cluster.Cluster(work.settings.cluster, WORK) as cluster:
        sending = Driver(store, work, cluster)
        sending._tend_nodes()
        _turns(sending, lambda: not sending._looks)
        with _wrong(nodes, "full"):
            _turns(sending, lambda: bool(jobs.jobs(store, states=(JobState.PAUSED,))))
        (paused, *_) = jobs.jobs(store, states=(JobState.PAUSED,))
        assert "is full" in paused.reason and not (paused.deaths or paused.attempts)
        with _wrong(nodes, "kills"):
            _turns(sending, lambda: bool(jobs.jobs(store, states=(JobState.QUARANTINED,))))
        sending.run(threading.Event(), until=lambda: True)
    (ended, *_) = jobs.jobs(store, states=(JobState.QUARANTINED,))
    assert ended.deaths == 2 and "another machine died" in ended.reason
    assert not _held(store)


@pytest.mark.slow
def test_what_memory_ran_out_for_is_sent_once_more_and_then_quarantined(
    store: Store, zoo: LoopbackHub, nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own retries for want of memory have no end unless they are off."""
    work = driver_work(store.home, zoo.endpoint, nodes.address)
    poll_pass(store, work)
    starved = nodes.start_without_memory(tmp_path / "starved")
    sent: list[str] = []
    try:
        with ray_cluster.Cluster(work.settings.cluster, WORK) as cluster:
            sending = Driver(store, work, cluster)
            sending._names = cluster.nodes()
            sending._fit = {starved.node_id}
            monkeypatch.setattr(sending, "_tend_nodes", lambda: None)  # its look would be ended too
            send = cluster.send
            monkeypatch.setattr(
                cluster, "send", lambda task, no: sent.append(task) or send(task, no)
            )
            _turns(sending, lambda: bool(jobs.jobs(store, states=(JobState.QUARANTINED,))))
            sending.run(threading.Event(), until=lambda: True)
    finally:
        nodes.remove(starved)
    (ended, *_) = jobs.jobs(store, states=(JobState.QUARANTINED,))
    assert ended.deaths == 2 and "no memory left" in ended.reason
    assert sum(f'"job_id":{ended.id},' in task for task in sent) == 2
    assert ended.lost_leases == 0 and not _held(store)


def _cards(nodes: Nodes) -> list[str]:
    """What each of the three nodes noted of the cards that its tasks were given."""
    noted = []
    for home in nodes.homes:
        file = home.parent / ray_kit.CARDS
        noted.append(file.read_text() if file.exists() else "")
    return noted


@pytest.mark.slow
def test_audits_that_need_a_card_and_memory_go_where_both_are_one_at_a_time(
    store: Store, zoo: LoopbackHub, nodes: Nodes, tmp_path: Path
) -> None:
    """Where the cluster has a graphics card, each audit gets one to itself."""
    work = driver_work(store.home, zoo.endpoint, nodes.address, memory_mib=300)
    poll_pass(store, work)
    before = _cards(nodes)
    large = nodes.start_with_card(tmp_path / "large", memory_mib=500)
    try:
        with ray_cluster.Cluster(work.settings.cluster, WORK) as cluster:
            assert list(cluster.nodes()) == [large.node_id] and cluster.slots(()) == 1
            sending = Driver(store, work, cluster)
            most = 0

            def ended() -> bool:
                nonlocal most
                most = max(most, len(sending._flights))
                return all_ended(store)

            _turns(sending, ended)
            assert most == 1
            wants = work.settings.cluster.model_copy(update={"memory_mib": 600})
            cluster._settings = wants
            with pytest.raises(
                ClusterUnavailable, match=r"memory 600 MiB .* no node has all of it"
            ):
                Driver(store, work, cluster).turn()
    finally:
        nodes.remove(large)
    _each_once(store)
    cards = (tmp_path / "large" / ray_kit.CARDS).read_text().split()
    assert cards.count("0") == 4, "one for each audit"
    assert _cards(nodes) == before


@pytest.mark.slow
def test_the_head_of_a_cluster_dies_and_comes_back_and_each_job_ends_once(
    store: Store, zoo: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watcher with the real driver says that the cluster is gone, and goes on when it is there again."""
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")  # 60 by default
    monkeypatch.setattr("dife_scanner.queue.children.LONGEST_RESTART_SECONDS", 2.0)
    told: list[str] = []
    stop = threading.Event()

    def tell(event: Event) -> None:
        if event.kind in (EventKind.TROUBLE, EventKind.RESTARTED):
            told.append(event.text)

    with ray_kit.Head(tmp_path, zoo.endpoint) as head:
        head.start()
        work = driver_work(store.home, zoo.endpoint, head.address)
        executor = Executor(ROLE, "a Ray cluster", ray_kit.driver_main)
        given = {"stop": stop, "on_event": tell, "executor": executor}
        watcher = threading.Thread(target=watch, args=(work,), kwargs=given)
        watcher.start()
        try:
            until(lambda: head.home.exists() and _audits_on(head.home), ENDED_BY)
            head.kill()
            until(lambda: any("cannot be reached" in text for text in told), ENDED_BY)
            assert not all_ended(store)
            head.start()
            until(lambda: all_ended(store), ENDED_BY)
        finally:
            stop.set()
            watcher.join(ENDED_BY)
    assert "a driver process ended" in told[0] and told[-1].endswith("trying again")
    assert sum(job.lost_leases for job in jobs.jobs(store)) == 1  # of the driver that died with it
    _each_once(store)
    assert _seen(store) == _alone(zoo, tmp_path / "here" / "home")


class NoNodes:
    """A cluster of one node that is asked whether it is fit, and never answers."""

    def nodes(self) -> dict[str, str]:
        return {"1": "one"}

    def look(self, node_id: str, task: str) -> str:
        return "asked"

    def ended(self, references: list[str], seconds: float) -> list[str]:
        return []

    def cancel(self, reference: str) -> None:
        pass


def test_leases_are_renewed_at_once_after_a_machine_slept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule of the driver is the one of all others, which notices that, and not a count of seconds."""
    ref = ModelRef("org/clip", "a" * 40)
    jobs.discover(store, ref, endpoint="http://x", state=JobState.QUEUED, reason="")
    work = replace(driver_work(store.home, "http://x", "127.0.0.1:9"), lease_seconds=1e6)
    sending = Driver(store, work, NoNodes())  # type: ignore[arg-type]
    made = driver.claim_task(store, work, worker_name("ray-1"), 1e6)
    assert made is not None
    sending._flights["sent"] = Flight(*made)
    renewed: list[int] = []
    heartbeat = leases.heartbeat

    def noting(store: Store, job_id: int, worker: str, seconds: float) -> bool:
        renewed.append(job_id)
        return heartbeat(store, job_id, worker, seconds)

    monkeypatch.setattr(leases, "heartbeat", noting)
    monkeypatch.setattr(Jumps, "seconds", lambda _: 3600.0 if len(renewed) == 1 else 0.0)
    end = time.monotonic() + BUSY_SECONDS
    sending.run(threading.Event(), until=lambda: len(renewed) > 1 or time.monotonic() > end)
    assert len(renewed) > 1
    assert jobs.job(store, made[0].id).state is JobState.QUEUED  # it stopped, and gave its job back


def test_what_ray_says_of_memory_that_ran_out_counts_as_a_death() -> None:
    exceptions = pytest.importorskip("ray.exceptions")
    meant = ray_cluster.meaning_of(exceptions.OutOfMemoryError("used too much"))
    assert isinstance(meant, ChildDied) and "no memory left" in str(meant)
    assert isinstance(ray_cluster.meaning_of(exceptions.WorkerCrashedError()), ChildDied)
    assert isinstance(
        ray_cluster.meaning_of(exceptions.NodeDiedError("gone")), ray_cluster.NodeLost
    )


def test_an_unreachable_cluster_ends_a_watcher_with_a_clear_line(tmp_path: Path) -> None:
    dife = partial(calling.dife, "watch", "--once", "--home", tmp_path / "home")
    done = dife("--executor", "ray", "--ray-address", "127.0.0.1:9")
    assert done.returncode == ClusterUnavailable.exit_code == 3
    assert "the Ray cluster at 127.0.0.1:9 cannot be reached" in done.stderr
    assert "ray status" in done.stderr
    done = dife("--ray-address", "127.0.0.1:x")
    assert done.returncode == UsageError.exit_code and "host:port" in done.stderr
