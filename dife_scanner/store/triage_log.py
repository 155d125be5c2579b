"""The log of what people decided about findings: events are appended and never changed.

Events of one act have its number. An event that takes another back names it, and both count no longer; what stands is
the latest event of a finding that is left.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import TriageState
from dife_scanner.store.db import Store

AUTOMATIC = "dife"
"""Who decides what nobody did: that a finding came back, or an acceptance ran out."""
_COUNTS = "e.undoes IS NULL AND NOT EXISTS (SELECT 1 FROM triage_events AS u WHERE u.undoes = e.id)"
_NOT_REDONE = "NOT EXISTS (SELECT 1 FROM triage_events AS r WHERE r.redoes = e.id)"
_ACT = "CASE e.act WHEN 0 THEN e.id ELSE e.act END"
"""Events that an earlier version kept are acts of their own."""


@dataclass(frozen=True)
class TriageEvent:
    """One decision about a finding."""

    fingerprint: str
    state: TriageState
    actor: str
    note: str
    at: str
    repo_id: str
    """What the decision was made for, as it was called then."""
    expires: str = ""
    """From when it counts no longer, in the clock's form; empty for never."""
    id: int = 0
    act: int = 0
    """Number that events share which were decided at once."""
    undoes: int | None = None
    """The event that this one takes back; its state is what counted before that."""
    redoes: int | None = None
    """The event that took back what this one decides again."""
    assignee: str = ""
    """Who shall look at the finding from then on; empty for nobody in particular."""
    assigns: bool = False
    """Whether it only says who shall: its state is the one that the finding had."""
    answer: str = ""
    """What the supplier of a disputed one answered."""


def events(store: Store, fingerprint: str) -> list[TriageEvent]:
    """List the decisions about a finding, oldest first, with those that were taken back."""
    rows = store.read(
        f"SELECT e.*, {_ACT} AS number FROM triage_events AS e WHERE e.fingerprint = ? ORDER BY e.id",
        (fingerprint,),
    )
    return [_to_event(row) for row in rows]


def last_events(store: Store, fingerprints: Iterable[str]) -> dict[str, int]:
    """By fingerprint, the number of the latest event, 0 where nobody decided; what is no finding is left out."""
    rows = store.read(
        "SELECT f.fingerprint, coalesce((SELECT max(e.id) FROM triage_events AS e"
        " WHERE e.fingerprint = f.fingerprint), 0) AS last"
        " FROM findings AS f WHERE f.fingerprint IN (SELECT value FROM json_each(?))",
        (json.dumps(list(fingerprints)),),
    )
    return {row["fingerprint"]: row["last"] for row in rows}


def event(store: Store, number: int) -> TriageEvent:
    """Read one event that is there."""
    rows = store.read(
        f"SELECT e.*, {_ACT} AS number FROM triage_events AS e WHERE e.id = ?", (number,)
    )
    return _to_event(rows[0])


def standing(store: Store, fingerprint: str) -> list[TriageEvent]:
    """Every event of a finding that was not taken back, oldest first; the last one says how it stands."""
    rows = store.read(
        f"SELECT e.*, {_ACT} AS number FROM triage_events AS e WHERE e.fingerprint = ? AND {_COUNTS} ORDER BY e.id",
        (fingerprint,),
    )
    return [_to_event(row) for row in rows]


def of_act(store: Store, act: int) -> list[TriageEvent]:
    """Every event of an act that was not taken back; none where there is no such act."""
    rows = store.read(
        f"SELECT e.*, {_ACT} AS number FROM triage_events AS e"
        f" WHERE (e.act = ? OR (e.act = 0 AND e.id = ?)) AND {_COUNTS} ORDER BY e.id",
        (act, act),
    )
    return [_to_event(row) for row in rows]


