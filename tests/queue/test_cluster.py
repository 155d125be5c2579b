"""Jobs done on other machines: each has a home of its own, and only the driver's database decides."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import calling
import pytest
import yaml
from queue_kit import EMPTY_ZIP, WEIGHTS, checkpoint, checkpoint_folder, work_for
from waiting import BUSY_SECONDS

from dife_scanner import checkpoints
from dife_scanner.app.references import add_reference
from dife_scanner.baselines.home import open_home
from dife_scanner.cluster import driver, tasks
from dife_scanner.cluster.node import Exit, do_task, exit_of
from dife_scanner.durable import atomic
from dife_scanner.durable.clock import later
from dife_scanner.errors import DiskFull, UsageError
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.progress import SILENT
from dife_scanner.queue import targets
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.queue.worker import run_to_end
from dife_scanner.records import Job, JobState, Reference, Verdict
from dife_scanner.store import (
    LeaseLost,
    Store,
    audits,
    evidence,
    findings,
    jobs,
    leases,
    open_store,
)

dife = partial(calling.dife, DIFE_FILTERS='["filter=clip"]')
PROGRAM = Path(__file__).with_name("run_work.py")
PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
NAMES = ("lab/clip-a", "lab/clip-bad-b", "lab/clip-evil", "lab/clip-torn-d")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "node" / "home") as opened:
        yield opened


@pytest.fixture
def zoo(hub: LoopbackHub) -> LoopbackHub:
    for seed, name in enumerate(NAMES):
        files = checkpoint(seed + 1)
        if "evil" in name:
            files[WEIGHTS] += EMPTY_ZIP
        hub.add_repo(name, files, tags=["clip"])
    return hub


def _out(store: Store, work: Work, folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return driver.hand_out(store, work, folder, most=100, seconds=60.0)


def _do(node: Store, endpoint: str, path: Path) -> Exit:
    work = work_for(node.home, endpoint)
    result = do_task(node, tasks.read_task(path), work, path.with_suffix(tasks.RESULT_SUFFIX))
    return exit_of(result)


def _seen(store: Store) -> dict[str, tuple[object, ...]]:
    """What is known of each repository, without what differs from run to run."""
    seen: dict[str, tuple[object, ...]] = {}
    for job in jobs.jobs(store):
        verdict = identity = None
        if job.audit_id:
            audit = audits.audit(store, job.audit_id)
            verdict, identity = audit.verdict, audit.identity
            for file in audit.evidence:
                assert evidence.verify(store.home, file.sha256)
        fingerprints = sorted(
            one.fingerprint for one in findings.findings(store) if one.ref == job.ref
        )
        seen[job.ref.repo_id] = (job.state, verdict, identity, fingerprints)
    return seen


def test_a_zoo_done_elsewhere_has_the_findings_of_one_done_here_each_once(
    store: Store, node: Store, zoo: LoopbackHub, tmp_path: Path
) -> None:
    work = work_for(store.home, zoo.endpoint)
    poll_pass(store, work)
    paths = _out(store, work, tmp_path / "out")
    assert len(paths) == len(NAMES)
    assert _out(store, work, tmp_path / "out") == []  # each job has one lease
    for path in paths:
        assert _do(node, zoo.endpoint, path) is Exit.DONE
        assert _do(node, zoo.endpoint, path) is Exit.DONE  # started twice
    shutil.copytree(tmp_path / "out", tmp_path / "again")

    found = driver.collect(store, work, tmp_path / "out")
    assert len(found.committed) == len(NAMES) and not found.late and not found.problems
    assert list((tmp_path / "out").iterdir()) == []
    elsewhere, number = _seen(store), jobs.last_event(store)
    twice = driver.collect(store, work, tmp_path / "again")  # a driver killed before it removed
    assert not twice.committed and len(twice.late) == len(NAMES)
    assert jobs.last_event(store) == number and _seen(store) == elsewhere

    with open_store(tmp_path / "here" / "home") as alone:
        local = work_for(alone.home, zoo.endpoint)
        poll_pass(alone, local)
        for job in jobs.jobs(alone):
            run_to_end(alone, job, local)
        assert _seen(alone) == elsewhere
    assert elsewhere["lab/clip-bad-b"][:2] == (JobState.DONE, Verdict.FLAGGED)
    assert elsewhere["lab/clip-bad-b"][3] and elsewhere["lab/clip-evil"][3]
    assert elsewhere["lab/clip-evil"][0] is JobState.REFUSED


def _one(store: Store, hub: LoopbackHub, name: str) -> tuple[Work, Job]:
    hub.add_repo(name, checkpoint(1), tags=["clip"])
    work = work_for(store.home, hub.endpoint)
    client = partial(hub_for, work.settings, hub.endpoint)
    return work, targets.enqueue(store, name, work.settings.limits, client)


def test_a_result_of_a_lease_that_ran_out_is_not_committed(
    store: Store, node: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    work, job = _one(store, hub, "lab/clip-bad")
    first = driver.hand_out(store, work, _made(tmp_path / "first"), most=1, seconds=-1.0)
    second = _out(store, work, tmp_path / "second")  # its lease is over: out again
    assert len(first) == len(second) == 1
    assert _do(node, hub.endpoint, first[0]) is Exit.DONE
    assert len(driver.collect(store, work, tmp_path / "first").late) == 1
    assert jobs.job(store, job.id).state is JobState.DOWNLOADING  # still the second one's
    made = second[0].with_suffix(tasks.RESULT_SUFFIX)
    assert driver.collect(store, work, tmp_path / "second").open == 1
    assert _do(node, hub.endpoint, second[0]) is Exit.DONE
    task, result = tasks.read_task(second[0]), tasks.read_result(made)
    assert result is not None
    with pytest.raises(LeaseLost):
        driver.commit(store, work, replace(task, token="x"), replace(result, token="x"), made)
    assert len(driver.collect(store, work, tmp_path / "second").committed) == 1
    assert len(findings.findings(store)) == 1


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_processes_that_die_again_and_again_are_poison_and_quarantine(
    store: Store, node: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    work, job = _one(store, hub, "lab/clip-dies")
    (path,) = _out(store, work, tmp_path / "out")
    assert _do(node, hub.endpoint, path) is Exit.POISON
    driver.collect(store, work, tmp_path / "out")
    ended = jobs.job(store, job.id)
    assert ended.state is JobState.QUARANTINED and "died 2 times" in ended.reason


def _as_process(hub: LoopbackHub, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`dife work` as a program of its own."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), "work", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=BUSY_SECONDS,
        check=False,
        env={**os.environ, **calling.ENVIRONMENT, "DIFE_ENDPOINT": hub.endpoint},
    )


def _handed_out(hub: LoopbackHub, name: str, folder: Path) -> Path:
    """The task file of one model, as a driver with the bundled bases writes it."""
    with open_home(work_for(folder / "driver" / "home", hub.endpoint).settings) as store:
        work, _ = _one(store, hub, name)
        (path,) = _out(store, work, folder / "out")
    return path


def test_the_process_of_a_task_that_kills_its_audits_ends_as_poison(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    path = _handed_out(hub, "lab/clip-dies", tmp_path)
    done = _as_process(hub, path, "--home", tmp_path / "other")
    assert done.returncode == Exit.POISON == 65, done.stderr
    assert "quarantined: a process that worked on it died 2 times" in done.stderr
    made = tasks.read_result(path.with_suffix(tasks.RESULT_SUFFIX))
    assert made is not None and made.state is JobState.QUARANTINED


def test_the_process_ends_as_fatal_on_an_unfit_machine_and_as_wrong_use_without_a_task(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    path = _handed_out(hub, "lab/clip-bad", tmp_path)
    task = tasks.read_task(path)
    tasks.write_record(path, replace(task, endpoint="http://127.0.0.1:9"))
    done = _as_process(hub, path, "--home", tmp_path / "other")
    assert done.returncode == Exit.FATAL == 78, done.stderr
    assert "give this machine the same endpoint" in done.stderr
    path.write_text("{}")
    done = _as_process(hub, path, "--home", tmp_path / "other")
    assert done.returncode == 64 and "is no task" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_the_process_of_a_task_on_a_disk_that_is_really_full_says_that_it_may_be_tried_again(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    """Once the home is on it, and once only the result; with room the same command does the task."""
    path = _handed_out(hub, "lab/clip-bad", tmp_path)
    disk, made = tmp_path / "disk", tmp_path / "disk" / "result"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(65536))
        for home in (disk / "home", tmp_path / "other"):
            done = _as_process(hub, path, "--home", home, "--result", made)
            assert done.returncode == Exit.TRANSIENT == 75, done.stderr
            assert "is full" in done.stderr
            assert tasks.read_result(made) is None
        subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
        done = _as_process(hub, path, "--home", home, "--result", made)
        assert done.returncode == Exit.DONE == 0, done.stderr
        result = tasks.read_result(made)
        assert result is not None and result.has_audit
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_trouble_of_the_hub_is_tried_again_and_counted_by_the_driver(
    store: Store, node: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    work, job = _one(store, hub, "lab/clip-a")
    (path,) = _out(store, work, tmp_path / "out")
    hub.inject(faults.status("/api/models/lab/clip-a", 503, times=None))
    assert _do(node, hub.endpoint, path) is Exit.TRANSIENT
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    hub.heal()
    assert _do(node, hub.endpoint, path) is Exit.DONE  # what a scheduler does after 75
    made = tasks.read_result(path.with_suffix(tasks.RESULT_SUFFIX))
    assert made is not None and made.state is JobState.DONE
    driver.collect(store, work, tmp_path / "before")  # of a scheduler that does not
    again = jobs.job(store, job.id)
    assert again.state is JobState.RETRY_WAIT and again.attempts == 1
    assert again.next_check_at is not None and again.next_check_at < later(60)


def test_a_repository_that_is_gone_is_asked_for_three_times_wherever_it_is_looked_for(
    store: Store, node: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    work, job = _one(store, hub, "lab/clip-a")
    (path,) = _out(store, work, tmp_path / "out")
    hub.remove("lab/clip-a")
    assert _do(node, hub.endpoint, path) is Exit.TRANSIENT
    driver.collect(store, work, tmp_path / "out")
    waiting = jobs.job(store, job.id)
    assert waiting.state is JobState.RETRY_WAIT
    assert "answer 1 of 3 before it counts as deleted" in waiting.reason


def test_a_full_disk_of_another_machine_is_not_counted_against_the_job(
    store: Store,
    node: Store,
    hub: LoopbackHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, job = _one(store, hub, "lab/clip-a")
    (path,) = _out(store, work, tmp_path / "out")

    def full(*_: object) -> None:
        raise DiskFull("the disk of the other machine is full")

    monkeypatch.setattr(checkpoints, "fetch", full)
    assert _do(node, hub.endpoint, path) is Exit.TRANSIENT
    driver.collect(store, work, tmp_path / "out")
    paused = jobs.job(store, job.id)
    assert (paused.state, paused.attempts, paused.deaths) == (JobState.PAUSED, 0, 0)
    assert "on another machine" in paused.reason and "is full" in paused.reason


def test_a_result_of_other_files_another_revision_or_another_version_is_not_committed(
    store: Store, node: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    work, job = _one(store, hub, "lab/clip-a")
    (path,) = _out(store, work, tmp_path / "out")
    assert _do(node, hub.endpoint, path) is Exit.DONE
    made = path.with_suffix(tasks.RESULT_SUFFIX)
    task, result = tasks.read_task(path), tasks.read_result(made)
    assert result is not None and any("sha256" in file for file in result.files)

    def key(files: tuple[str, ...], **changes: str) -> str:
        ref = replace(job.ref, **changes)
        return tasks.key_of(job.endpoint, ref, files, task.conditions)

    assert result.key == key(result.files)
    for changed in (
        replace(result, files=(*result.files, "another")),
        replace(result, key=key(result.files, revision="f" * 40)),
    ):
        with pytest.raises(UsageError, match="another revision, version or plan"):
            driver.commit(store, work, task, changed, made)
    leases.keep_manifest(
        store, job.id, task.token, None, jobs.manifest_of(node, jobs.jobs(node)[0].id)
    )
    other = (*result.files[:-1], "another")
    with pytest.raises(UsageError, match="other files than the hub announced"):
        driver.commit(store, work, task, replace(result, files=other, key=key(other)), made)
    assert jobs.job(store, job.id).worker == task.token
    older = replace(task, conditions=replace(task.conditions, version="dife-0"))
    back = driver.commit(store, work, older, result, made)
    assert back.state is JobState.QUEUED and "audit version dife-0" in back.reason


def test_a_reference_is_the_same_only_with_the_same_towers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Reference("mine", "/mine", "image", "text", "weights", "ViT", "2026-01-01")
    known = [mine]
    monkeypatch.setattr(tasks.references, "references", lambda store: known)
    work = work_for(store.home)
    here = tasks.conditions_here(store, work)
    tasks.check_conditions(here, tasks.conditions_here(store, work))
    for changed in ({"text_tower": "another"}, {"weights_sha256": "another"}):
        known[:] = [replace(mine, **changed)]
        with pytest.raises(tasks.UnfitNode, match="does not have the reference mine"):
            tasks.check_conditions(here, tasks.conditions_here(store, work))


def test_a_machine_that_would_audit_otherwise_says_what_to_change(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    """`dife work` itself: exit codes and the line that says why."""
    hub.add_repo("lab/clip-a", checkpoint(1), tags=["clip"])
    home, out = tmp_path / "driver", tmp_path / "out"
    node = ("work", "--home", tmp_path / "other")
    environment = {"DIFE_ENDPOINT": hub.endpoint}
    with open_store(home) as opened:
        poll_pass(opened, work_for(home, hub.endpoint))
        mine = str(checkpoint_folder(tmp_path / "mine"))
        add_reference(opened, work_for(home).settings, mine, "mine", SILENT)
    assert dife("hand-out", out, "--home", home, **environment).returncode == 0
    (path,) = out.glob("job-*.json")

    done = dife(*node, path, **environment)
    assert done.returncode == Exit.FATAL and "does not have the reference mine" in done.stderr
    done = dife(*node, path, DIFE_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == Exit.FATAL and "this machine asks http://127.0.0.1:9" in done.stderr
    with open_store(tmp_path / "other") as other:
        add_reference(other, work_for(home).settings, mine, "mine", SILENT)
    done = dife(*node, path, DIFE_LIMITS__REQUEST_SECONDS="1", **environment)
    assert done.returncode == Exit.FATAL and "settings of this machine" in done.stderr

    task = tasks.read_task(path)
    conditions = replace(task.conditions, version="dife-0")
    tasks.write_record(path, replace(task, conditions=conditions))
    done = dife(*node, path, **environment)
    assert done.returncode == Exit.FATAL and "audit version dife-0" in done.stderr
    path.write_text("{}")
    done = dife(*node, path, **environment)
    assert done.returncode == 64 and "is no task" in done.stderr
    assert dife("collect", tmp_path / "missing", "--home", home).returncode == 64
    tasks.write_record(path, task)
    elsewhere = tmp_path / "elsewhere"
    hub.inject(faults.status("/api/models/lab/clip-a", 503, times=None))
    done = dife(*node, path, "--result", elsewhere, **environment)
    assert done.returncode == Exit.TRANSIENT, done.stderr
    hub.heal()
    hub.change("lab/clip-a", gated="manual")
    done = dife(*node, path, "--result", elsewhere, **environment)
    assert done.returncode == Exit.DONE and "gated" in done.stdout + done.stderr
    done = dife("collect", out, "--home", home, **environment)
    assert done.returncode == 0 and "0 results committed" in done.stdout
    with open_store(home) as opened:  # and the job is still held for whoever repairs it
        assert [job.state for job in jobs.jobs(opened)] == [JobState.DOWNLOADING]


def test_a_full_disk_gives_the_job_back_and_says_so(
    store: Store, hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, job = _one(store, hub, "lab/clip-a")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(DiskFull, match="is full"):
        patched.setattr(atomic.os, "fsync", full)
        _out(store, work, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert jobs.job(store, job.id).state is JobState.QUEUED
    assert len(_out(store, work, tmp_path / "out")) == 1


def test_the_script_for_slurm_tries_again_what_may_be_tried_again(tmp_path: Path) -> None:
    (script,) = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    folder = tmp_path / "tasks"
    folder.mkdir()
    stub = tmp_path / "bin" / "dife"
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/sh\necho "$@" >> "$CALLS"\nread code rest < "$CODES"\n'
        'echo "$rest" > "$CODES"\nexit "$code"\n'
    )
    (stub.parent / "sleep").write_text("#!/bin/sh\n")
    for program in stub.parent.iterdir():
        program.chmod(0o755)

    def run(number: int, *codes: Exit) -> tuple[int, int]:
        (tmp_path / "codes").write_text(" ".join(str(code.value) for code in codes))
        (tmp_path / "calls").write_text("")
        environment = {
            "PATH": f"{stub.parent}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "1",
            "SLURM_ARRAY_TASK_ID": str(number),
            "CODES": str(tmp_path / "codes"),
            "CALLS": str(tmp_path / "calls"),
        }
        text = script.replace("/shared/tasks", str(folder))
        done = subprocess.run(["bash"], input=text, text=True, env=environment, check=False)
        return done.returncode, len((tmp_path / "calls").read_text().splitlines())

    assert run(0) == (0, 0), "no task is no work"
    (folder / "job-1-a.json").write_text("{}")
    assert run(0, Exit.TRANSIENT, Exit.DONE) == (Exit.DONE, 2)
    assert run(0, Exit.TRANSIENT, Exit.TRANSIENT, Exit.TRANSIENT) == (Exit.TRANSIENT, 3)
    assert run(0, Exit.POISON) == (Exit.POISON, 1)
    assert run(1) == (0, 0)


def test_the_examples_of_schedulers_can_be_read_and_know_the_exit_codes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert f'"$code" -eq {Exit.TRANSIENT.value} ' in script
    job, task = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    never_again = rule["onExitCodes"]["values"]
    assert {Exit.POISON, Exit.FATAL} < set(never_again)
    assert not {Exit.DONE, Exit.TRANSIENT} & set(never_again)
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # a failure policy needs it
    (container,) = pod["containers"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert container["command"][:2] == task["run"].split()[:2] == ["dife", "work"]
