"""The store against real files on disk."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database
from store_records import make_alert, make_audit, make_finding, make_ref

import dife_scanner
from dife_scanner.durable import crash
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import HomeUnwritable, NewerSchema, NotFound, StoreCorrupt, UsageError
from dife_scanner.records import (
    ArtefactMissing,
    Audit,
    Budget,
    Category,
    Change,
    Channel,
    Condition,
    Interval,
    JobState,
    Measure,
    NotEvaluable,
    NotRun,
    PoolItem,
    PoolManifest,
    Reference,
    SelectorControl,
    StoredPlan,
    TriageState,
    Trigger,
    TriggerFile,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.alerts import notice_of
from dife_scanner.store import (
    LeaseLost,
    Store,
    audits,
    evidence,
    findings,
    job_rows,
    jobs,
    leases,
    models,
    open_store,
    outbox,
    polls,
    references,
    requests,
    triage,
    triage_log,
)
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.migrations import MIGRATIONS

HUB = "http://127.0.0.1:1"


def queue_one(
    store: Store, name: str = "org/clip", revision: str = "a" * 40, **changes: object
) -> int:
    given = {"endpoint": HUB, "state": JobState.QUEUED, "reason": "new", **changes}
    return jobs.discover(store, make_ref(name, revision), **given).id  # type: ignore[arg-type]


def claimed(store: Store, worker: str = "w1", lease: float = 60) -> int:
    job = leases.claim(store, worker, lease)
    assert job is not None
    return job.id


# --- opening --------------------------------------------------------------------------------------------------


def test_home_is_private_and_database_is_durable(home: Path, store: Store) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "dife.db").stat().st_mode) == 0o600
    assert store.read("PRAGMA journal_mode")[0]["journal_mode"] == "wal"
    assert store.read("PRAGMA synchronous")[0]["synchronous"] == 2
    assert store.read("PRAGMA foreign_keys")[0]["foreign_keys"] == 1
    assert store.integrity() == []


def test_a_newer_schema_is_not_touched(home: Path) -> None:
    open_store(home).close()
    with sqlite3.connect(home / "dife.db") as raw:
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('dife-scanner','m999','x')"
        )
    for read_only in (False, True):
        with pytest.raises(NewerSchema, match="m999"):
            open_store(home, read_only=read_only)


def test_audits_of_an_older_database_are_kept_and_wait_for_no_batch(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / "dife.db", isolation_level=None) as raw:
        MIGRATIONS.apply(Database(raw), stop_before="m003_calibration")
        columns = [row[1] for row in raw.execute("PRAGMA table_info(audits)")]
        values = {"verdict": "flagged", "interfaces": "[]", "local": 0, "seed": 0, "seconds": 1.0}
        values["budget"] = "quick"
        raw.execute(
            f"INSERT INTO audits ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [values.get(column, column) for column in columns],
        )
    with open_store(home) as store:
        (row,) = audits.audits(store)
        assert (row.id, row.verdict.value, row.score, row.p_value, row.pack) == (
            "id",
            "flagged",
            None,
            None,
            "",
        )
        assert audits.open_batch(store) == []
        found = audits.tally(store)
        assert (found.audited, found.flagged, found.rated, found.expected) == (1, 1, 0, 0.0)


def test_a_file_that_is_no_database(home: Path) -> None:
    home.mkdir()
    (home / "dife.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreCorrupt) as caught:
        open_store(home)
    assert caught.value.advice


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(HomeUnwritable):
        open_store(tmp_path / "home")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_home_of_another_user() -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from dife_scanner.store import open_store; from dife_scanner.errors import HomeUnwritable\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for home in (Path(sys.argv[1]), Path(sys.argv[1]) / 'new'):\n"
        "    try: open_store(home)\n"
        "    except HomeUnwritable as error: print(error.what, error.advice)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        open_store(Path(folder)).close()
        Path(folder).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", script, folder], capture_output=True, text=True, check=True
        )
    assert done.stdout.count("cannot be written") == 2 and "--home" in done.stdout


def test_four_processes_create_one_home_at_once(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; "
        "from dife_scanner.store import open_store; open_store(Path(sys.argv[1]))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(home)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in running:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr.decode()


def test_a_read_only_handle_follows_a_writer_and_cannot_write(home: Path, store: Store) -> None:
    with open_store(home, read_only=True) as window:
        before = window.data_version()
        queue_one(store)
        assert window.data_version() != before
        assert [row.job.ref.repo_id for row in models.model_rows(window)] == ["org/clip"]
        with pytest.raises(HomeUnwritable):
            queue_one(window, "org/other")


def test_a_read_only_handle_on_an_empty_home_and_alone(home: Path) -> None:
    with open_store(home, read_only=True) as window:
        assert models.model_rows(window) == []
        assert window.read_only
    with open_store(home, read_only=True) as window:
        assert jobs.counts(window) == {}


def test_a_read_only_handle_reads_while_a_write_is_open(home: Path, store: Store) -> None:
    queue_one(store)
    with open_store(home, read_only=True) as window, store.atomic("jobs.discover"):
        store.write("UPDATE jobs SET reason = 'half done'")
        assert models.model_rows(window)[0].job.reason == "new"


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    queue_one(store)
    with pytest.raises(RuntimeError, match="stop"), store.atomic("jobs.discover"):
        store.write("UPDATE jobs SET reason = 'half done'")
        raise RuntimeError("stop")
    assert jobs.jobs(store)[0].reason == "new"
    with pytest.raises(RuntimeError, match="outside"):
        store.write("UPDATE jobs SET reason = 'x'")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(tmp_path: Path) -> None:
    from dife_scanner.errors import DiskFull

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False
    ).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        with open_store(disk / "home") as store:
            with pytest.raises(DiskFull) as caught:
                for i in range(10_000):
                    queue_one(store, f"org/clip{i}", reason="x" * 2000)
            assert caught.value.advice
            with pytest.raises(DiskFull):
                evidence.put(store.home, os.urandom(1 << 20), ".bin")
            kept = len(jobs.jobs(store))
            assert kept > 0 and store.integrity() == []
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            queue_one(store, "org/afterwards")
            assert len(jobs.jobs(store)) == kept + 1
            assert not list((store.home / "evidence").rglob(".part-*"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_list_of_crash_points_is_the_list_of_call_sites() -> None:
    root = Path(dife_scanner.__file__).parent
    found = [
        name
        for file in root.rglob("*.py")
        for name in _points(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert sorted(set(found)) == sorted(crash.CRASH_POINTS)
    assert len(set(crash.CRASH_POINTS)) == len(crash.CRASH_POINTS)


def _points(tree: ast.AST) -> list[str]:
    """First arguments of every call of `crash_point` and `Store.atomic`; a name that is no literal is an error."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called == "crash_point" or (called == "atomic" and not _is_sqlite_utils(node)):
            argument = node.args[0]
            if isinstance(argument, ast.Constant):
                found.append(str(argument.value))
            else:
                assert isinstance(argument, ast.Name) and argument.id == "point", ast.dump(node)
    return found


