"""What the window reads, when, and what it makes of trouble."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gui_factories as factories
import pytest
from dife_gui import feed as feed_room
from dife_gui.background import Background
from dife_gui.feed import Feed, check_filter, detail, overview
from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from dife_scanner.durable.clock import now
from dife_scanner.errors import DifeError, HomeUnwritable, NotFound
from dife_scanner.records import FindingKind, JobState, TriageState
from dife_scanner.store import db, evidence, findings, models, outbox, polls, query, triage
from dife_scanner.store.db import DATABASE, Store, open_store
from dife_scanner.store.polls import Beat


@pytest.fixture
def feed(qtbot: QtBot, store: Store, home: Path):
    made = Feed(home, milliseconds=20)
    yield made
    made.close()


def test_a_commit_elsewhere_is_noticed_and_nothing_else_is(
    qtbot: QtBot, feed: Feed, store: Store
) -> None:
    with qtbot.waitSignal(feed.changed):
        feed.start()
    with qtbot.assertNotEmitted(feed.changed, wait=100):
        pass
    with qtbot.waitSignal(feed.changed):
        factories.discover(store, "org/new")


def test_refresh_reads_again_without_a_commit(qtbot: QtBot, feed: Feed) -> None:
    feed.start()
    with qtbot.waitSignal(feed.changed):
        feed.refresh()


def test_a_replaced_database_is_opened_again(
    qtbot: QtBot, feed: Feed, home: Path, tmp_path: Path
) -> None:
    feed.start()
    with open_store(tmp_path / "other") as other:
        factories.discover(other, "org/other")
    with qtbot.waitSignals([feed.replaced, feed.changed]):
        for suffix in ("-wal", "-shm"):
            (home / f"{DATABASE}{suffix}").unlink(missing_ok=True)
        (tmp_path / "other" / DATABASE).replace(home / DATABASE)


def test_a_home_of_somebody_else_is_followed_through_copies(
    qtbot: QtBot, feed: Feed, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_ours(*_: object, **__: object) -> None:
        raise HomeUnwritable("unable to open database file")

    monkeypatch.setattr(db, "_connect_checked", not_ours)
    with qtbot.waitSignal(feed.changed):
        feed.start()
    with qtbot.assertNotEmitted(feed.changed, wait=100):
        pass
    with qtbot.waitSignals([feed.replaced, feed.changed]):
        factories.discover(store, "org/new")


def test_a_held_database_is_told_and_does_not_stop_the_window(
    qtbot: QtBot, home: Path, tmp_path: Path
) -> None:
    open_store(home).close()
    with contextlib.closing(sqlite3.connect(home / DATABASE, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        feed = Feed(home, milliseconds=20)
        with qtbot.waitSignal(feed.failed, timeout=500) as told:
            feed.start()
        assert "held by another program" in told.args[0].what
    with qtbot.waitSignal(feed.changed):
        pass
    feed.close()


def test_a_damaged_database_is_told_once(qtbot: QtBot, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / DATABASE).write_bytes(b"this is not a database" * 100)
    feed = Feed(broken, milliseconds=20)
    told: list[DifeError] = []
    feed.failed.connect(told.append)
    feed.start()
    qtbot.wait(100)
    feed.close()
    assert len(told) == 1
    assert "damaged" in told[0].what


# --- readings -------------------------------------------------------------------------------------------------


def test_an_overview_has_the_bases_that_changed_until_somebody_decides(filled: Store) -> None:
    finding = replace(findings.findings(filled)[0], fingerprint="fp1:" + "c" * 16)
    with filled.atomic("test"):
        findings.insert_finding(filled, replace(finding, kind=FindingKind.CHANGED), None)
    (told,) = overview(filled).changed
    assert told.fingerprint == finding.fingerprint
    triage.decide(
        filled, TriageState.TRIAGING, triage.seen(filled, [told.fingerprint]), actor="somebody"
    )
    assert overview(filled).changed == ()


def test_an_overview_has_what_stands_around_the_list(filled: Store) -> None:
    found = overview(filled)
    assert found.total == 15
    assert found.counts[JobState.REFUSED.value] == 1
    assert [alert.last_error for alert in found.dead] == ["invalid_token"]
    assert polls.is_alive(found.watcher)
    assert found.last_poll is not None


def test_a_filter_with_an_unknown_field_is_refused_before_the_store_is_asked() -> None:
    assert check_filter("verdict:flagged !channel:image word").valid
    assert check_filter("").valid
    wrong = check_filter("verdict:flagged colour:red")
    assert not wrong.valid
    assert "column 17" in wrong.message


def test_quick_filters_are_valid() -> None:
    assert all(check_filter(text).valid for _, text in feed_room.QUICK_FILTERS)


def test_a_watcher_runs_while_its_process_does(store: Store) -> None:
    """The same rule as `dife status`: however long ago it was heard, and however lately."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    at = now()
    assert not polls.is_alive(Beat("watcher", ended.pid, "", at))
    assert polls.is_alive(Beat("watcher", os.getpid(), "", at))
    before_it_began = "2026-01-01T00:00:00.000000+00:00"
    assert not polls.is_alive(Beat("watcher", os.getpid(), "", before_it_began))
    assert not polls.is_alive(Beat("watcher", os.getpid(), "", "nonsense"))
    assert not polls.is_alive(None)


