"""A hub's windows, shared by all that ask it from one home: what is used up is waited for, not asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dife_scanner.errors import HubUnavailable
from dife_scanner.hub import Hub, budget
from dife_scanner.hub.budget import API, RESOLVERS, Budget, RateLimit, bucket_of
from dife_scanner.hub.history import has_room
from dife_scanner.hub.status import LONGEST_WAIT
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.lab.loopback.rates import Quotas

HOUR = 3600.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A hub that allows twenty requests of its API in a window; a look at a model takes two."""
    with LoopbackHub(tmp_path / "lab", quotas=Quotas(api=20)) as lab:
        yield lab


@pytest.fixture
def shared(tmp_path: Path) -> Budget:
    return Budget(tmp_path / "windows.json")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(budget, "moment", lambda: seconds)

    return set_to


def _left(shared: Budget) -> int:
    rate = shared.rate(API)
    assert rate is not None
    return rate.remaining


def test_what_one_process_asks_for_is_no_longer_there_for_another(
    add_clip: Callable[..., object], connect: Callable[..., Hub], tmp_path: Path
) -> None:
    add_clip()
    poller = connect(budget=Budget(tmp_path / "windows.json"))
    worker = connect(budget=Budget(tmp_path / "windows.json"))
    for _ in range(4):
        poller.info("org/clip")
    assert has_room(poller)
    for _ in range(5):
        worker.info("org/clip")
    assert poller.rate and poller.rate.remaining == 2
    assert not has_room(poller)  # though its own last answer left twelve
    poller.info("org/clip")
    for one in (poller, worker):
        sent = one.requests
        with pytest.raises(HubUnavailable, match="limits our rate for") as caught:
            one.info("org/clip")
        assert one.requests == sent, "what is used up is not asked for"
        assert caught.value.retry_after and 0 < caught.value.retry_after <= 302


def test_a_pause_that_one_was_asked_for_is_kept_by_all(
    add_clip: Callable[..., object],
    lab: LoopbackHub,
    connect: Callable[..., Hub],
    shared: Budget,
    naps: list[float],
) -> None:
    add_clip()
    lab.inject(faults.rate_limited(r"GET /api/models/org/clip\?", 290, retry_after=True))
    first, second = connect(budget=shared, tries=1), connect(budget=shared)
    with pytest.raises(HubUnavailable):
        first.info("org/clip")
    with pytest.raises(HubUnavailable, match="limits our rate for 29") as caught:
        second.info("org/clip")
    assert second.requests == 0 and naps == []  # longer than our patience: handed up, nobody sleeps
    assert caught.value.retry_after and caught.value.retry_after > 280


def test_a_new_window_is_full_again(shared: Budget, at: Callable[[float], None]) -> None:
    at(HOUR)
    shared.note(RateLimit(API, 1, 20, 500, 300))
    assert (shared.take(API), shared.take(API)) == (0.0, 20.0)
    at(HOUR + 20)
    assert shared.take(API) == 0.0 and _left(shared) == 499
    shared.refused(API, 7.0)
    assert shared.take(API) == 7.0
    assert shared.take(RESOLVERS) == 0.0  # nothing is known of it


def test_of_one_window_the_smallest_remainder_counts(
    shared: Budget, at: Callable[[float], None]
) -> None:
    at(HOUR)
    shared.note(RateLimit(API, 5, 100, 500, 300))
    shared.take(API)
    shared.note(RateLimit(API, 9, 99, 500, 300))  # an answer that was long on its way
    assert _left(shared) == 4
    shared.note(RateLimit(API, 480, 280, 500, 300))  # of the next window
    assert _left(shared) == 480


def test_a_clock_that_was_set_back_and_a_machine_that_slept_hold_up_nobody(
    shared: Budget, at: Callable[[float], None]
) -> None:
    at(1000 * HOUR)
    shared.note(RateLimit(API, 0, 10**9, 500, 300))
    assert shared.take(API) == LONGEST_WAIT
    at(10 * HOUR)
    assert shared.take(API) == 0.0
    shared.note(RateLimit(API, 0, 200, None, None))
    at(20 * HOUR)
    assert shared.take(API) == 0.0


@pytest.mark.parametrize("content", ["", "[]", '{"api": 1}', '{"api": {"left": "x"}}', "\x00"])
def test_a_damaged_file_costs_nothing(content: str, tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    path.write_text(content)
    assert Budget(path).take(RESOLVERS) == 0.0


def test_a_place_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = Budget(tmp_path / "file" / "windows.json")
    nowhere.note(RateLimit(API, 0, 100, 500, 300))
    assert nowhere.take(API) == 0.0 and nowhere.rate(API) is None


def test_processes_together_take_what_there_is_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    Budget(path).note(RateLimit(API, 60, 300, 500, 300))
    program = (
        "import sys; from pathlib import Path; from dife_scanner.hub.budget import Budget;"
        "shared = Budget(Path(sys.argv[1]));"
        "print(sum(shared.take('api') == 0 for _ in range(50)))"
    )
    command = [sys.executable, "-c", program, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [int(one.communicate(timeout=120)[0]) for one in running]
    assert sum(taken) == 60 and Budget(path).take(API) > 0


def test_each_path_has_its_limit() -> None:
    assert bucket_of("/api/models/org/clip") == API
    assert bucket_of("/org/clip/resolve/main/config.json") == RESOLVERS
    assert bucket_of("/api/resolve-cache/models/org/clip") == RESOLVERS
    assert bucket_of("/org/clip") == budget.PAGES