def _is_sqlite_utils(node: ast.Call) -> bool:
    return not node.args


# --- jobs -----------------------------------------------------------------------------------------------------


def test_discovering_twice_is_one_job(store: Store) -> None:
    assert queue_one(store) == queue_one(store)
    assert jobs.counts(store) == {"queued": 1}
    assert jobs.known(store, HUB) == {"org/clip": "a" * 40}


def model(revision: str, last_modified: str) -> object:
    from dife_scanner.records import HubModel

    return HubModel("org/clip", revision, last_modified)


def test_a_newer_revision_supersedes_what_waits(store: Store) -> None:
    first = queue_one(store, revision="a" * 40, model=model("a" * 40, "2026-01-01"))
    second = queue_one(store, revision="b" * 40, model=model("b" * 40, "2026-01-02"))
    old = queue_one(store, revision="c" * 40, model=model("c" * 40, "2025-01-01"))
    states = {job.id: job.state for job in jobs.jobs(store)}
    assert states == {first: JobState.SUPERSEDED, second: JobState.QUEUED, old: JobState.SUPERSEDED}
    assert "bbbbbbbbbbbb" in jobs.job(store, first).reason
    assert jobs.known(store, HUB) == {"org/clip": "b" * 40}


def test_a_revision_that_comes_back_is_queued_again(store: Store) -> None:
    first = queue_one(store, revision="a" * 40, model=model("a" * 40, "2026-01-01"))
    second = queue_one(store, revision="b" * 40, model=model("b" * 40, "2026-01-02"))
    assert queue_one(store, revision="a" * 40, model=model("a" * 40, "2026-01-03")) == first
    assert jobs.job(store, first).state is JobState.QUEUED
    assert jobs.job(store, second).state is JobState.SUPERSEDED


