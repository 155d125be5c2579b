"""Decisions about findings: one or many in one act, taken back by a new event, and never over somebody else's head."""

from __future__ import annotations

from datetime import datetime

import pytest
from store_records import make_finding

from dife_scanner.durable import clock
from dife_scanner.errors import NotFound, Overtaken, UsageError
from dife_scanner.records import TriageState
from dife_scanner.store import Store, findings, later, open_store, triage, triage_log
from dife_scanner.store.query import QueryError

NEW, CONFIRMED, FALSE, ACCEPTED = (
    TriageState.NEW,
    TriageState.CONFIRMED,
    TriageState.FALSE_POSITIVE,
    TriageState.ACCEPTED_RISK,
)


@pytest.fixture
def three(store: Store) -> tuple[str, ...]:
    """Fingerprints of three findings that nobody has looked at."""
    names = ("fp1:a", "fp1:b", "fp1:c")
    with store.atomic("test"):
        for name in names:
            found = make_finding(fingerprint=name, audit_id=None)
            findings.insert_finding(store, found, None)
    return names


def states(store: Store) -> list[TriageState]:
    return [findings.finding(store, one).triage for one in ("fp1:a", "fp1:b", "fp1:c")]


def test_many_are_decided_about_at_once_and_taken_back_at_once(
    store: Store, three: tuple[str, ...]
) -> None:
    triage.decide(store, CONFIRMED, triage.seen(store, three[:1]), actor="ada", note="mine")
    act = triage.decide(store, FALSE, triage.seen(store, three), actor="ada", note="drawn")
    assert states(store) == [FALSE, FALSE, FALSE]
    assert [event.act for event in triage.last_of(store, "ada")] == [act.number] * 3
    done = triage.undo(store, act.number, actor="ada")
    assert (done.fingerprints, done.left) == (three, ())
    assert states(store) == [CONFIRMED, NEW, NEW]
    events = triage_log.events(store, "fp1:a")
    assert [event.state for event in events] == [CONFIRMED, FALSE, CONFIRMED]
    assert [event.undoes for event in events] == [None, None, events[1].id]
    assert findings.findings(store, filter="comment:mine")[0].fingerprint == "fp1:a"
    assert findings.findings(store, filter="comment:drawn") == []


def test_taking_back_goes_on_to_the_decision_before_and_ends(
    store: Store, three: tuple[str, ...]
) -> None:
    for state in (CONFIRMED, TriageState.DISCLOSED):
        triage.decide(store, state, triage.seen(store, three[:1]), actor="ada")
    for after in (CONFIRMED, NEW):
        triage.undo(store, triage.last_of(store, "ada")[0].act, actor="ada")
        assert states(store)[0] is after
    with pytest.raises(NotFound, match="decided nothing"):
        triage.last_of(store, "ada")
    with pytest.raises(Overtaken, match="nothing to take back"):
        triage.undo(store, 1, actor="ada")


def test_whoever_comes_second_sees_what_the_first_did_and_nothing_is_lost(
    store: Store, three: tuple[str, ...]
) -> None:
    looked_at = triage.seen(store, three)
    triage.decide(store, CONFIRMED, triage.seen(store, three[1:2]), actor="bob", note="by hand")
    with pytest.raises(Overtaken) as error:
        triage.decide(store, FALSE, looked_at, actor="ada", note="drawn")
    assert "1 of 3 findings meanwhile: bob set confirmed (by hand)" in error.value.what
    assert states(store) == [NEW, CONFIRMED, NEW]
    triage.decide(store, FALSE, triage.seen(store, three), actor="ada", note="drawn")
    assert states(store) == [FALSE, FALSE, FALSE]


def test_two_handles_on_one_home_see_the_same_conflict(
    store: Store, three: tuple[str, ...]
) -> None:
    with open_store(store.home) as other:
        looked_at = triage.seen(other, three[:1])
        triage.decide(store, CONFIRMED, triage.seen(store, three[:1]), actor="bob")
        with pytest.raises(Overtaken, match="bob set confirmed"):
            triage.decide(other, FALSE, looked_at, actor="ada", note="drawn")


def test_what_others_decided_since_is_not_taken_back(store: Store, three: tuple[str, ...]) -> None:
    first = triage.decide(store, TriageState.TRIAGING, triage.seen(store, three), actor="ada")
    act = triage.decide(store, CONFIRMED, triage.seen(store, three), actor="ada")
    triage.decide(store, FALSE, triage.seen(store, three[2:]), actor="bob", note="drawn")
    done = triage.undo(store, act.number, actor="ada")
    assert done.fingerprints == three[:2]
    assert [(event.actor, event.state) for event in done.left] == [("bob", FALSE)]
    assert states(store) == [TriageState.TRIAGING, TriageState.TRIAGING, FALSE]
    assert triage.last_of(store, "ada")[0].act == first.number
    own = triage.decide(store, CONFIRMED, triage.seen(store, three[:1]), actor="ada")
    triage.decide(store, FALSE, triage.seen(store, three[:1]), actor="bob", note="drawn")
    assert triage.last_of(store, "ada")[0].act == own.number
    with pytest.raises(Overtaken, match="bob set false-positive"):
        triage.undo(store, own.number, actor="ada")


