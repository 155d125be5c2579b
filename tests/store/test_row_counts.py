"""Counts that triggers keep, and what the window asks: neither takes longer where there are more rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from store_records import make_audit, make_finding

from dife_scanner.errors import NotFound
from dife_scanner.records import Budget, JobState, ModelRef
from dife_scanner.store import (
    Store,
    artefacts,
    audits,
    db,
    findings,
    jobs,
    leases,
    lookup,
    models,
    open_store,
    row_counts,
    triage,
    upcoming,
)
from dife_scanner.store.db import TookTooLong
from dife_scanner.store.throughput import throughput


def audit_of(store: Store, beginning: str) -> None:
    with suppress(NotFound):
        audits.audit(store, beginning)


def nothing_found(store: Store, text: str) -> None:
    with suppress(NotFound):
        lookup.find(store, text)


ONE = ModelRef("org/clip-100", f"{100:040x}")
ASKED: dict[str, Callable[[Store], object]] = {
    "models": models.count_models,
    "jobs": jobs.counts,
    "audits": audits.tally,
    "findings": triage.all_by_state,
    "first lines": lambda store: models.order(store, limit=10),
    "first lines of a filter": lambda store: models.order(store, filter="repo:~clip", limit=10),
    "a word that none has beside one that all have": lambda store: models.order(
        store, filter="clip xylophone", limit=10
    ),
    "a page": lambda store: models.rows_of(store, [11, 12, 13]),
    "an audit": lambda store: audits.audit_by_identity(store, "f" * 64),
    "an audit by the beginning of its id": lambda store: audit_of(store, "abc"),
    "audits of the same work": lambda store: audits.is_audited(store, "f" * 32),
    "how long one takes": lambda store: audits.usual_seconds(store, Budget.DEFAULT),
    "queue": upcoming.upcoming,
    "pace": throughput,
    "`dife show org/name`": lambda store: lookup.find(store, ONE.repo_id),
    "`dife show` of a revision": lambda store: lookup.find(
        store, f"{ONE.repo_id}@{ONE.revision[:39]}"
    ),
    "`dife show` of what is not there": lambda store: nothing_found(store, "org/clip"),
    "what the hub said of a revision": lambda store: jobs.scan_of(store, ONE),
    "the job of a revision": lambda store: artefacts.job_of(store, ONE),
    "the finding of an audit": lambda store: findings.about_audit(store, f"{100:016x}", ONE),
    "the finding that an audit amounted to": lambda store: findings.of_audit(store, f"{100:016x}"),
    "the newest findings": lambda store: findings.findings(store, limit=10),
    "the newest audits": lambda store: audits.audits(store, limit=10),
    "the newest jobs": lambda store: jobs.jobs(store, limit=10),
    "the approved model that waits longest": artefacts.oldest_unaudited_of_approved,
}


def fill(store: Store, count: int) -> None:
    """So many jobs that ended long ago, with as many audits, and one that waits."""
    with store.atomic("jobs.discover"):
        for number in range(count):
            ref = ModelRef(f"org/clip-{number}", f"{number:040x}")
            jobs.discover(store, ref, endpoint="hub", state=JobState.DELETED, reason="")
            ids = {"id": f"{number:016x}", "identity": f"{number:064x}"}
            audits.insert_audit(store, replace(make_audit(), ref=ref, **ids), "0" * 64)
            about = {"ref": ref, "audit_id": ids["id"]}
            findings.insert_finding(store, make_finding(f"fp1:{number:016x}", **about), None)
        store.write("UPDATE jobs SET audit_id = printf('%016x', id - 1)")
        store.write("UPDATE audits SET stored_at = '2020-01-01'")
        store.write("UPDATE jobs SET updated_at = '2020-01-01', created_at = '2020-01-01'")
        ref = ModelRef("org/waits", "f" * 40)
        jobs.discover(store, ref, endpoint="hub", state=JobState.QUEUED, reason="")
    store.index_texts()


def steps(store: Store, ask: Callable[[Store], object]) -> int:
    """Of the database's machine, in tens; no busy core changes them."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    store._connection.set_progress_handler(count, 10)
    try:
        ask(store)
    finally:
        store._connection.set_progress_handler(None, 0)
    return counted[0]


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Homes with 200 and with 1,000 jobs."""
    folder = tmp_path_factory.mktemp("homes")
    for count in (200, 1000):
        with open_store(folder / str(count)) as store:
            fill(store, count)
    return folder / "200", folder / "1000"


@pytest.mark.parametrize("asked", ASKED)
def test_what_the_window_asks_takes_as_long_with_five_times_the_rows(
    asked: str, sizes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "LOOKED_AT", (20, 40))
    taken = []
    for home in sizes:
        with open_store(home) as store:
            taken.append(steps(store, ASKED[asked]))
    assert taken[1] <= 1.2 * taken[0] + 5


def test_counts_are_those_of_the_rows_whatever_happens_to_them(store: Store) -> None:
    for number in range(4):
        ref = ModelRef(f"org/clip-{number}", f"{number:040x}")
        job = jobs.discover(store, ref, endpoint="hub", state=JobState.QUEUED, reason="").id
        audit = replace(make_audit(), id=f"{number:016x}", identity=f"{number:064x}", ref=ref)
        if number:
            leases.claim_job(store, job, "w", 60)
            leases.finish(store, job, "w", JobState.DONE, "", audit=audit)
    with store.atomic("polls.beat"):
        store.write(
            "UPDATE audits SET verdict = 'nothing-found', alarm_bound = 0.25 WHERE id > ?",
            ("0" * 15 + "1",),
        )
        store.write("UPDATE audits SET alarm_bound = NULL WHERE id = ?", ("0" * 15 + "2",))
        store.write("DELETE FROM job_events")
        store.write("DELETE FROM jobs WHERE state = 'queued'")
    counted = store.read("SELECT state, count(*) AS n FROM jobs GROUP BY state")
    assert jobs.counts(store) == {row["state"]: row["n"] for row in counted} == {"done": 3}
    assert models.count_models(store) == models.count_models(store, filter="repo:~org") == 3
    assert audits.tally(store) == audits.tally(store, filter="repo:~org")
    assert (audits.tally(store).flagged, audits.tally(store).expected) == (1, 0.25)
    assert row_counts.of(store, "findings") == {}


def test_first_lines_that_take_long_are_those_that_a_first_look_found(
    sizes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = "repo:~clip-99"  # 11 lines, most of them behind those that are looked at first
    with open_store(sizes[1]) as store:
        whole = models.order(store, filter=rare)
        assert models.order(store, filter=rare, limit=50) == whole and len(whole.keys) == 11
        monkeypatch.setattr(models, "LOOKED_AT", (20, 40))
        monkeypatch.setattr(models, "FEW_STEPS", 100)
        monkeypatch.setattr(models, "MOST_STEPS", 100)
        first = models.order(store, filter=rare, limit=50)
        assert not first.whole and len(first.keys) < len(whole.keys)
        assert list(first.keys) == list(whole.keys)[: len(first.keys)]
        assert models.order(store, filter=rare) == whole, "a reading of all is never cut"


def test_first_lines_are_cut_by_the_clock_too_where_each_step_takes_long(
    sizes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a file that nobody read before come from the disk: as many steps, and twenty times as long."""
    monkeypatch.setattr(models, "LOOKED_AT", (20, 40))
    monkeypatch.setattr(db, "_STEPS_BETWEEN_LOOKS", 100)
    with open_store(sizes[1]) as store:
        whole = models.order(store, filter="repo:~clip-99", limit=50)
        assert whole.whole
        monkeypatch.setattr(models, "MOST_SECONDS", 0.0)
        first = models.order(store, filter="repo:~clip-99", limit=50)
        assert not first.whole and len(first.keys) < len(whole.keys)
        assert models.order(store, filter="repo:~clip-99") == whole


def test_what_was_read_before_takes_no_steps_of_the_next_reading(store: Store) -> None:
    """SQLite adds up the steps of a statement that is read again and again."""
    counting = "WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2000) SELECT n FROM c"
    taken = 10 * steps(store, lambda store: store.read(counting))
    for _ in range(5):
        assert len(store.read(counting, most_steps=2 * taken)) == 2000
    for _ in range(5):
        with pytest.raises(TookTooLong):
            store.read(counting, most_steps=taken // 2)