def test_a_held_revision_is_finished_and_a_pinned_one_untouched(store: Store) -> None:
    held = queue_one(store, revision="a" * 40, model=model("a" * 40, "2026-01-01"))
    assert claimed(store) == held
    pinned = queue_one(store, revision="9" * 40, model=model("9" * 40, "2020-01-01"), pinned=True)
    queue_one(store, revision="b" * 40, model=model("b" * 40, "2026-01-02"))
    assert jobs.job(store, held).state is JobState.DOWNLOADING
    assert jobs.job(store, pinned).state is JobState.QUEUED
    leases.retry_later(store, held, "w1", "hub down", 5)
    assert jobs.job(store, held).state is JobState.SUPERSEDED


def test_a_revision_asked_for_that_is_listed_later_is_known_then(store: Store) -> None:
    waiting = queue_one(store, revision="a" * 40, model=model("a" * 40, "2026-01-01"))
    asked = queue_one(store, revision="b" * 40, model=model("b" * 40, "2026-01-02"), pinned=True)
    assert jobs.known(store, HUB) == {"org/clip": "a" * 40}
    assert jobs.job(store, waiting).state is JobState.QUEUED
    queue_one(store, revision="b" * 40, model=model("b" * 40, "2026-01-02"))
    assert jobs.known(store, HUB) == {"org/clip": "b" * 40}
    assert (jobs.job(store, waiting).state, jobs.job(store, asked).state) == (
        JobState.SUPERSEDED,
        JobState.QUEUED,
    )


def test_a_home_of_the_first_version_is_brought_up_to_date(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / "dife.db") as raw:
        MIGRATIONS.apply(Database(raw), stop_before="m002_listed_revisions")
        raw.execute(
            "INSERT INTO jobs (endpoint, repo_id, revision, local, pinned, state, reason, created_at, updated_at,"
            " last_modified, layout) VALUES (?, 'org/clip', 'a', 0, 0, 'done', '', '', '', '', '')",
            (HUB,),
        )
    raw.close()
    with open_store(home, read_only=True) as store:
        assert jobs.known(store, HUB) == {"org/clip": "a"}


def test_an_ungated_repository_opens_again_and_a_done_one_does_not(store: Store) -> None:
    gated = queue_one(store, "org/gated", state=JobState.GATED, reason="gated")
    assert jobs.job(store, gated).state is JobState.GATED
    queue_one(store, "org/gated")
    assert jobs.job(store, gated).state is JobState.QUEUED
    leases.claim_job(store, gated, "w1", 60)
    leases.finish(store, gated, "w1", JobState.DONE, "done")
    queue_one(store, "org/gated")
    assert jobs.job(store, gated).state is JobState.DONE


def test_a_gated_repository_is_looked_at_again_after_a_week(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_rows, "RECHECK_SECONDS", -1.0)
    old = queue_one(
        store, "org/clip", "a" * 40, state=JobState.GATED, model=model("a" * 40, "2026-01-01")
    )
    assert leases.claim(store, "w1", 60) is None, "it waits only once it was looked for"
    assert leases.queue_rechecks(store) == 1 and leases.queue_rechecks(store) == 0
    assert jobs.job(store, old).reason == "looked at again: it was gated"
    assert claimed(store) == old
    assert leases.finish(store, old, "w1", JobState.GATED, "still").next_check_at
    newer = queue_one(
        store, "org/clip", "b" * 40, state=JobState.GATED, model=model("b" * 40, "2026-01-02")
    )
    assert leases.queue_rechecks(store) == 1, "the older one is looked at no more"
    assert claimed(store) == newer and leases.claim(store, "w1", 60) is None


