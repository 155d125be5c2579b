"""`dife queue`: what comes next and why, how much waits and for how long, and what is asked of the queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import dife
from desk_kit import said
from store_records import make_audit

from dife_scanner.records import HubModel, Job, JobState, ModelRef
from dife_scanner.reports import table
from dife_scanner.store import Store, jobs, leases, open_store, requests

REASONS = {
    "me/first": "put first; new",
    "us/used": "in use: train.py:12; new",
    "big/known": "as a listing shows it, 10,000 downloads or more; new",
    "any/other": "as a listing shows it; new",
}
"""By model, in the order in which they are taken: why it stands there."""


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """What waits was discovered in the reverse order; one is put off, and one was done."""
    with open_store(home) as opened:
        done = _listed(opened, "x/done")
        leases.claim_job(opened, done.id, "w", 60)
        leases.finish(opened, done.id, "w", JobState.DONE, "", audit=make_audit())
        later = _listed(opened, "b/later")
        leases.claim_job(opened, later.id, "w", 60)
        leases.retry_later(opened, later.id, "w", "the hub did not answer", 3600, kind="x")
        _listed(opened, "any/other")
        _listed(opened, "big/known", downloads=20_000)
        used = _listed(opened, "us/used")
        jobs.mark_in_use(opened, "hub", used.ref, "train.py:12")
        first = _listed(opened, "me/first")
        requests.request_queue(opened, requests.RequestKind.FRONT, first.id)
        requests.serve_queue(opened)
        yield opened


def _listed(store: Store, name: str, downloads: int | None = None) -> Job:
    ref = ModelRef(name, "a" * 40)
    model = HubModel(name, ref.revision, "2026-11-01T00:00:00.000Z", downloads=downloads)
    return jobs.discover(
        store, ref, endpoint="hub", state=JobState.QUEUED, reason="new", model=model
    )


def test_what_comes_next_is_told_with_its_reason_in_the_order_in_which_it_is_taken(
    home: Path, store: Store
) -> None:
    found = said(home, "queue", "--limit", "1")
    assert [one["ref"]["repo_id"] for one in found["jobs"]] == ["me/first"]
    *coming, last = found["next"]
    assert [(one["ref"]["repo_id"], one["reason"]) for one in coming] == list(REASONS.items())
    assert (last["ref"]["repo_id"], last["due"]) == ("b/later", False)
    assert last["reason"].startswith("in ") and "the hub did not answer" in last["reason"]
    assert found["hours_left"] > 0
    shown = dife("queue", "--home", home).stdout
    _, _, below = shown.partition("why there")
    places = [below.index(name) for name in (*REASONS, "b/later")]
    assert places == sorted(places), shown
    words = " ".join(below.split())
    assert "in use: train.py:12" in words and "0 in work, 5 waiting, 0 stuck; about " in words
    taken = [leases.claim(store, "w", 60) for _ in REASONS]
    assert [one.id for one in taken if one] == [one["job"] for one in coming]
    assert leases.claim(store, "w", 60) is None


def test_the_table_ends_after_the_next_few(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MOST_COMING", 2)
    _, _, below = dife("queue", "--home", home).stdout.partition("why there")
    assert "us/used" in below and "big/known" not in below


def test_a_job_is_queued_again_and_stopped_and_a_paused_queue_goes_on_as_somebody_asks(
    home: Path, store: Store
) -> None:
    done, waiting = (_of(store, name).id for name in ("x/done", "any/other"))
    for words in (["pause"], ["retry", done], ["cancel", waiting]):
        asked = dife("queue", *words, "--actor", "ada", "--home", home)
        assert asked.returncode == 0 and "asked; the watcher does it" in asked.stderr
    assert requests.serve_queue(store) == []
    assert jobs.job(store, done).state is JobState.QUEUED
    stopped = jobs.job(store, waiting)
    assert (stopped.state, stopped.reason) == (JobState.CANCELLED, "cancelled by ada")
    assert requests.paused_by(store) and leases.claim(store, "w", 60) is None
    assert "; paused by ada, " in dife("queue", "--home", home).stdout
    said(home, "queue", "resume", "--actor", "ada")
    assert requests.serve_queue(store) == [] and not requests.paused_by(store)
    assert leases.claim(store, "w", 60) is not None


def _of(store: Store, name: str) -> Job:
    (found,) = [job for job in jobs.jobs(store) if job.ref.repo_id == name]
    return found
