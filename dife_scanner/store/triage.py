"""What people decide about findings, one or many at once: the rules, and how a decision is taken back.

An act is one decision about some findings, kept in one transaction. Whoever decides names the latest event that they
have seen of each. Where somebody else decided meanwhile nothing is kept, and the error says what they did.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, Overtaken, UsageError
from dife_scanner.records import TriageState
from dife_scanner.store import findings, models, outbox, row_counts, triage_log
from dife_scanner.store.conditions import condition
from dife_scanner.store.db import Store
from dife_scanner.store.expiry import end_of
from dife_scanner.store.query import shown
from dife_scanner.store.triage_log import AUTOMATIC, TriageEvent

SET_BY_HAND = frozenset(TriageState) - {TriageState.NEW, TriageState.REGRESSED, TriageState.EXPIRED}
"""What a person can set; the others happen."""
NEEDS_NOTE = frozenset(
    {TriageState.FALSE_POSITIVE, TriageState.ACCEPTED_RISK, TriageState.DISPUTED}
)
"""Decisions that mean nothing to the next reader without a reason."""
RESOLVING = frozenset(
    {
        TriageState.FIXED_UPSTREAM,
        TriageState.FALSE_POSITIVE,
        TriageState.OUT_OF_SCOPE,
        TriageState.ACCEPTED_RISK,
    }
)
"""After these nothing is left to do; whoever was told of the finding is told."""
MAY_EXPIRE = frozenset({TriageState.ACCEPTED_RISK})
TAKES_DAY = MAY_EXPIRE | {TriageState.DISPUTED}
"""Decisions with a day: the last one of an acceptance, or the one until which a dispute waits for an answer."""
LONGEST_NAME = 100
"""Characters of the name of an assignee."""
LONGEST_NOTE = 2_000
"""Characters of a note, which stands in one line of the history and of a report."""
MOST_AT_ONCE = 5_000
"""Findings of one act: others wait for the database until it is kept."""

Seen = Mapping[str, int]
"""By fingerprint, the latest event that somebody has seen of a finding; 0 where there was none."""


@dataclass(frozen=True)
class Act:
    """What was kept: its number, and the findings that it is about."""

    number: int
    fingerprints: tuple[str, ...]


@dataclass(frozen=True)
class Undone:
    """What taking an act back came to, or deciding again what was taken back."""

    act: int
    """Its own number."""

    fingerprints: tuple[str, ...]
    """Fingerprints of findings that it changed."""
    left: tuple[TriageEvent, ...]
    """What others did about the rest since; it stands."""


# --- what a decision is about -----------------------------------------------------------------------------------


def seen(store: Store, fingerprints: Iterable[str]) -> dict[str, int]:
    """How these findings stand now. Raises `NotFound`."""
    wanted = tuple(fingerprints)
    found = triage_log.last_events(store, wanted)
    for fingerprint in wanted:
        if fingerprint not in found:
            raise NotFound(
                f"there is no finding {shown(fingerprint)}", "`dife findings` lists them"
            )
    return found


def of_filter(store: Store, filter: str) -> dict[str, int]:
    """How the findings stand that a filter over findings lets through. Raises `QueryError` and `UsageError`."""
    where, parameters = condition(store, filter, findings.FINDING_COLUMNS)
    return _of_rows(store, f"SELECT f.fingerprint FROM findings AS f WHERE {where}", parameters)


def of_models(store: Store, filter: str) -> dict[str, int]:
    """How the findings stand of models that a filter over models lets through; the others have none."""
    where, parameters = condition(store, filter, models.MODEL_COLUMNS)
    found = f"SELECT DISTINCT m.fingerprint {models.TABLES} WHERE m.fingerprint != '' AND ({where})"
    return _of_rows(store, found, parameters)


def of_jobs(store: Store, jobs: Iterable[int]) -> dict[str, int]:
    """How the findings stand of the models of these jobs; the others have none."""
    found = (
        f"SELECT DISTINCT m.fingerprint {models.TABLES} WHERE m.fingerprint != ''"
        " AND m.job_id IN (SELECT value FROM json_each(?))"
    )
    return _of_rows(store, found, (json.dumps(list(jobs)),))


def _of_rows(store: Store, select: str, parameters: Sequence[object]) -> dict[str, int]:
    rows = store.read(f"{select} LIMIT ?", (*parameters, MOST_AT_ONCE + 1))
    _check_count(len(rows))
    return triage_log.last_events(store, [row["fingerprint"] for row in rows])


def by_state(store: Store, about: Iterable[str]) -> dict[TriageState, int]:
    """Count findings by how they stand."""
    rows = store.read(
        "SELECT f.triage FROM findings AS f WHERE f.fingerprint IN (SELECT value FROM json_each(?))",
        (json.dumps(list(about)),),
    )
    return dict(Counter(TriageState(row["triage"]) for row in rows))


def all_by_state(store: Store) -> dict[TriageState, int]:
    """Count all findings by how they stand."""
    return {TriageState(name): n for name, n in row_counts.of(store, "findings").items()}


# --- deciding ---------------------------------------------------------------------------------------------------


def check(
    state: TriageState | None,
    note: str,
    expires: str = "",
    assignee: str | None = None,
    answer: str = "",
) -> str:
    """Raise `UsageError` where this may not be decided so; gives the moment at which its day is over.

    Without a state it is only said who shall look at findings.
    """
    _check_name(assignee)
    if answer and state is not TriageState.DISPUTED:
        raise UsageError("an answer is the supplier's, of a disputed finding", "decide: disputed")
    if state is None:
        if assignee is None or expires:
            raise UsageError("a decision needs a state", "or name only who shall look at it")
    elif state not in SET_BY_HAND:
        choices = sorted(one.value for one in SET_BY_HAND)
        raise UsageError(f"{state.value} cannot be set by hand", f"one of: {', '.join(choices)}")
    if state in NEEDS_NOTE and not (note.strip() or answer.strip()):
        raise UsageError(f"{state.value} needs a note that says why", "write why, in one line")
    _check_line("note", note)
    _check_line("answer", answer)
    if state is not None and expires and state not in TAKES_DAY:
        raise UsageError(
            f"{state.value} does not expire, and has no deadline",
            "accepted-risk may expire, disputed may have a deadline",
        )
    return end_of(expires)


def _check_line(what: str, text: str) -> None:
    if len(text) > LONGEST_NOTE or not text.isprintable():
        raise UsageError(
            f"the {what} {shown(text[:40])} cannot be kept as it is",
            f"one line of visible characters, at most {LONGEST_NOTE:,}",
        )


def _check_name(assignee: str | None) -> None:
    if assignee and (len(assignee) > LONGEST_NAME or not assignee.isprintable()):
        raise UsageError(
            f"{shown(assignee[:40])} is no name to assign to",
            f"visible characters, at most {LONGEST_NAME}",
        )


def decide(
    store: Store,
    state: TriageState | None,
    about: Seen,
    *,
    actor: str,
    note: str = "",
    expires: str = "",
    assignee: str | None = None,
    answer: str = "",
) -> Act:
    """Decide the same about some findings, in one transaction; nothing decided before is changed.

    `expires`: a day or a number of days (`expiry.end_of`). `assignee`: who shall look at them, empty for nobody in
    particular; without one that stays. Without a state each finding stands as before but for that. `answer`: what the
    supplier of disputed ones said to it; a dispute with an answer is not overdue.

    Raises `UsageError`, `NotFound`, and `Overtaken` where somebody decided since `about` was read.
    """
    until = check(state, note, expires, assignee, answer)
    _check_count(len(about))
    if not about:
        raise UsageError("there is no finding to decide about", "`dife findings` lists them")
    with store.atomic("findings.triage"):
        _check_seen(store, about)
        act = triage_log.next_act(store)
        for fingerprint in about:
            if state is None:
                _assign(store, fingerprint, assignee, actor, note, act)
                continue
            triage_log.append(
                store,
                fingerprint,
                state,
                actor=actor,
                note=note,
                expires=until,
                act=act,
                assignee=assignee,
                answer=answer,
            )
            _tell(store, fingerprint, state)
    return Act(act, tuple(about))


def _assign(
    store: Store, fingerprint: str, assignee: str | None, actor: str, note: str, act: int
) -> None:
    """Say who shall look at a finding; it stands as before."""
    rows = store.read(
        "SELECT triage, expires, answer FROM findings WHERE fingerprint = ?", (fingerprint,)
    )
    triage_log.append(
        store,
        fingerprint,
        TriageState(rows[0]["triage"]),
        actor=actor,
        note=note,
        expires=rows[0]["expires"],
        act=act,
        assignee=assignee,
        assigns=True,
        answer=rows[0]["answer"],
    )


def _tell(store: Store, fingerprint: str, state: TriageState) -> None:
    outbox.decide(store, fingerprint, state, resolves=state in RESOLVING)


def _check_count(count: int) -> None:
    if count > MOST_AT_ONCE:
        raise UsageError(
            f"more than {MOST_AT_ONCE:,} findings cannot be decided about at once",
            "narrow the filter, and decide in parts",
        )


def _check_seen(store: Store, about: Seen) -> None:
    now_there = seen(store, about)
    changed = [one for one, last in now_there.items() if last != about[one]]
    if not changed:
        return
    latest = triage_log.event(store, max(now_there[one] for one in changed))
    many = f"{len(changed):,} of {len(about):,} findings" if len(about) > 1 else "this finding"
    raise Overtaken(
        f"somebody decided about {many} meanwhile: {_told(latest)}",
        "look at it, and decide again",
    )


def _told(event: TriageEvent) -> str:
    """What somebody did, for an error."""
    did = f"{event.actor} set {event.state.value}"
    if event.assigns:
        did = f"{event.actor} assigned it to {event.assignee or 'nobody'}"
    if event.undoes is not None:
        did = f"{event.actor} took a decision back, to {event.state.value}"
    return f"{did} ({event.note})" if event.note else did


# --- taking back ------------------------------------------------------------------------------------------------


def last_of(store: Store, actor: str) -> list[TriageEvent]:
    """The last act of somebody, as far as it was not taken back. Raises `NotFound`.

    One of which the rest was left alone, because others have decided since, is done with.
    """
    act = triage_log.last_act(store, actor)
    while act is not None:
        events = triage_log.of_act(store, act)
        stands = any(_stands(store, event) for event in events)
        if stands or not triage_log.is_partly_undone(store, act):
            return events
        act = triage_log.last_act(store, actor, before=act)
    raise NotFound(
        f"{shown(actor)} has decided nothing that could be taken back",
        "`--actor` names somebody else",
    )


def _stands(store: Store, event: TriageEvent) -> bool:
    return triage_log.standing(store, event.fingerprint)[-1].id == event.id


def undo(store: Store, act: int, *, actor: str) -> Undone:
    """Take an act back: each of its findings stands as before, by a new event that names the one it takes back.

    What somebody decided since stands. Raises `Overtaken` where that is so of all of it.
    """
    with store.atomic("findings.triage"):
        number = triage_log.next_act(store)
        taken, left = [], []
        for event in triage_log.of_act(store, act):
            standing = triage_log.standing(store, event.fingerprint)
            if standing[-1].id != event.id:
                left.append(standing[-1])
                continue
            taken.append(event.fingerprint)
            _take_back(store, event, standing[:-1], actor, number)
        if not taken:
            raise Overtaken(*_nothing_left(left))
    return Undone(number, tuple(taken), tuple(left))


def _take_back(
    store: Store, event: TriageEvent, before: list[TriageEvent], actor: str, act: int
) -> None:
    state, expires, assignee, answer = TriageState.NEW, "", "", ""
    if before:
        last = before[-1]
        state, expires, assignee, answer = last.state, last.expires, last.assignee, last.answer
    triage_log.append(
        store,
        event.fingerprint,
        state,
        actor=actor,
        expires=expires,
        act=act,
        undoes=event.id,
        assignee=assignee,
        answer=answer,
    )
    if not event.assigns:
        _tell(store, event.fingerprint, state)


def _nothing_left(left: list[TriageEvent]) -> tuple[str, str]:
    if not left:
        return "there is nothing to take back", "it was taken back before"
    return f"somebody decided since: {_told(left[-1])}", "decide anew where that is wrong"


def last_undone_by(store: Store, actor: str) -> list[TriageEvent]:
    """How somebody took an act back last, where they decided nothing new since. Raises `NotFound`."""
    act = triage_log.last_undoing(store, actor)
    if act is None:
        raise NotFound(
            f"{shown(actor)} has taken nothing back that could be decided again",
            "a new decision ends that",
        )
    return triage_log.taken_back(store, act)


def redo(store: Store, act: int, *, actor: str) -> Undone:
    """Decide again what an act took back, by new events with the same state, note and expiry.

    What somebody decided since stands. Raises `Overtaken` where that is so of all of it.
    """
    with store.atomic("findings.triage"):
        number = triage_log.next_act(store)
        done, left = [], []
        for event in triage_log.taken_back(store, act):
            since = _decided_since(store, event)
            if since is not None:
                left.append(since)
                continue
            done.append(event.fingerprint)
            _decide_again(store, event, actor, number)
        if not done:
            raise Overtaken(*_nothing_left(left))
    return Undone(number, tuple(done), tuple(left))


def _decided_since(store: Store, undone: TriageEvent) -> TriageEvent | None:
    """A later event that stands in the way; one that was taken back and decided again since does not."""
    later = [one for one in triage_log.events(store, undone.fingerprint) if one.id > undone.id]
    redone = {one.redoes for one in later if one.redoes is not None}
    for one in later:
        if one.redoes is None and one.id not in redone:
            return one
    return None


def _decide_again(store: Store, undone: TriageEvent, actor: str, act: int) -> None:
    assert undone.undoes is not None
    before = triage_log.event(store, undone.undoes)
    triage_log.append(
        store,
        undone.fingerprint,
        before.state,
        actor=actor,
        note=before.note,
        expires=before.expires,
        act=act,
        redoes=undone.id,
        assignee=before.assignee,
        assigns=before.assigns,
        answer=before.answer,
    )
    if not before.assigns:
        _tell(store, undone.fingerprint, before.state)


# --- what happens by itself -------------------------------------------------------------------------------------


def expire(store: Store) -> int:
    """Let acceptances end whose day has passed; says how many. Cheap where none has."""
    if not _expired(store):
        return 0
    with store.atomic("findings.triage"):
        expired = _expired(store)
        act = triage_log.next_act(store)
        for fingerprint, until in expired:
            note = f"accepted until {until[:10]}"
            triage_log.append(
                store, fingerprint, TriageState.EXPIRED, actor=AUTOMATIC, note=note, act=act
            )
            _tell(store, fingerprint, TriageState.EXPIRED)
    return len(expired)


def _expired(store: Store) -> list[tuple[str, str]]:
    rows = store.read(
        "SELECT fingerprint, expires FROM findings WHERE expires != '' AND expires <= ?"
        " AND triage IN (SELECT value FROM json_each(?))",
        (now(), json.dumps(sorted(MAY_EXPIRE))),
    )
    return [(row["fingerprint"], row["expires"]) for row in rows]
