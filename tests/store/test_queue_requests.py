"""What is requested of the queue: done by whoever watches, in the order asked, with who asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from store_records import make_finding, put_finding

from dife_scanner.durable.clock import now
from dife_scanner.errors import UsageError
from dife_scanner.records import (
    Artefact,
    DecisionState,
    DeploymentDecision,
    HubModel,
    JobState,
    ModelRef,
)
from dife_scanner.sentences.jobs import waiting_text
from dife_scanner.store import (
    Store,
    artefacts,
    decisions,
    jobs,
    leases,
    polls,
    requests,
    upcoming,
)
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


def listed(store: Store, repo_id: str, *, downloads: int = 0, revision: str = "a" * 40) -> int:
    ref = ModelRef(repo_id, revision)
    model = HubModel(repo_id, revision, "2026-01-01T00:00:00Z", downloads=downloads)
    return jobs.discover(
        store, ref, endpoint="hub", state=JobState.QUEUED, reason="new", model=model
    ).id


def test_what_is_downloaded_most_comes_first_and_authors_take_turns(store: Store) -> None:
    flood = [listed(store, f"flood/m{number}") for number in range(4)]
    small = listed(store, "small/m")
    popular = listed(store, "known/m", downloads=20_000)
    assert order(store) == [popular, flood[0], small, *flood[1:]]
    assert [taken(store) for _ in range(3)] == [popular, flood[0], small]
    late = listed(store, "late/m")
    more = listed(store, "flood/m9")
    expected = [flood[1], late, flood[2], flood[3], more]
    assert order(store) == expected, "who comes late does not pass those by who have waited"
    assert [taken(store) for _ in expected] == expected
    first = listed(store, "known/other", downloads=1_234)
    reason = waiting_text(upcoming.upcoming(store).waiting[0], datetime.now(UTC))
    assert first and reason == "as a listing shows it, 1,000 downloads or more; new"


def test_a_new_revision_of_a_flagged_model_goes_before_what_a_listing_shows(store: Store) -> None:
    found = make_finding()
    put_finding(store, found)
    popular = listed(store, "known/m", downloads=20_000)
    again = listed(store, found.ref.repo_id, revision="b" * 40)
    used = listed(store, "used/m")
    jobs.mark_in_use(store, "hub", ModelRef("used/m", "a" * 40), "train.py:12")
    assert order(store) == [used, again, popular]
    reason = waiting_text(upcoming.upcoming(store).waiting[1], datetime.now(UTC))
    assert reason == "another revision of it is flagged or approved; new"


@pytest.mark.parametrize(
    ("decided", "first"),
    [
        ([DecisionState.APPROVED], True),
        ([DecisionState.CONDITIONS], True),
        ([DecisionState.REFUSED], False),
        ([DecisionState.APPROVED, DecisionState.PENDING], False),  # withdrawn
        ([DecisionState.REFUSED, DecisionState.APPROVED], True),
    ],
)
def test_a_new_revision_of_an_approved_model_goes_before_what_a_listing_shows(
    store: Store, decided: list[DecisionState], first: bool
) -> None:
    earlier = listed(store, "ours/m")
    artefacts.keep(store, earlier, Artefact("art1:ours", ()))
    leases.claim_job(store, earlier, "w", 60)
    leases.finish(store, earlier, "w", JobState.DONE, "")
    for state in decided:
        decisions.append(store, [decision("art1:ours", state)])
    popular = listed(store, "known/m", downloads=20_000)
    again = listed(store, "ours/m", revision="b" * 40)
    assert order(store) == ([again, popular] if first else [popular, again])


def decision(artefact: str, state: DecisionState) -> DeploymentDecision:
    """By ada, for a shop."""
    return DeploymentDecision(
        f"{artefact} {state.value}",
        artefact,
        "shop",
        profile="",
        state=state,
        reason="looked at",
        owner="ada",
        actor="ada",
        at=now(),
        model="ours/m",
    )


def test_a_job_is_cancelled_by_whoever_asked(store: Store) -> None:
    job = queued(store, "a")
    requests.request_queue(store, RequestKind.CANCEL, job, actor="ada")
    assert requests.serve_queue(store) == []
    assert jobs.job(store, job).state is JobState.CANCELLED
    assert jobs.job(store, job).reason == "cancelled by ada"
    assert taken(store) is None
    requests.request_queue(store, RequestKind.CANCEL, job)
    assert "already ended" in requests.serve_queue(store)[0]
    with pytest.raises(UsageError, match="already ended"):
        jobs.cancel(store, job)


def test_the_next_job_is_found_by_an_index_however_many_wait(store: Store) -> None:
    job = listed(store, "org/m")
    plans: list[str] = []
    read = store.read

    def explained(sql: str, parameters: tuple[object, ...] = ()) -> list[dict[str, object]]:
        if sql.startswith("SELECT id FROM jobs INDEXED BY"):
            for row in read(f"EXPLAIN QUERY PLAN {sql}", parameters):
                plans.append(row["detail"])
        return read(sql, parameters)

    store.read = explained  # type: ignore[method-assign]
    assert taken(store) == job
    waiting = [plan for plan in plans if "jobs_waiting" in plan]
    assert waiting and all("COVERING INDEX" in plan for plan in waiting), plans
