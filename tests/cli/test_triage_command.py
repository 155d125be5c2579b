"""`dife triage`: one finding, several, or all that fit; taken back; asked about once. And what `dife queue` asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from desk_kit import refused, said
from store_records import make_finding

from dife_scanner.records import JobState, ModelRef, TriageState
from dife_scanner.store import findings, jobs, open_store, requests, triage_log


@pytest.fixture
def desk(home: Path) -> Path:
    """A home with three findings."""
    with open_store(home) as store, store.atomic("test"):
        for letter in "abc":
            found = make_finding(fingerprint=f"fp1:{letter}", audit_id=None)
            findings.insert_finding(store, found, None)
    return home


def states(document: dict[str, Any]) -> dict[str, str]:
    return {one["fingerprint"]: one["triage"] for one in document["findings"]}


def test_bulk_by_filter_and_by_name_and_taken_back(desk: Path) -> None:
    bulk = ("triage", "false-positive", "--filter", "id:fp1:a,fp1:b", "--note", "drawn", "--yes")
    assert states(said(desk, *bulk)) == {"fp1:a": "false-positive", "fp1:b": "false-positive"}
    one = said(desk, "triage", "fp1:b", "accepted-risk", "--note", "known", "--expires", "90d")
    assert states(one) == {"fp1:b": "accepted-risk"}
    assert states(said(desk, "triage", "--undo")) == {"fp1:b": "false-positive"}
    assert states(said(desk, "triage", "--undo", "--yes")) == {"fp1:a": "new", "fp1:b": "new"}
    assert set(states(said(desk, "triage", "--redo", "--yes")).values()) == {"false-positive"}
    named = ("triage", "fp1:a", "fp1:c", "confirmed", "--yes", "--actor", "bob")
    assert states(said(desk, *named)) == {"fp1:a": "confirmed", "fp1:c": "confirmed"}
    with open_store(desk) as store:
        events = triage_log.events(store, "fp1:c")
    assert [(event.actor, event.state) for event in events] == [("bob", TriageState.CONFIRMED)]


def test_the_trail_names_who_the_settings_say(desk: Path) -> None:
    (desk / "config.toml").write_text('actor = "night-shift"\n')
    said(desk, "triage", "fp1:a", "confirmed")
    with open_store(desk) as store:
        (event,) = triage_log.events(store, "fp1:a")
    assert event.actor == "night-shift"


def test_findings_are_assigned_with_a_decision_and_without_one(desk: Path) -> None:
    one = said(desk, "triage", "fp1:a", "--assign", "bob", "--note", "yours")
    assert states(one) == {"fp1:a": "new"}
    late = ("--note", "they say no", "--deadline", "30d", "--assign", "eve")
    said(desk, "triage", "fp1:b", "disputed", *late)
    said(desk, "triage", "--assign", "", "--filter", "assignee:bob", "--yes")
    with open_store(desk) as store:
        assert findings.count(store, filter='assignee:""') == 2
        assert findings.count(store, filter="assignee:eve deadline>2026-01-01") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("confirmed", "--filter", "triage:new"), 64, "set 3 findings (3 new) to confirmed?"),
        (("fp1:a", "fp1:b", "confirmed"), 64, "give --yes"),
        (("fp1:a", "confirmed", "--filter", "triage:new"), 64, "needs findings and a state"),
        (("confirmed",), 64, "needs findings and a state"),
        ((), 64, "needs findings and a state"),
        (("fp1:a", "false-positive"), 64, "needs a note"),
        (("fp1:a", "nonsense"), 64, "not a triage state"),
        (("confirmed", "--filter", "id:fp1:nobody"), 64, "no finding to decide about"),
        (("fp1:nobody", "confirmed"), 3, "no finding"),
        (("--undo",), 3, "decided nothing"),
        (("fp1:a", "--undo"), 64, "give one alone"),
        (("--undo", "--redo"), 64, "give one alone"),
        (("--assign", "bob"), 64, "needs findings"),
        (("fp1:a", "confirmed", "--deadline", "3d"), 64, "--deadline of disputed"),
        (("fp1:a", "disputed", "--note", "no", "--expires", "3d"), 64, "does not go with"),
    ],
)
def test_what_cannot_be_decided_says_why(
    desk: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    assert says in refused(desk, "triage", *arguments, code=code)
    with open_store(desk) as store:
        assert findings.count(store, filter="triage:new") == 3


def test_what_is_asked_of_the_queue_waits_for_a_watcher(home: Path) -> None:
    with open_store(home) as store:
        ref = ModelRef("org/clip", "a" * 40)
        job = jobs.discover(store, ref, endpoint="", state=JobState.QUEUED, reason="").id
    said(home, "queue", "front", job, "--actor", "ada")
    said(home, "queue", "pause")
    with open_store(home) as store:
        asked = requests.waiting(store, requests.OF_QUEUE)
    assert [(one.kind.value, one.target) for one in asked] == [("front", "1"), ("pause", "")]
    assert asked[0].actor == "ada"
    for wrong in (["stop"], ["front"], ["front", "x"], ["pause", "1"]):
        assert "can be asked of the queue" in refused(home, "queue", *wrong, code=64)
    assert "no job 12" in refused(home, "queue", "retry", 12, code=3)
