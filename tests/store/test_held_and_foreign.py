"""A database that another program holds, and one in a home that this user may only look at."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from store_records import make_ref
from waiting import BUSY_SECONDS

from dife_scanner.durable import jumps
from dife_scanner.durable.clock import later
from dife_scanner.errors import HomeUnwritable, StoreBusy
from dife_scanner.records import JobState
from dife_scanner.store import Patience, Store, copies, jobs, leases, open_store
from dife_scanner.store.db import DATABASE


@contextmanager
def held(home: Path, how: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """Another program's transaction."""
    other = sqlite3.connect(home / DATABASE, isolation_level=None, check_same_thread=False)
    try:
        other.execute(how)
        yield other
    finally:
        other.close()


def discover(store: Store, name: str = "org/clip") -> None:
    jobs.discover(store, make_ref(name), endpoint="", state=JobState.QUEUED, reason="new")


# --- held by another program ----------------------------------------------------------------------------------


def test_a_write_gives_up_after_its_patience_with_words(home: Path, store: Store) -> None:
    said: list[str] = []
    with open_store(home, patience=Patience(0.3, said.append)) as patient, held(home):
        began = time.monotonic()
        with pytest.raises(StoreBusy, match="held by another program") as caught:
            discover(patient)
        assert 0.3 <= time.monotonic() - began < BUSY_SECONDS
        assert len(said) == 1
        assert str(home) in said[0]
        assert caught.value.advice
        assert caught.value.exit_code == 3
        assert jobs.jobs(patient) == []  # whoever only reads is not held up
    discover(store)


def test_a_write_goes_on_once_the_database_is_free(home: Path, store: Store) -> None:
    said: list[str] = []
    with open_store(home, patience=Patience(math.inf, said.append)) as patient:
        with held(home) as other:
            threading.Timer(1.3, other.execute, ("COMMIT",)).start()
            discover(patient)
        assert len(said) == 1
        assert len(jobs.jobs(store)) == 1


def test_waiting_ends_where_the_process_is_asked_to_stop(home: Path, store: Store) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    patience = Patience(math.inf, lambda _: None, stop.is_set)
    with open_store(home, patience=patience) as patient, held(home), pytest.raises(StoreBusy):
        discover(patient)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_that_lets_nobody_read_is_waited_for_too(home: Path, read_only: bool) -> None:
    open_store(home).close()
    patience = Patience(0.2, lambda _: None)
    with (
        held(home, "PRAGMA locking_mode=EXCLUSIVE") as other,
        pytest.raises(StoreBusy),
    ):
        other.execute("BEGIN EXCLUSIVE")
        with open_store(home, read_only=read_only, patience=patience) as store:
            jobs.jobs(store)


def test_a_lease_that_ran_out_while_nobody_could_renew_it_is_not_lost(
    home: Path, store: Store
) -> None:
    discover(store)
    with open_store(home, patience=Patience(0.1, lambda _: None)) as patient:
        job = leases.claim(patient, "elsewhere:1:1.0", -1.0)
        assert job is not None
        with held(home), pytest.raises(StoreBusy):
            leases.heartbeat(patient, job.id, "elsewhere:1:1.0", 60)
        assert leases.requeue_lost(patient) == []
        assert len(leases.requeue_lost(patient, gone=lambda worker: True)) == 1


def test_a_lease_that_ran_out_while_the_machine_slept_is_not_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(store)
    assert leases.claim(store, "elsewhere:1:1.0", 60.0)
    assert leases.requeue_lost(store) == []
    real = time.time
    monkeypatch.setattr(jumps.time, "time", lambda: real() + 3600)
    monkeypatch.setattr(leases, "now", lambda: later(3600))
    assert leases.requeue_lost(store) == []  # it could not be renewed; now it can
    monkeypatch.setattr(leases, "GRACE_SECONDS", 0.0)
    assert len(leases.requeue_lost(store)) == 1


# --- somebody else's home -------------------------------------------------------------------------------------


def as_nobody(act: Callable[[], None]) -> None:
    """Call `act` in a child that has become another user; fails the test where it raises."""
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            act()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A home of root's that everybody may look into; not below `tmp_path`, which only its owner may enter."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp())
    home = folder / "home"
    try:
        with open_store(home) as store:
            discover(store)
        opened_up(folder)
        yield home
    finally:
        shutil.rmtree(folder)


def opened_up(folder: Path) -> None:
    subprocess.run(["chmod", "-R", "a+rX,go-w", str(folder)], check=True)


def test_a_foreign_home_is_read_and_says_that_it_cannot_be_written(foreign: Path) -> None:
    before = sorted(foreign.iterdir())

    def look() -> None:
        with open_store(foreign, read_only=True) as store:
            assert [job.ref.repo_id for job in jobs.jobs(store)] == ["org/clip"]
            assert not store.outdated
        with pytest.raises(HomeUnwritable, match="cannot be written"):
            open_store(foreign)

    as_nobody(look)
    assert sorted(foreign.iterdir()) == before
    assert not list(Path(tempfile.gettempdir()).glob("dife-read-*"))


def test_a_foreign_home_is_read_while_its_owner_writes(foreign: Path) -> None:
    with open_store(foreign) as owner:
        discover(owner, "org/second")
        opened_up(foreign)  # the log, too

        def look() -> None:
            with open_store(foreign, read_only=True) as store:
                assert len(jobs.jobs(store)) == 2

        as_nobody(look)


def test_what_a_crash_left_in_the_log_is_read_too(foreign: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from dife_scanner.store import open_store\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "with store.atomic('test'): store.write('UPDATE jobs SET reason = ?', ('in the log',))\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(foreign)], check=True)
    (foreign / f"{DATABASE}-shm").unlink()
    opened_up(foreign)

    def look() -> None:
        with open_store(foreign, read_only=True) as store:
            assert jobs.jobs(store)[0].reason == "in the log"

    as_nobody(look)


def test_an_older_foreign_home_is_read_as_it_would_be_after_an_update(foreign: Path) -> None:
    with sqlite3.connect(foreign / DATABASE) as database:
        database.execute("ALTER TABLE triage_events DROP COLUMN repo_id")
        database.execute("DELETE FROM _sqlite_migrations WHERE name = 'm006_where_decided'")
    database.close()

    def look() -> None:
        with open_store(foreign, read_only=True) as store:
            assert store.read("SELECT repo_id FROM triage_events") == []

    as_nobody(look)


def test_a_handle_on_a_copy_knows_when_the_original_changed(home: Path) -> None:
    with open_store(home) as owner:
        discover(owner)
    copy = copies.make(home / DATABASE)
    assert copies.state_of(home / DATABASE) == copy.of
    with open_store(home) as owner:
        discover(owner, "org/second")
    assert copies.state_of(home / DATABASE) != copy.of
    copy.remove()
    assert not copy.path.exists()


def test_what_its_owner_lets_others_read_stays_so(home: Path) -> None:
    open_store(home).close()
    assert (home / DATABASE).stat().st_mode & 0o777 == 0o600
    (home / DATABASE).chmod(0o644)
    open_store(home).close()
    assert (home / DATABASE).stat().st_mode & 0o777 == 0o644