@pytest.mark.parametrize(
    ("state", "note", "expires", "says"),
    [
        (TriageState.REGRESSED, "", "", "cannot be set by hand"),
        (FALSE, "  ", "", "needs a note"),
        (CONFIRMED, "two\nlines", "", "cannot be kept as it is"),
        (CONFIRMED, "x" * 2001, "", "cannot be kept as it is"),
        (CONFIRMED, "\u202egnp.exe", "", "cannot be kept as it is"),
        (CONFIRMED, "", "90d", "does not expire"),
        (ACCEPTED, "known", "soon", "is no day"),
        (ACCEPTED, "known", "2020-01-31", "is past"),
    ],
)
def test_what_may_not_be_decided_says_why(
    store: Store, three: tuple[str, ...], state: TriageState, note: str, expires: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        triage.decide(
            store, state, triage.seen(store, three), actor="ada", note=note, expires=expires
        )
    assert states(store) == [NEW, NEW, NEW]


def test_an_acceptance_runs_out_by_itself_and_once(store: Store, three: tuple[str, ...]) -> None:
    about = triage.seen(store, three[:2])
    triage.decide(store, ACCEPTED, about, actor="ada", note="known", expires="30d")
    assert triage.expire(store) == 0
    assert findings.count(store, filter=f"expires<{later(31 * 86400)[:10]}") == 2
    with store.atomic("test"):
        store.write("UPDATE findings SET expires = ? WHERE fingerprint = 'fp1:a'", (later(-1),))
    assert (triage.expire(store), triage.expire(store)) == (1, 0)
    assert states(store)[:2] == [TriageState.EXPIRED, ACCEPTED]
    last = triage_log.events(store, "fp1:a")[-1]
    assert (last.actor, last.state) == ("dife", TriageState.EXPIRED)
    done = triage.undo(store, triage.last_of(store, "ada")[0].act, actor="ada")
    assert done.fingerprints == ("fp1:b",)
    assert findings.count(store, filter='expires:""') == 3


def test_a_filter_or_the_list_says_what_is_decided_about(
    store: Store, three: tuple[str, ...]
) -> None:
    assert set(triage.of_filter(store, "id:fp1:a | id:fp1:c")) == {"fp1:a", "fp1:c"}
    assert triage.of_models(store, "") == {}
    assert triage.of_jobs(store, [1, 2]) == {}
    assert triage.by_state(store, three) == {NEW: 3}
    with pytest.raises(QueryError):
        triage.of_filter(store, "nonsense>")
    with pytest.raises(NotFound):
        triage.seen(store, ["fp1:nobody"])
    with pytest.raises(UsageError, match="no finding"):
        triage.decide(store, CONFIRMED, {}, actor="ada")


def test_more_than_can_be_kept_at_once_is_refused(
    store: Store, three: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage, "MOST_AT_ONCE", 2)
    with pytest.raises(UsageError, match="more than 2 findings"):
        triage.of_filter(store, "")
    with pytest.raises(UsageError, match="more than 2 findings"):
        triage.decide(store, CONFIRMED, triage.seen(store, three), actor="ada")


def test_events_of_an_earlier_version_are_acts_of_their_own(
    store: Store, three: tuple[str, ...]
) -> None:
    with store.atomic("test"):
        for name in three:
            triage_log.append(store, name, CONFIRMED, actor="ada")
    (last,) = triage.last_of(store, "ada")
    assert (last.fingerprint, last.act) == ("fp1:c", last.id)
    triage.undo(store, last.act, actor="ada")
    assert states(store) == [CONFIRMED, CONFIRMED, NEW]


def test_what_was_taken_back_is_decided_again_in_the_same_order(
    store: Store, three: tuple[str, ...]
) -> None:
    one = three[:1]
    triage.decide(store, CONFIRMED, triage.seen(store, one), actor="ada", note="by hand")
    triage.decide(store, ACCEPTED, triage.seen(store, one), actor="ada", note="ok", expires="9d")
    until = triage_log.events(store, "fp1:a")[-1].expires
    for _ in range(2):
        triage.undo(store, triage.last_of(store, "ada")[0].act, actor="ada")
    for state in (CONFIRMED, ACCEPTED):
        triage.redo(store, triage.last_undone_by(store, "ada")[0].act, actor="ada")
        assert states(store)[0] is state
    latest = triage_log.events(store, "fp1:a")[-1]
    assert (latest.note, latest.expires, len(triage_log.events(store, "fp1:a"))) == ("ok", until, 6)
    with pytest.raises(NotFound, match="nothing back that could be decided again"):
        triage.last_undone_by(store, "ada")
    triage.undo(store, triage.last_of(store, "ada")[0].act, actor="ada")
    assert states(store)[0] is CONFIRMED


def test_a_new_decision_ends_what_could_be_decided_again(
    store: Store, three: tuple[str, ...]
) -> None:
    act = triage.decide(store, CONFIRMED, triage.seen(store, three), actor="ada")
    undone = triage.undo(store, act.number, actor="ada")
    triage.decide(store, FALSE, triage.seen(store, three[:1]), actor="bob", note="drawn")
    done = triage.redo(store, undone.act, actor="ada")
    assert (done.fingerprints, [one.actor for one in done.left]) == (three[1:], ["bob"])
    assert states(store) == [FALSE, CONFIRMED, CONFIRMED]
    with pytest.raises(Overtaken, match="bob set false-positive"):
        triage.redo(store, undone.act, actor="ada")
    triage.undo(store, done.act, actor="ada")
    triage.decide(store, FALSE, triage.seen(store, three[2:]), actor="ada", note="drawn")
    with pytest.raises(NotFound):
        triage.last_undone_by(store, "ada")


def test_findings_are_assigned_and_stand_as_before(store: Store, three: tuple[str, ...]) -> None:
    triage.decide(store, CONFIRMED, triage.seen(store, three[:1]), actor="ada")
    act = triage.decide(store, None, triage.seen(store, three), actor="ada", assignee="bob")
    assert states(store) == [CONFIRMED, NEW, NEW]
    assert findings.count(store, filter="assignee:bob") == 3
    triage.decide(store, FALSE, triage.seen(store, three[2:]), actor="bob", note="drawn")
    assert findings.count(store, filter="assignee:bob triage:false-positive") == 1
    done = triage.undo(store, act.number, actor="ada")
    assert (done.fingerprints, len(done.left)) == (three[:2], 1)
    assert findings.count(store, filter="assignee:bob") == 1
    assert states(store) == [CONFIRMED, NEW, FALSE]
    triage.redo(store, done.act, actor="ada")
    assert findings.count(store, filter="assignee:bob") == 3
    with pytest.raises(Overtaken, match="ada assigned it to bob"):
        triage.decide(store, CONFIRMED, {"fp1:a": 1}, actor="bob")
    with pytest.raises(UsageError, match="no name to assign to"):
        triage.decide(store, None, triage.seen(store, three), actor="ada", assignee="a\nb")
    with pytest.raises(UsageError, match="needs a state"):
        triage.decide(store, None, triage.seen(store, three), actor="ada")


def test_a_dispute_waits_for_an_answer_until_a_day_and_is_not_ended_by_it(
    store: Store, three: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    disputed = TriageState.DISPUTED
    about = triage.seen(store, three[:1])
    triage.decide(store, disputed, about, actor="ada", note="they say no", expires="30d")
    assert findings.count(store, filter="deadline>2026-01-01") == 1
    assert findings.count(store, filter='expires:""') == 3
    monkeypatch.setattr(triage, "now", lambda: later(40 * 86_400))
    assert triage.expire(store) == 0
    assert states(store)[0] is disputed


def test_an_answer_is_kept_beside_its_dispute_and_ends_the_waiting(
    store: Store, three: tuple[str, ...]
) -> None:
    disputed = TriageState.DISPUTED
    one = three[:1]
    triage.decide(store, disputed, triage.seen(store, one), actor="ada", note="they say no")
    assert findings.count(store, filter="overdue>0") == 0
    with store.atomic("test"):
        day = "2026-01-31T00:00:00.000000+00:00"
        triage_log.append(store, one[0], disputed, actor="ada", note="late", expires=day)
    assert findings.count(store, filter="overdue>7") == 1
    assert findings.count(store, filter='overdue:""') == 2
    until_then = datetime.fromisoformat(day) - clock.moment()
    clock.set_ahead(until_then.total_seconds() - 60)
    try:
        assert findings.count(store, filter="overdue>0") == 0
    finally:
        clock.set_ahead(0)
    about = triage.seen(store, one)
    act = triage.decide(store, disputed, about, actor="ada", answer="a test set leaked")
    assert findings.count(store, filter="overdue>0") == 0
    assert findings.count(store, filter="answer:~leaked") == 1
    triage.decide(store, None, triage.seen(store, one), actor="ada", assignee="bob")
    assert findings.finding(store, one[0]).answer == "a test set leaked"
    triage.undo(store, triage.last_of(store, "ada")[0].act, actor="ada")
    undone = triage.undo(store, act.number, actor="ada")
    assert findings.count(store, filter="overdue>0") == 1
    triage.redo(store, undone.act, actor="ada")
    assert findings.count(store, filter="answer:~leaked") == 1
    triage.decide(store, CONFIRMED, triage.seen(store, one), actor="ada")
    assert findings.finding(store, one[0]).answer == ""
    with pytest.raises(UsageError, match="of a disputed finding"):
        triage.decide(store, CONFIRMED, triage.seen(store, one), actor="ada", answer="no")
    with pytest.raises(UsageError, match=r"the answer .* cannot be kept"):
        triage.decide(store, disputed, triage.seen(store, one), actor="ada", answer="a\nb")
