"""How fast the queue is worked through is read from what became of its jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_records import make_audit

from dife_scanner.records import Encoded, JobState, ModelRef
from dife_scanner.sentences.jobs import throughput_lines
from dife_scanner.store import Store, jobs, leases
from dife_scanner.store.throughput import throughput


def queued(store: Store, name: str) -> int:
    ref = ModelRef(f"org/{name}", "a" * 40)
    return jobs.discover(store, ref, endpoint="hub", state=JobState.QUEUED, reason="").id


def test_an_empty_home_has_no_pace(store: Store) -> None:
    found = throughput(store)
    assert (found.jobs_per_hour, found.hours_left, found.oldest_waiting) == (0.0, None, None)
    assert len(throughput_lines(found)) == 1


def test_what_was_done_what_failed_and_when_it_is_over(store: Store) -> None:
    made, same, broken, shaky, left = (queued(store, name) for name in "abcde")
    did = Encoded(pictures=600, texts=60, remembered=340)
    audit = replace(
        make_audit(), ref=ModelRef("org/a", "a" * 40), seconds=30.0, device="cuda:1", encoded=did
    )
    for job in (made, same):
        leases.claim_job(store, job, "w", 60)
        leases.finish(store, job, "w", JobState.DONE, "", audit=audit)
    leases.claim_job(store, broken, "w", 60)
    leases.finish(store, broken, "w", JobState.FAILED, "it broke")
    leases.claim_job(store, shaky, "w", 60)
    leases.retry_later(store, shaky, "w", "no answer", 60, kind="HubUnavailable")
    found = throughput(store)
    assert (found.audits, found.reused, found.waiting) == (1, 1, 2)
    assert found.failures == {"failed": 1, "HubUnavailable": 1}
    assert found.jobs_per_hour == pytest.approx(2 / found.hours)
    assert found.busy == pytest.approx(30 / (3600 * found.hours))
    assert found.devices == {"cuda:1": found.busy}
    assert (found.pictures_per_second, found.texts_per_second) == (20.0, 2.0)
    assert found.remembered == 0.34
    assert found.hours_left == pytest.approx(found.hours), "as many wait as have ended"
    assert found.oldest_waiting == jobs.job(store, shaky).created_at
    lines = throughput_lines(found)
    assert "1 answered by an earlier audit" in lines[0] and "1 failed" in lines[2]
    assert (
        "20 pictures and 2 texts a second, 34% of inputs known before; in use: cuda:1" in lines[1]
    )
    assert lines[3].startswith("waiting: 2, the oldest since") and left


def test_the_oldest_unaudited_is_what_no_audit_was_stored_of_in_whatever_state(
    store: Store,
) -> None:
    """Not only what waits: one that is gated or failed is not audited either."""
    audited, again, gated, left = (queued(store, name) for name in "abcd")
    ref = ModelRef("org/a", "a" * 40)
    leases.claim_job(store, audited, "w", 60)
    leases.finish(store, audited, "w", JobState.DONE, "", audit=replace(make_audit(), ref=ref))
    elsewhere = jobs.discover(store, ref, endpoint="mirror", state=JobState.QUEUED, reason="").id
    assert jobs.job(store, elsewhere).audit_id is None, "the same revision, on another hub"
    leases.claim_job(store, again, "w", 60)
    leases.finish(store, again, "w", JobState.FAILED, "it broke")
    leases.claim_job(store, gated, "w", 60)
    leases.finish(store, gated, "w", JobState.GATED, "its author wants to know who you are")
    assert throughput(store).oldest_unaudited == jobs.job(store, again)
    other = replace(make_audit(), id="b" * 16, identity="b" * 64, ref=ModelRef("org/b", "a" * 40))
    jobs.requeue(store, again)
    leases.claim_job(store, again, "w", 60)
    leases.finish(store, again, "w", JobState.DONE, "", audit=other)
    oldest = throughput(store).oldest_unaudited
    assert oldest == jobs.job(store, gated) and left != gated
    line = throughput_lines(throughput(store))[-1]
    assert line.startswith(f"oldest unaudited: org/c@{'a' * 12}, discovered ")
    assert line.endswith(", gated")
