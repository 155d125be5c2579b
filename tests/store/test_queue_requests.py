"""What is requested of the queue: done by whoever watches, in the order asked, with who asked."""

from __future__ import annotations

import pytest

from dife_scanner.records import JobState, ModelRef
from dife_scanner.store import Store, jobs, leases, polls, requests, upcoming
from dife_scanner.store.requests import RequestKind


def queued(store: Store, name: str, state: JobState = JobState.QUEUED) -> int:
    ref = ModelRef(f"org/{name}", "a" * 40)
    return jobs.discover(store, ref, endpoint="hub", state=state, reason=name).id


def order(store: Store) -> list[int]:
    return [one.job.id for one in upcoming.upcoming(store).waiting]


def taken(store: Store) -> int | None:
    found = leases.claim(store, "w", 60)
    return found.id if found else None


def test_the_queue_is_listed_as_it_will_be_taken(store: Store) -> None:
    first, second, third = (queued(store, name) for name in ("a", "b", "c"))
    jobs.mark_in_use(store, "hub", ModelRef("org/c", "a" * 40), "train.py:12")
    stuck = queued(store, "d", JobState.QUARANTINED)
    assert order(store) == [third, first, second]
    requests.request_queue(store, RequestKind.FRONT, second, actor="ada")
    requests.request_queue(store, RequestKind.RETRY, stuck, actor="ada")
    assert len(upcoming.upcoming(store).asked) == 2
    assert requests.serve_queue(store) == [] and not upcoming.upcoming(store).asked
    expected = order(store)
    assert expected == [second, stuck, third, first]
    assert [taken(store) for _ in expected] == expected


def test_what_is_in_work_says_how_far_it_is(store: Store) -> None:
    job = queued(store, "a")
    assert leases.claim(store, "host:4711:12.50", 60) is not None
    polls.beat(store, "worker", 4711, "auditing org/a: testing, 3 of 24")
    found = upcoming.upcoming(store)
    assert found.progress == {job: "auditing org/a: testing, 3 of 24"}


def test_a_paused_queue_hands_out_nothing_until_it_goes_on(store: Store) -> None:
    job = queued(store, "a")
    requests.request_queue(store, RequestKind.PAUSE, actor="ada")
    assert requests.paused_by(store) is None, "nobody has served it yet"
    requests.serve_queue(store)
    paused = requests.paused_by(store)
    assert paused is not None and paused.actor == "ada"
    assert taken(store) is None and leases.claim_ahead(store, "w", 60, 0) is None
    requests.request_queue(store, RequestKind.RESUME)
    requests.serve_queue(store)
    assert requests.paused_by(store) is None and taken(store) == job


def test_what_cannot_be_done_is_told_and_does_not_come_again(store: Store) -> None:
    done = queued(store, "a", JobState.UNSUPPORTED)
    requests.request_queue(store, RequestKind.FRONT, done)
    requests.request_queue(store, RequestKind.RETRY, 4711)
    problems = requests.serve_queue(store)
    assert "does not wait" in problems[0] and "no job 4711" in problems[1]
    assert requests.serve_queue(store) == []
    with pytest.raises(ValueError, match="front"):
        requests.request_queue(store, RequestKind.FRONT)


def test_passes_do_not_start_for_what_the_queue_is_asked(store: Store) -> None:
    requests.request_queue(store, RequestKind.PAUSE)
    assert requests.waiting(store) == []