def test_a_job_is_claimed_once_by_many_threads(home: Path, store: Store) -> None:
    for i in range(20):
        queue_one(store, f"org/m{i}")
    taken: list[int] = []

    def work(worker: str) -> None:
        with open_store(home) as own:
            while job := leases.claim(own, worker, 60):
                taken.append(job.id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 20


def test_only_the_holder_can_write(store: Store) -> None:
    job_id = queue_one(store)
    claimed(store, "w1")
    assert leases.heartbeat(store, job_id, "w1", 60)
    assert not leases.heartbeat(store, job_id, "w2", 60)
    with pytest.raises(LeaseLost):
        leases.advance(store, job_id, "w2", JobState.AUDITING)
    leases.advance(store, job_id, "w1", JobState.AUDITING, "encoding")
    jobs.cancel(store, job_id)
    with pytest.raises(LeaseLost):
        leases.finish(store, job_id, "w1", JobState.DONE, "done")
    assert not leases.heartbeat(store, job_id, "w1", 60)
    assert jobs.job(store, job_id).state is JobState.CANCELLED
    with pytest.raises(UsageError):
        jobs.cancel(store, job_id)


def test_a_retry_waits_and_counts_consistent_errors(store: Store) -> None:
    job_id = queue_one(store)
    claimed(store)
    leases.retry_later(store, job_id, "w1", "no such repository", 3600, kind="RepoNotFound")
    assert leases.claim(store, "w1", 60) is None
    assert (jobs.next_due(store) or "") > later(3000)
    assert jobs.repeats(store, job_id, "RepoNotFound") == 1
    for kind, expected in (("RepoNotFound", 2), ("HubUnavailable", 1), ("RepoNotFound", 1)):
        assert leases.claim_job(store, job_id, "w1", 60)
        leases.retry_later(store, job_id, "w1", "again", 0, kind=kind)
        assert jobs.repeats(store, job_id, kind) == expected
    assert jobs.job(store, job_id).attempts == 4


def test_two_deaths_are_quarantine_and_by_hand_it_starts_afresh(store: Store) -> None:
    job_id = queue_one(store)
    claimed(store)
    assert leases.record_death(store, job_id, "w1", "killed by signal 9").state is JobState.QUEUED
    claimed(store)
    job = leases.record_death(store, job_id, "w1", "killed by signal 9")
    assert (job.state, job.deaths) == (JobState.QUARANTINED, 2)
    assert "signal 9" in job.reason
    job = jobs.requeue(store, job_id)
    assert (job.state, job.deaths) == (JobState.QUEUED, 0)
    assert [event.state for event in jobs.events(store, job_id)] == [
        JobState.QUEUED,
        JobState.DOWNLOADING,
        JobState.QUEUED,
        JobState.DOWNLOADING,
        JobState.QUARANTINED,
        JobState.QUEUED,
    ]


def test_a_lost_lease_is_requeued_five_times_without_counting_a_death(store: Store) -> None:
    job_id = queue_one(store)
    for _ in range(5):
        claimed(store, lease=-1)
        assert [job.state for job in leases.requeue_lost(store)] == [JobState.QUEUED]
    claimed(store, lease=60)
    assert leases.requeue_lost(store) == []
    (job,) = leases.requeue_lost(store, gone=lambda worker: worker == "w1")
    assert (job.state, job.deaths, job.lost_leases) == (JobState.FAILED, 0, 6)
    assert job.id == job_id


# --- results --------------------------------------------------------------------------------------------------


def test_one_transaction_keeps_audit_finding_alerts_and_state(store: Store) -> None:
    job_id = queue_one(store)
    claimed(store)
    audit, finding = make_audit(), make_finding()
    leases.finish(
        store,
        job_id,
        "w1",
        JobState.DONE,
        "flagged",
        audit=audit,
        finding=finding,
        alerts=[make_alert(finding)],
    )
    assert audits.audit(store, "aud") == audit
    assert audits.audit_by_identity(store, "id1") == audit
    assert findings.finding(store, "fp1:0123") == finding
    (alert,) = outbox.pending(store, now())
    assert alert.about == replace(notice_of(finding), exposure=0.8)
    (row,) = models.model_rows(store)
    assert (row.verdict, row.carrier, row.target) == (Verdict.FLAGGED, "textual", "dog")
    assert row.finding == finding.fingerprint and row.interfaces == ("zero-shot",)
    (key,) = audits.audits(store, filter="verdict:flagged interface:zero-shot")
    assert evidence.verify(store.home, key.record_sha256)
    assert store.integrity() == []


def test_what_an_audit_usually_takes_is_the_mean_of_those_that_compared_something(
    store: Store,
) -> None:
    assert audits.usual_seconds(store, "quick") is None
    taken = ((20.0, Verdict.FLAGGED), (40.0, Verdict.NOTHING_FOUND), (0.1, Verdict.IDENTICAL))
    for number, (seconds, verdict) in enumerate(taken):
        job_id = queue_one(store, f"org/clip-{number}")
        claimed(store)
        named = make_audit(
            f"aud{number}", f"id{number}", seconds=seconds, verdict=verdict, budget=Budget.QUICK
        )
        leases.finish(store, job_id, "w1", JobState.DONE, "done", audit=named)
    assert audits.usual_seconds(store, "quick") == 30.0
    assert audits.usual_seconds(store, "deep") is None


def test_an_audit_keeps_its_plan_without_what_is_at_its_default(store: Store) -> None:
    older = make_audit()
    assert '"plan"' not in to_json(older), "its record stays what it was"
    word = Trigger("word", TriggerKind.TEXT, text="cf", color=(1, 2, 3), pairs=(("a", "b"),))
    square = Trigger(
        "square",
        TriggerKind.PATCH,
        image=word,
        file=TriggerFile("/x", "ab"),
        parameters=(("k", True),),
    )
    audit = replace(
        older, plan=StoredPlan(Budget.QUICK, 3, (word, square), ("texts",), "p", "q", ("e",))
    )
    assert from_json(Audit, to_json(audit)) == audit and from_json(Audit, to_json(older)) == older
    added = len(to_json(replace(older, plan=StoredPlan(Budget.QUICK, 0, (word,))))) - len(
        to_json(older)
    )
    assert added < 160, "a trigger with all its defaults takes six times as much"


def test_one_identity_has_one_completed_audit(store: Store) -> None:
    for number, name in enumerate(("org/clip", "copy/clip")):
        job_id = queue_one(store, name)
        claimed(store)
        finding = make_finding(f"fp1:{number:016x}", ref=make_ref(name), audit_id=f"aud{number}")
        job = leases.finish(
            store,
            job_id,
            "w1",
            JobState.DONE,
            "flagged",
            audit=make_audit(f"aud{number}"),
            finding=finding,
        )
    assert job.audit_id == "aud0" and job.reason == "same identity as audit aud0"
    assert findings.finding(store, finding.fingerprint).audit_id == "aud0"
    assert len(audits.audits(store)) == 1
    with pytest.raises(sqlite3.IntegrityError), store.atomic("jobs.finish"):
        store.write("INSERT INTO audits SELECT 'other', " + _all_but_id(store) + " FROM audits")


def _all_but_id(store: Store) -> str:
    return ", ".join(
        row["name"] for row in store.read("PRAGMA table_info(audits)") if row["name"] != "id"
    )


def test_records_survive_json(store: Store) -> None:
    audit = make_audit()
    assert from_json(type(audit), to_json(audit)) == audit
    with pytest.raises(ValueError, match="JSON"):
        to_json(dataclasses.replace(audit, seconds=float("nan")))


def test_equal_records_are_equal_text_though_a_set_has_no_order() -> None:
    channels = (Channel.TEXT, Channel.IMAGE, Channel.PROMPT)
    written = {to_json(Condition(frozenset(order))) for order in itertools.permutations(channels)}
    assert written == {
        '{"channels":["image","prompt mechanism","text"],"conditioned_query":false,'
        '"mechanism":false,"source":"","target":""}'
    }
    with (
        pytest.raises(TypeError, match="no place in a record"),
        pytest.warns(UserWarning, match="Expected `str`"),
    ):
        to_json(dataclasses.replace(make_audit(), versions={"torch": object()}))  # type: ignore[dict-item]


def test_a_pool_manifest_is_stored_under_its_digest(store: Store) -> None:
    manifest = PoolManifest(
        "p", "captions", 3, "1", (PoolItem("a", "f" * 64, "a cät"),), ((0,),), ((0,),), ("q",)
    )
    text = to_json(manifest)
    assert text == manifest.json() and from_json(PoolManifest, text) == manifest
    assert evidence.put(store.home, text.encode("ascii"), ".json") == manifest.digest
    assert dataclasses.replace(manifest, seed=4).digest != manifest.digest


words = st.text(st.characters(codec="ascii"), max_size=8)
shares = st.builds(
    Measure, st.floats(0, 1), st.just(Interval(0.0, 1.0, "w")), st.integers(0), st.integers(0)
)
LINES = st.one_of(
    st.builds(NotEvaluable, words, st.sampled_from(Category), words),
    st.builds(NotRun, words, words),
    st.builds(ArtefactMissing, words, words, words),
    st.builds(
        SelectorControl,
        words,
        words,
        shares,
        shares,
        st.builds(Change, st.floats(-1, 1), shares.map(lambda m: m.interval)),
        words,
    ),
)


@given(st.lists(LINES, max_size=5))
def test_no_kind_of_profile_line_turns_into_another(lines: list[NotEvaluable]) -> None:
    audit = make_audit(profile=tuple(lines))
    read = from_json(Audit, to_json(audit)).profile
    assert read == audit.profile and [type(line) for line in read] == [type(line) for line in lines]


def test_profiles_kept_before_there_were_five_kinds_of_line_are_still_read() -> None:
    old = json.loads(to_json(make_audit()))
    del old["condition"], old["repair"]
    old["profile"] = [
        {
            "interface": "zero-shot",
            "absence": "N.E.",
            "category": "no visual trigger channel",
            "reason": "no text enters",
        },
        {"interface": "reranking", "absence": "not run", "category": "", "reason": "did not ask"},
    ]
    read = from_json(Audit, json.dumps(old))
    assert read.condition is None and read.repair is None
    assert read.profile == (
        NotEvaluable("zero-shot", Category.NO_VISUAL, "no text enters"),
        NotRun("reranking", "did not ask"),
    )


def test_hostile_strings_are_kept_as_text(store: Store) -> None:
    name = "org/\ud800'; DROP TABLE jobs; --\x1b[31m"
    job_id = queue_one(store, name)
    assert jobs.job(store, job_id).ref.repo_id == name.replace("\ud800", "?")
    assert jobs.counts(store) == {"queued": 1}


def test_triage_is_append_only_and_a_fix_that_returns_is_regressed(store: Store) -> None:
    for revision in ("a" * 40, "b" * 40, "b" * 40):
        job_id = queue_one(store, revision=revision, pinned=True)
        if jobs.job(store, job_id).state.is_final:
            jobs.requeue(store, job_id)
        claimed(store)
        finding = make_finding(ref=make_ref(revision=revision), audit_id=None)
        leases.finish(store, job_id, "w1", JobState.REFUSED, "refused", finding=finding)
        if revision == "a" * 40:
            about = triage.seen(store, [finding.fingerprint])
            triage.decide(store, TriageState.CONFIRMED, about, actor="ada", note="seen it")
            triage.decide(
                store,
                TriageState.FIXED_UPSTREAM,
                triage.seen(store, [finding.fingerprint]),
                actor="ada",
            )
    found = findings.finding(store, finding.fingerprint)
    assert found.triage is TriageState.REGRESSED
    assert [event.state.value for event in triage_log.events(store, finding.fingerprint)] == [
        "confirmed",
        "fixed-upstream",
        "regressed",
    ]
    assert len(findings.history(store, finding.fingerprint)) == 3
    assert findings.findings(store, filter="triage:regressed") == [found]
    with pytest.raises(UsageError):
        triage.decide(
            store, TriageState.REGRESSED, triage.seen(store, [finding.fingerprint]), actor="ada"
        )
    with (
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
        store.atomic("findings.triage"),
    ):
        store.write("DELETE FROM triage_events")


def test_a_false_positive_stays_one(store: Store) -> None:
    for revision in ("a" * 40, "b" * 40):
        job_id = queue_one(store, revision=revision)
        claimed(store)
        finding = make_finding(ref=make_ref(revision=revision), audit_id=None)
        leases.finish(store, job_id, "w1", JobState.REFUSED, "refused", finding=finding)
        if revision == "a" * 40:
            about = triage.seen(store, [finding.fingerprint])
            triage.decide(
                store, TriageState.FALSE_POSITIVE, about, actor="ada", note="drawn by hand"
            )
    assert findings.finding(store, finding.fingerprint).triage is TriageState.FALSE_POSITIVE


def test_an_alert_is_kept_once_delayed_and_revived(store: Store) -> None:
    finding = make_finding(audit_id=None)
    for _ in range(2):
        job_id = queue_one(store)
        jobs.requeue(store, job_id)
        claimed(store)
        leases.finish(
            store,
            job_id,
            "w1",
            JobState.REFUSED,
            "r",
            finding=finding,
            alerts=[make_alert(finding)],
        )
    (alert,) = outbox.alerts(store)
    outbox.failed(store, alert.id, "connection refused", later(3600))
    assert outbox.pending(store, now()) == []
    assert [a.last_error for a in outbox.pending(store, later(3700))] == ["connection refused"]
    outbox.dead(store, alert.id, "bad address")
    assert [a.state for a in outbox.alerts(store, state="dead")] == ["dead"]
    assert outbox.revive(store) == 1
    outbox.sent(store, outbox.pending(store, now())[0].id)
    assert outbox.pending(store, later(9999)) == []
    assert outbox.revive(store, alert.id) == 0
    with pytest.raises(NotFound):
        outbox.revive(store, 99)


# --- the rest -------------------------------------------------------------------------------------------------


def test_watermarks_advance_together_and_beats_are_latest_first(store: Store) -> None:
    polls.complete_pass(
        store, HUB, {"search=clip": "2026-01-01", "filter=open_clip": "2026-01-02"}, 10, 2, 1
    )
    polls.complete_pass(store, HUB, {"search=clip": "2026-01-03"}, 5, 0, 0)
    assert polls.watermarks(store, HUB) == {
        "search=clip": "2026-01-03",
        "filter=open_clip": "2026-01-02",
    }
    assert polls.watermarks(store, "http://other") == {}
    assert [(p.seen, p.new, p.malformed) for p in polls.passes(store)] == [(5, 0, 0), (10, 2, 1)]
    polls.beat(store, "watcher", 1, "started")
    polls.beat(store, "worker", 2, "idle")
    polls.beat(store, "watcher", 1, "polling")
    assert [(beat.role, beat.note) for beat in polls.beats(store)] == [
        ("watcher", "polling"),
        ("worker", "idle"),
    ]


def test_evidence_is_content_addressed(store: Store) -> None:
    digest = evidence.put(store.home, b"picture", ".png")
    assert evidence.put(store.home, b"picture", ".png") == digest
    place = evidence.path(store.home, digest)
    assert place.parent.name == digest[:2] and place.read_bytes() == b"picture"
    place.write_bytes(b"changed")
    assert not evidence.verify(store.home, digest)
    with pytest.raises(StoreCorrupt):
        evidence.read(store.home, digest)
    evidence.put(store.home, b"picture", ".png")
    assert evidence.verify(store.home, digest)
    with pytest.raises(NotFound):
        evidence.path(store.home, "../../etc/passwd")
    with pytest.raises(ValueError, match="suffix"):
        evidence.put(store.home, b"x", "/../x")


def test_references_keep_their_name_for_their_weights(store: Store) -> None:
    base = Reference("base", "/a", "i", "t", "w", "ViT", now(), bundled=True)
    references.add(store, base)
    references.add(store, dataclasses.replace(base, path="/b"))
    assert references.reference(store, "base").path == "/b"
    with pytest.raises(UsageError):
        references.add(store, dataclasses.replace(base, weights_sha256="other"))
    references.remove(store, "base")
    assert references.references(store) == []
    with pytest.raises(NotFound):
        references.reference(store, "base")


def test_a_request_is_taken_once(store: Store) -> None:
    requests.request_scan(store, "org/clip", actor="window")
    (request,) = requests.waiting(store)
    assert (request.kind, request.target) == ("scan", "org/clip")
    assert requests.take(store, request.id)
    assert requests.waiting(store) == [] and not requests.take(store, request.id)


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    place.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), atomic_write(place) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]
    with atomic_write(place) as stream:
        stream.write(b"after")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"after"]