def test_other_roles_are_not_the_watcher(store: Store) -> None:
    polls.beat(store, "worker", 1, "")
    assert overview(store).watcher is None


def test_a_detail_holds_everything_of_one_model(filled: Store) -> None:
    row = models.model_rows(filled, filter="repo:demo/clip-badencoder")[0]
    found = detail(filled, row.job.id)
    assert found.audit is not None
    assert found.audit.verdict == "flagged"
    assert found.finding is not None
    assert found.manifest is not None
    assert [picture.role for picture in found.pictures].count("triggered-example") == 3
    assert all(picture.content and not picture.problem for picture in found.pictures)


def test_a_missing_and_a_changed_picture_are_shown_as_such(filled: Store) -> None:
    row = models.model_rows(filled, filter="repo:demo/clip-badencoder")[0]
    first, second = detail(filled, row.job.id).pictures[:2]
    evidence.path(filled.home, first.sha256).unlink()
    evidence.path(filled.home, second.sha256).write_bytes(b"something else")
    missing, changed = detail(filled, row.job.id).pictures[:2]
    assert missing.content is None
    assert missing.problem
    assert changed.content is None
    assert "changed" in changed.problem


def test_a_lost_audit_record_leaves_the_rest(filled: Store) -> None:
    row = models.model_rows(filled, filter="repo:demo/clip-badencoder")[0]
    shutil.rmtree(filled.home / "evidence")
    found = detail(filled, row.job.id)
    assert found.audit is None
    assert found.problem
    assert found.finding is not None


def test_a_detail_of_no_job_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        detail(store, 99)


# --- off the window's thread ----------------------------------------------------------------------------------


@pytest.fixture
def background(qtbot: QtBot, home: Path):
    made = Background(home)
    yield made
    made.close()


def test_reads_run_elsewhere_and_answer_here(
    qtbot: QtBot, background: Background, filled: Store
) -> None:
    answers: list[tuple[str, str]] = []

    def read(store: Store) -> str:
        assert store.read_only
        return threading.current_thread().name

    background.read(
        read, lambda name: answers.append((name, threading.current_thread().name)), pytest.fail
    )
    qtbot.waitUntil(lambda: bool(answers))
    assert answers[0][0].startswith("dife-store")
    assert answers[0][1] == "MainThread"


def test_a_known_error_goes_to_failure(qtbot: QtBot, background: Background, filled: Store) -> None:
    told: list[DifeError] = []
    background.read(
        lambda store: models.model_rows(store, filter="nonsense:1"), pytest.fail, told.append
    )
    qtbot.waitUntil(lambda: bool(told))
    assert isinstance(told[0], query.QueryError)


def test_a_mistake_of_ours_is_told_and_raised(
    qtbot: QtBot, background: Background, filled: Store
) -> None:
    told: list[DifeError] = []
    with capture_exceptions() as raised:
        background.read(lambda store: [][1], pytest.fail, told.append)
        qtbot.waitUntil(lambda: bool(told))
    assert [kind for kind, _, _ in raised] == [IndexError]


def test_writes_have_their_own_short_handle(
    qtbot: QtBot, background: Background, filled: Store
) -> None:
    stored: list[object] = []
    fingerprint = findings.findings(filled, filter="trigger:rare-prefix-xbtd")[0].fingerprint
    background.write(
        lambda store: triage.decide(
            store, TriageState.CONFIRMED, triage.seen(store, [fingerprint]), actor="ann"
        ),
        stored.append,
        pytest.fail,
    )
    qtbot.waitUntil(lambda: bool(stored))
    assert findings.finding(filled, fingerprint).triage is TriageState.CONFIRMED


def test_nothing_is_delivered_after_closing(qtbot: QtBot, home: Path, filled: Store) -> None:
    background, answers = Background(home), []
    background.read(lambda store: 1, answers.append, pytest.fail)
    background.close()
    background.read(lambda store: 2, answers.append, pytest.fail)
    qtbot.wait(30)
    assert answers == []


def test_reviving_dead_alerts_empties_the_banner(filled: Store) -> None:
    assert outbox.revive(filled) == 1
    assert overview(filled).dead == ()
