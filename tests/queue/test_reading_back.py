"""How far back a watcher reads, in several passes and after a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from queue_kit import work_for

from dife_scanner.app import watching
from dife_scanner.errors import HubUnavailable
from dife_scanner.hub import history
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.lab.loopback.rates import Quotas
from dife_scanner.queue.poller import PassResult, poll_pass
from dife_scanner.store import Store, jobs, open_store, polls

PICKLE = {"open_clip_pytorch_model.bin": b"x"}
SOURCE = "search=clip"


def ago(days: float) -> str:
    moment = datetime.now(UTC) - timedelta(days=days)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 2)
    monkeypatch.setattr("dife_scanner.hub.history.SLICE_PAGES", 1)


@pytest.fixture
def old(hub: LoopbackHub) -> LoopbackHub:
    """Seven models, one of each 200 days."""
    for number in range(7):
        hub.add_repo(f"org/clip-{number}", PICKLE, last_modified=ago(1 + 200 * number))
    return hub


def the_pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes that a hub asked for are over, for whatever asks it from here."""
    now = time.time()
    monkeypatch.setattr("dife_scanner.hub.budget.moment", lambda: now + 300)


def passed(store: Store, hub: LoopbackHub, since: str) -> PassResult:
    return poll_pass(store, work_for(store.home, hub.endpoint, watch={"since": since}))


def test_each_scope_of_time_is_read_and_nothing_twice(
    store: Store, old: LoopbackHub, small_pages: None
) -> None:
    first = passed(store, old, "30 days")
    assert (first.seen, first.new, first.complete) == (1, 1, True)
    further = passed(store, old, "500 days")
    assert (further.new, further.complete) == (2, True)
    everything = passed(store, old, "all")
    assert (everything.new, everything.complete) == (4, True)
    assert len(jobs.jobs(store)) == 7
    before = len(old.requests)
    assert passed(store, old, "30 days").new == 0 and len(old.requests) == before + 1
    assert polls.reaches(store, old.endpoint)[SOURCE].ended


def test_a_reading_that_was_interrupted_goes_on_where_it_was(
    store: Store,
    old: LoopbackHub,
    home: Path,
    small_pages: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old.inject(faults.rate_limited(r"GET /api/models\?", 280, times=None, skip=2))
    first = passed(store, old, "all")
    assert not first.complete and first.new == 4 and SOURCE in first.problems[-1]
    store.close()
    old.heal()
    the_pause_is_over(monkeypatch)
    old.requests.clear()
    with open_store(home) as again:
        unread = watching.unread(
            again, work_for(home, old.endpoint, watch={"since": "all"}).settings
        )
        assert list(unread) == [SOURCE] and unread[SOURCE].oldest < ago(600)
        second = passed(again, old, "all")
        assert second.complete and second.new == 3
        assert len(old.requests) == 3  # the newest once more, then from the third page on
        assert len(jobs.jobs(again)) == 7


def test_a_page_that_the_hub_no_longer_knows_is_begun_from_the_top(
    store: Store, old: LoopbackHub, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.inject(faults.rate_limited(r"GET /api/models\?", 280, times=None, skip=1))
    passed(store, old, "all")
    old.heal()
    the_pause_is_over(monkeypatch)
    old.inject(faults.status("cursor=", 400, times=1))
    assert not passed(store, old, "all").complete
    last = passed(store, old, "all")
    assert last.complete and len(jobs.jobs(store)) == 7


@pytest.fixture
def slow_hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "slow", quotas=Quotas(api=10)) as hub:
        for number in range(20):
            hub.add_repo(f"org/clip-{number}", PICKLE, last_modified=ago(number))
        yield hub


def test_reading_back_leaves_half_of_the_hubs_window_to_others(
    store: Store, slow_hub: LoopbackHub, small_pages: None
) -> None:
    first = passed(store, slow_hub, "all")
    assert not first.complete and "the next pass goes on" in first.problems[-1]
    assert len(slow_hub.requests) == 5 and first.new == 10


SIX = tuple(f"search={name}" for name in ("clip", "siglip", "blip", "coca", "eva", "none"))


@pytest.fixture
def narrow_hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """It allows four requests in a window, and has five models in each of five sources; one source shows nothing."""
    with LoopbackHub(tmp_path / "narrow", quotas=Quotas(api=4)) as hub:
        for source in SIX[:-1]:
            name = source.partition("=")[2]
            for number in range(5):
                hub.add_repo(f"org/{name}-{number}", PICKLE, last_modified=ago(1 + 200 * number))
        yield hub


def test_a_hub_that_allows_fewer_requests_than_there_are_sources_is_read_to_its_end(
    store: Store, narrow_hub: LoopbackHub, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window goes on where the last one stopped, and afterwards each source has its turn with what is new."""
    work = work_for(store.home, narrow_hub.endpoint, watch={"since": "all"})
    work = replace(work, settings=work.settings.model_copy(update={"filters": SIX}))
    at = time.time()

    def window() -> PassResult:
        nonlocal at
        at += 301
        monkeypatch.setattr("dife_scanner.hub.budget.moment", lambda: at)
        narrow_hub._rates.reset()
        before = len(narrow_hub.requests)
        done = poll_pass(store, work)
        assert len(narrow_hub.requests) - before <= 4
        return done

    passes = [window()]
    while len(jobs.jobs(store)) < 25:
        assert len(passes) < 40, "some source is never read"
        passes.append(window())
    assert not any(one.complete for one in passes[:-1])
    for source in SIX[:-1]:
        narrow_hub.commit(f"org/{source.partition('=')[2]}-4", {"README.md": b"again"})
    for _ in range(4):
        window()
    assert len(jobs.jobs(store)) == 30, "what is new in one of the sources is not found"


def test_what_changes_meanwhile_is_found_by_the_next_pass(
    store: Store, old: LoopbackHub, small_pages: None
) -> None:
    old.inject(
        faults.meanwhile(r"cursor=", lambda: old.commit("org/clip-6", {"README.md": b"again"}))
    )
    assert passed(store, old, "all").new == 6  # the seventh jumped ahead
    assert passed(store, old, "all").new == 1


def test_a_source_without_a_model_is_begun_again_each_time(store: Store, hub: LoopbackHub) -> None:
    assert passed(store, hub, "30 days").complete
    hub.add_repo("org/clip", PICKLE, last_modified=ago(20))
    assert passed(store, hub, "30 days").new == 1


def test_a_hub_that_gives_up_is_the_error_of_the_pass(store: Store, old: LoopbackHub) -> None:
    old.inject(faults.rate_limited(r"GET /api/models\?", 280, times=None))
    with pytest.raises(HubUnavailable, match="limits our rate"):
        passed(store, old, "30 days")
    assert not polls.reaches(store, old.endpoint) and history.SHARE == 0.5
