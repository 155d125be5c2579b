"""The models list: its lines follow the tables, and its order and pages are those of the whole list."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlite_utils import Database
from store_records import make_audit, make_finding, make_ref, put_finding

from dife_scanner.errors import Interrupted
from dife_scanner.records import HubModel, Job, JobState, TriageState, Verdict
from dife_scanner.store import Store, jobs, leases, migrations, models, open_store, triage
from dife_scanner.store.migrations import MIGRATIONS
from dife_scanner.store.models import Sort

HUB = "https://hub.example"


def discover(store: Store, name: str, state: JobState = JobState.QUEUED, **shown: object) -> Job:
    ref = make_ref(name)
    model = HubModel(name, ref.revision, "2026-11-01", **shown)  # type: ignore[arg-type]
    return jobs.discover(store, ref, endpoint=HUB, state=state, reason="", model=model)


def audited(store: Store, name: str, verdict: Verdict, *, finding: bool = False) -> Job:
    job = discover(store, name)
    audit = make_audit(name, name, verdict=verdict, ref=job.ref)
    found = make_finding(f"fp1:{name}", ref=job.ref, audit_id=audit.id) if finding else None
    leases.claim_job(store, job.id, "w", 60)
    return leases.finish(store, job.id, "w", JobState.DONE, "", audit=audit, finding=found)


def names(store: Store, **asked: object) -> list[str]:
    keys = models.order(store, **asked).keys  # type: ignore[arg-type]
    rows = {row.job.id: row for row in models.rows_of(store, keys)}
    return [rows[key].job.ref.repo_id for key in keys]


def test_a_list_that_is_opened_begins_with_what_needs_somebody(store: Store) -> None:
    discover(store, "l/unsupported", JobState.UNSUPPORTED)
    audited(store, "k/identical", Verdict.IDENTICAL)
    audited(store, "j/nothing", Verdict.NOTHING_FOUND)
    discover(store, "i/queued")
    discover(store, "h/failed", JobState.FAILED)
    audited(store, "g/stands-out", Verdict.NOTHING_FOUND, finding=True)
    audited(store, "f/doubtful", Verdict.INCONCLUSIVE)
    audited(store, "e/inherited", Verdict.INHERITED)
    discover(store, "d/refused", JobState.REFUSED)
    audited(store, "c/flagged", Verdict.FLAGGED)
    assert [name[0] for name in names(store)] == ["c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]


def test_every_state_has_a_place(store: Store) -> None:
    for state in JobState:
        discover(store, f"org/{state.value}", state)
    assert len(names(store)) == len(JobState)


def test_lines_follow_what_is_decided_and_audited_anew(store: Store) -> None:
    job = audited(store, "org/clip", Verdict.FLAGGED, finding=True)
    row = models.model_row(store, job.id)
    assert (row.severity, row.confidence, row.triage, row.exposure) == (
        *("exposed", "demonstrated", "new"),
        0.8,
    )
    triage.decide(
        store,
        TriageState.CONFIRMED,
        triage.seen(store, ["fp1:org/clip"]),
        actor="ada",
        note="by hand",
    )
    triage.decide(store, TriageState.DISCLOSED, triage.seen(store, ["fp1:org/clip"]), actor="ada")
    row = models.model_row(store, job.id)
    assert (row.triage, row.comment) == ("disclosed", "by hand")
    assert names(store, filter='comment:"by hand" triage:disclosed exposure>0.7') == ["org/clip"]
    with store.atomic("test"):
        store.write("UPDATE audits SET verdict = 'identical', exposure = NULL")
    row = models.model_row(store, job.id)
    assert (row.verdict, row.exposure) == (Verdict.IDENTICAL, None)
    with store.atomic("test"):
        store.write("DELETE FROM finding_history")
        store.write("DELETE FROM job_events")
        store.write("DELETE FROM jobs")
    assert names(store) == []


def test_a_line_that_follows_each_step_is_the_one_that_would_be_written_anew(store: Store) -> None:
    for state in JobState:
        discover(store, f"org/{state.value}", state, tags=("one",))
    for verdict in Verdict:
        audited(store, f"org/{verdict.value}", verdict, finding=verdict is Verdict.FLAGGED)
    again = audited(store, "org/again", Verdict.NOTHING_FOUND, finding=True)
    jobs.requeue(store, again.id, reason="by hand")
    taken = leases.claim(store, "w", 60)
    assert taken is not None
    leases.retry_later(store, taken.id, "w", "no answer", 60.0)
    followed = store.read("SELECT * FROM model_lines ORDER BY job_id")
    with store.atomic("test"):
        store.write("DELETE FROM model_lines")
        store.write(migrations._write_lines("1", migrations._LINE_VALUES_29))
    assert store.read("SELECT * FROM model_lines ORDER BY job_id") == followed


def test_what_a_hub_shows_can_be_filtered_and_sorted(store: Store) -> None:
    tags = tuple(f"tag-{number}" for number in range(30))
    discover(store, "lab/one", author="the-lab", downloads=7, tags=tags)
    discover(store, "lab/two", downloads=90)
    jobs.discover(store, make_ref("/local"), endpoint="", state=JobState.QUEUED, reason="")
    assert names(store, filter="author:the-lab") == names(store, filter="tag:tag-3")
    assert names(store, filter="author:lab downloads>50 age<1h") == ["lab/two"]
    assert names(store, filter='downloads:"" author:""') == ["/local"]
    (one,) = models.model_rows(store, filter="tag-19")
    assert (one.author, one.downloads, one.tags) == ("the-lab", 7, tags[:20])
    assert names(store, sort=Sort("downloads", descending=True))[:2] == ["lab/two", "lab/one"]
    assert names(store, sort=Sort("age")) == names(store, sort=Sort("discovered", descending=True))


def test_the_beginning_of_an_order_is_that_of_the_whole(store: Store) -> None:
    for number in range(5):
        discover(store, f"org/{number}")
    whole = models.order(store, sort=Sort("repo"))
    some = models.order(store, sort=Sort("repo"), limit=3)
    assert (whole.whole, some.whole) == (True, False)
    assert some.keys == whole.keys[:3]
    assert models.order(store, limit=5).whole
    assert models.order(store, filter="nobody", limit=3) == models.Order(some.keys[:0], True)


@pytest.mark.parametrize("looked_at", [(1, 2), (5, 6), (4000,)])
@pytest.mark.parametrize(
    "filter", ["org", "or", "!or", "verdict:flagged", "!seven | state:done", "se", "100%"]
)
def test_the_beginning_is_the_same_however_many_lines_are_looked_at_first(
    store: Store, monkeypatch: pytest.MonkeyPatch, filter: str, looked_at: tuple[int, ...]
) -> None:
    monkeypatch.setattr(models, "LOOKED_AT", looked_at)
    for number in range(6):
        discover(store, f"org/{number}", JobState.FAILED if number % 2 else JobState.QUEUED)
    audited(store, "org/seven", Verdict.FLAGGED)
    audited(store, "other/eight\0orange", Verdict.FLAGGED)
    whole = models.order(store, filter=filter).keys
    for limit in range(1, 9):
        first = models.order(store, filter=filter, limit=limit)
        assert first.keys == whole[:limit]
        assert first.whole is (len(whole) <= limit)


def test_every_field_is_an_order(store: Store) -> None:
    discover(store, "org/one")
    for field in models.MODEL_COLUMNS:
        assert names(store, sort=Sort(field, descending=True)) == ["org/one"]


def test_an_older_home_gets_its_lines_and_its_latest_notes(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / "dife.db", isolation_level=None) as raw:
        MIGRATIONS.apply(Database(raw), stop_before="m020_lines_of_models")
        raw.execute(
            "INSERT INTO findings VALUES ('fp1:a', 'org/clip', 'r', 0, 'refused', 'refused', '', '', '', '', '', '',"
            " '[]', '', NULL, 'confirmed', '', '')"
        )
        for note in ("first", "second", ""):
            raw.execute(
                "INSERT INTO triage_events (fingerprint, state, actor, note, at) VALUES"
                " ('fp1:a', 'confirmed', 'ada', ?, '')",
                (note,),
            )
        raw.execute(
            "INSERT INTO jobs (endpoint, repo_id, revision, local, pinned, state, reason, created_at, updated_at,"
            " last_modified, layout, fingerprint) VALUES ('', 'org/clip', 'r', 0, 0, 'refused', '', '', '', '', '',"
            " 'fp1:a')"
        )
    with open_store(home, read_only=True) as store:
        (row,) = models.model_rows(store, filter="second")
        assert (row.comment, row.author, row.triage) == ("second", "org", "confirmed")
        assert store.integrity() == []


def test_a_reading_that_nobody_waits_for_is_broken_off(store: Store) -> None:
    """What runs on another thread ends at once; the handle goes on."""
    put_finding(store, make_finding("fp1:a"))
    forever = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    stop = threading.Timer(0.1, store.interrupt)
    stop.start()
    with pytest.raises(Interrupted):
        store.read(forever)
    stop.join()
    assert len(names(store)) == 1
