"""`dife status` on a home in which something was done: each number that a person or a script looks for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from calling import dife
from store_records import make_audit

from dife_scanner import settings as settings_
from dife_scanner.durable import hub_windows
from dife_scanner.hub.budget import API, Budget, RateLimit
from dife_scanner.records import Encoded, Job, JobState, ModelRef
from dife_scanner.store import Store, jobs, leases, open_store, polls


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    """Two jobs are done, of which one needed no audit; one failed, one is put off, two wait."""
    home = tmp_path / "home"
    settings = settings_.load(home)
    did = Encoded(pictures=600, texts=60, remembered=340)
    with open_store(home) as store:
        made, same, broken, shaky, *_ = (_queued(store, name) for name in "abcdef")
        audit = replace(make_audit(), ref=made.ref, seconds=30.0, device="cuda:1", encoded=did)
        for job in (made, same):
            leases.claim_job(store, job.id, "w", 60)
            leases.finish(store, job.id, "w", JobState.DONE, "", audit=audit)
        leases.claim_job(store, broken.id, "w", 60)
        leases.finish(store, broken.id, "w", JobState.FAILED, "it broke")
        leases.claim_job(store, shaky.id, "w", 60)
        leases.retry_later(store, shaky.id, "w", "no answer", 60, kind="HubUnavailable")
        polls.complete_pass(store, settings.endpoint, {}, 6, 6, 0, requests=7)
        for _ in range(30):  # the first reading of a hub takes many
            polls.complete_pass(store, settings.endpoint, {}, 1, 0, 0, complete=False)
    budget = Budget(hub_windows.file(settings.home, settings.endpoint))
    budget.note(RateLimit(API, 321, 200, 1000, 300))
    return home


def _queued(store: Store, name: str) -> Job:
    ref = ModelRef(f"org/{name}", "a" * 40)
    return jobs.discover(store, ref, endpoint="hub", state=JobState.QUEUED, reason="")


def test_status_says_how_fast_it_goes_what_failed_and_how_long_it_takes(worked: Path) -> None:
    done = dife("status", "--home", worked)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    for words in (
        r"last complete poll: \d{4}-\d\d-\d\d \d\d:\d\d",
        r"last \d+ (s|min): [\d.]+ jobs an hour, 1 audits, 1 answered by an earlier audit",
        r"7 requests of passes",
        r"20 pictures and 2 texts a second, 34% of inputs known before; in use: cuda:1 \d+%",
        r"failures: 1 HubUnavailable, 1 failed",
        r"waiting: 3, the oldest since \d{4}-\d\d-\d\d \d\d:\d\d; about [\d.]+ (s|min|h) at this pace",
        r"oldest unaudited: org/c@a{12}, discovered .*, failed",
        r"requests left in the hub's window: 321 of api",
    ):
        assert re.search(words, shown), f"{words} is not in:\n{done.stdout}"


def test_status_gives_scripts_the_same(worked: Path) -> None:
    found = json.loads(dife("status", "--json", "--home", worked).stdout)
    pace = found["throughput"]
    assert pace["jobs_per_hour"] == pytest.approx(2 / pace["hours"])
    assert (pace["pictures_per_second"], pace["texts_per_second"]) == (20.0, 2.0)
    assert pace["devices"] == {"cuda:1": pytest.approx(30 / (3600 * pace["hours"]))}
    assert (pace["remembered"], pace["audits"], pace["reused"]) == (0.34, 1, 1)
    assert (pace["waiting"], pace["requests"]) == (3, 7)
    assert pace["failures"] == {"failed": 1, "HubUnavailable": 1}
    assert pace["hours_left"] == pytest.approx(3 / pace["jobs_per_hour"])
    assert pace["oldest_waiting"] and pace["oldest_unaudited"]["ref"]["repo_id"] == "org/c"
    assert found["hub_left"] == {"api": 321}
    with open_store(worked) as store:
        complete = [one.at for one in polls.passes(store, limit=100) if one.complete]
    assert found["last_pass_at"] == complete[0]