def last_act(store: Store, actor: str, before: int | None = None) -> int | None:
    """The latest act of somebody, not all of which was taken back; `before`: of those with a smaller number."""
    rows = store.read(
        f"SELECT max({_ACT}) AS number FROM triage_events AS e WHERE e.actor = ? AND {_COUNTS}"
        f" AND (? IS NULL OR {_ACT} < ?)",
        (actor, before, before),
    )
    number: int | None = rows[0]["number"]
    return number


def is_partly_undone(store: Store, act: int) -> bool:
    """Whether some of an act was taken back."""
    rows = store.read(
        "SELECT 1 FROM triage_events AS e JOIN triage_events AS u ON u.undoes = e.id WHERE e.act = ? LIMIT 1",
        (act,),
    )
    return bool(rows)


def taken_back(store: Store, act: int) -> list[TriageEvent]:
    """Events of an act that took others back, and were not made up for since."""
    rows = store.read(
        f"SELECT e.*, {_ACT} AS number FROM triage_events AS e"
        f" WHERE {_ACT} = ? AND e.undoes IS NOT NULL AND {_NOT_REDONE} ORDER BY e.id",
        (act,),
    )
    return [_to_event(row) for row in rows]


def last_undoing(store: Store, actor: str) -> int | None:
    """The latest act of somebody that took another back, with nothing new decided by them since."""
    rows = store.read(
        f"SELECT max({_ACT}) AS number FROM triage_events AS e WHERE e.actor = ? AND e.undoes IS NOT NULL"
        f" AND {_NOT_REDONE} AND e.id > coalesce((SELECT max(d.id) FROM triage_events AS d"
        " WHERE d.actor = ? AND d.undoes IS NULL AND d.redoes IS NULL), 0)",
        (actor, actor),
    )
    number: int | None = rows[0]["number"]
    return number


def next_act(store: Store) -> int:
    """Inside a transaction: the number of an act that begins."""
    rows = store.read("SELECT coalesce(max(id), 0) + 1 AS number FROM triage_events")
    return int(rows[0]["number"])


def append(
    store: Store,
    fingerprint: str,
    state: TriageState,
    *,
    actor: str,
    note: str = "",
    expires: str = "",
    act: int = 0,
    undoes: int | None = None,
    redoes: int | None = None,
    assignee: str | None = None,
    assigns: bool = False,
    answer: str = "",
) -> None:
    """Inside a transaction: keep an event, and how its finding stands with it. Without `assignee` that stays."""
    store.write(
        "INSERT INTO triage_events (fingerprint, state, actor, note, at, repo_id, expires, act, undoes, redoes,"
        " assignee, assigns, answer)"
        " SELECT ?, ?, ?, ?, ?, repo_id, ?, ?, ?, ?, coalesce(?, assignee), ?, ? FROM findings WHERE fingerprint = ?",
        (
            *(fingerprint, state.value, actor, note, now(), expires, act, undoes, redoes),
            *(assignee, int(assigns), answer, fingerprint),
        ),
    )
    store.write(
        "UPDATE findings SET triage = ?, expires = ?, answer = ?, assignee = coalesce(?, assignee),"
        " comment = coalesce((SELECT e.note FROM triage_events AS e"
        f" WHERE e.fingerprint = ? AND e.note != '' AND {_COUNTS} ORDER BY e.id DESC LIMIT 1), '')"
        " WHERE fingerprint = ?",
        (state.value, expires, answer, assignee, fingerprint, fingerprint),
    )


def _to_event(row: dict[str, Any]) -> TriageEvent:
    return TriageEvent(
        fingerprint=row["fingerprint"],
        state=TriageState(row["state"]),
        actor=row["actor"],
        note=row["note"],
        at=row["at"],
        repo_id=row["repo_id"],
        expires=row["expires"],
        id=row["id"],
        act=row["number"],
        undoes=row["undoes"],
        redoes=row["redoes"],
        assignee=row["assignee"],
        assigns=bool(row["assigns"]),
        answer=row["answer"],
    )
