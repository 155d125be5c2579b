"""Alerts waiting for their channels: written with the finding, planned once, sent at least once, never lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.durable.crash import crash_point
from dife_scanner.errors import NotFound
from dife_scanner.records import Alert, AlertEvent, AlertState, News, Notice, Thread, TriageState
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store

BY_HAND = "by hand"
"""Batch of an alert that somebody wants sent, whatever silences and quiet hours say."""


def insert(store: Store, alerts: Sequence[Alert]) -> None:
    """Inside the transaction that writes what they are about: keep alerts. The same key a second time changes nothing.

    With the audit comes the largest exposure that it measured.
    """
    at = now()
    for alert in alerts:
        about = alert.about
        if isinstance(about, Notice):
            about = replace(about, exposure=_exposure(store, about.audit_id))
        store.write(
            "INSERT INTO outbox (key, channel, event, fingerprint, notice, state, due_at, created_at)"
            " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?) ON CONFLICT (key) DO NOTHING",
            (
                alert.key,
                alert.channel,
                alert.event,
                alert.fingerprint or None,
                to_json(about),
                alert.due_at or at,
                at,
            ),
        )


def known(store: Store, keys: Sequence[str]) -> frozenset[str]:
    """Those of `keys` that are there."""
    rows = store.read(
        "SELECT key FROM outbox WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps(list(keys)),),
    )
    return frozenset(row["key"] for row in rows)


def _exposure(store: Store, audit_id: str | None) -> float | None:
    rows = store.read("SELECT exposure FROM audits WHERE id = ?", (audit_id or "",))
    return rows[0]["exposure"] if rows else None


def decide(store: Store, fingerprint: str, decision: TriageState, *, resolves: bool) -> None:
    """Inside the transaction of a decision: tell whoever was told of the finding, of a resolving one; what still waits
    is not sent then. Of any other only a message that can be edited says so, and what still waits says it at once.
    """
    known = _about_finding(store, fingerprint)
    waiting = [alert for alert in known if alert.state is AlertState.PENDING]
    overtaken = [one for one in waiting if resolves or one.event is AlertEvent.TRIAGED]
    for alert in waiting:
        _note_decision(store, alert, decision)
    set_aside(store, overtaken, AlertState.SILENCED, f"{decision} before it was sent")
    told = {alert.channel: alert for alert in known if alert.state is AlertState.SENT}
    _tell(store, told.values(), decision, len(known), resolves=resolves)


def tell_what_was_decided_meanwhile(store: Store, alert: Alert) -> None:
    """Inside the transaction that notes `alert` as sent: what was decided while it was on its way."""
    known = _about_finding(store, alert.fingerprint)
    kept = next((one for one in known if one.id == alert.id), None)
    if kept is None or not isinstance(alert.about, Notice) or not isinstance(kept.about, Notice):
        return
    if kept.about.decision != alert.about.decision:
        decision = TriageState(kept.about.decision)
        resolves = kept.state is AlertState.SILENCED
        _tell(store, [kept], decision, len(known), resolves=resolves)


def _tell(
    store: Store, told: Iterable[Alert], decision: TriageState, number: int, *, resolves: bool
) -> None:
    event = AlertEvent.RESOLVED if resolves else AlertEvent.TRIAGED
    made = []
    for last in told:
        assert isinstance(last.about, Notice)  # of a finding all are
        thread = thread_of(store, last.channel, last.about.ref.repo_id)
        is_edited = thread is not None and thread.fingerprint == last.fingerprint
        if not is_edited and (not resolves or last.event is AlertEvent.RESOLVED):
            continue  # there is nothing to edit, or it was told already that nothing is left to do
        about = replace(last.about, decision=decision.value)
        key = f"{last.fingerprint}|{event}@{number}|{last.channel}"
        made.append(Alert(key, last.channel, event, about))
    insert(store, made)


def _about_finding(store: Store, fingerprint: str) -> list[Alert]:
    rows = store.read("SELECT * FROM outbox WHERE fingerprint = ? ORDER BY id", (fingerprint,))
    return [_to_alert(row) for row in rows]


def _note_decision(store: Store, alert: Alert, decision: TriageState) -> None:
    assert isinstance(alert.about, Notice)  # of a finding all are
    about = replace(alert.about, decision=decision.value)
    store.write("UPDATE outbox SET notice = ? WHERE id = ?", (to_json(about), alert.id))


# --- threads --------------------------------------------------------------------------------------------------


def thread_of(store: Store, channel: str, model: str) -> Thread | None:
    """Where a channel keeps all about a model; `None` where there is no such place."""
    rows = store.read(
        "SELECT reference, place, fingerprint FROM threads WHERE channel = ? AND model = ?",
        (channel, model),
    )
    return Thread(**rows[0]) if rows else None


def keep_thread(store: Store, channel: str, model: str, thread: Thread) -> None:
    """Inside the transaction that notes what was sent: keep where later alerts about the model go."""
    store.write(
        "INSERT OR REPLACE INTO threads (channel, model, reference, place, fingerprint)"
        " VALUES (?, ?, ?, ?, ?)",
        (channel, model, thread.reference, thread.place, thread.fingerprint),
    )


# --- planning -------------------------------------------------------------------------------------------------


def plan(store: Store, alert: Alert, due_at: str, batch: str) -> None:
    """Inside a transaction: note when an alert is due and what it is sent together with."""
    store.write(
        "UPDATE outbox SET due_at = ?, batch = ? WHERE id = ? AND state = 'pending'",
        (due_at, batch, alert.id),
    )


def set_aside(store: Store, alerts: Iterable[Alert], state: AlertState, why: str) -> None:
    """Inside a transaction: keep alerts that are not to be sent."""
    for alert in alerts:
        store.write(
            "UPDATE outbox SET state = ?, last_error = ? WHERE id = ? AND state = 'pending'",
            (state.value, why, alert.id),
        )


def due_of(store: Store, channel: str, batch: str, at: str) -> str:
    """When a batch of a channel is due that nobody tried to send yet; empty where none is to come."""
    rows = store.read(
        "SELECT min(due_at) AS due_at FROM outbox WHERE state = 'pending' AND attempts = 0"
        " AND channel = ? AND batch = ? AND due_at > ?",
        (channel, batch, at),
    )
    return str(rows[0]["due_at"] or "")


def sent_since(store: Store, channel: str, at: str) -> int:
    """Count the alerts that a channel has taken since."""
    rows = store.read(
        "SELECT count(*) AS n FROM outbox WHERE channel = ? AND sent_at >= ?", (channel, at)
    )
    return int(rows[0]["n"])


# --- sending --------------------------------------------------------------------------------------------------


def pending(store: Store, at: str) -> list[Alert]:
    """List what is due at `at`, oldest first."""
    rows = store.read(
        "SELECT * FROM outbox WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, id", (at,)
    )
    return [_to_alert(row) for row in rows]


def sent(store: Store, alert_id: int, at: str = "") -> None:
    """Note that the channel took it, now or at that moment."""
    crash_point("outbox.delivered")
    with store.atomic("outbox.sent"):
        store.write(
            "UPDATE outbox SET state = 'sent', sent_at = ?, attempts = attempts + 1, last_error = '' WHERE id = ?",
            (at or now(), alert_id),
        )


def failed(
    store: Store, alert_id: int, error: str, retry_at: str, taken: Sequence[str] = ()
) -> None:
    """Note that the channel did not take it, or some recipients only; try again at `retry_at`."""
    with store.atomic("outbox.failed"):
        store.write(
            "UPDATE outbox SET attempts = attempts + 1, last_error = ?, due_at = ?, taken = ?"
            " WHERE id = ? AND state = 'pending'",
            (error, retry_at, json.dumps(sorted(taken)), alert_id),
        )


def dead(store: Store, alert_id: int, error: str) -> None:
    """Note that the channel will never take it as things are; it is kept, shown, and revived by hand."""
    with store.atomic("outbox.dead"):
        store.write(
            "UPDATE outbox SET state = 'dead', attempts = attempts + 1, last_error = ? WHERE id = ?"
            " AND state = 'pending'",
            (error, alert_id),
        )


def pause(store: Store, channel: str, until: str) -> None:
    """Note that a channel asked for a pause."""
    with store.atomic("outbox.pause"):
        store.write("INSERT OR REPLACE INTO channel_pauses VALUES (?, ?)", (channel, until))


def paused(store: Store, at: str) -> set[str]:
    """Names of the channels that asked for a pause which is not over."""
    rows = store.read("SELECT channel FROM channel_pauses WHERE until > ?", (at,))
    return {row["channel"] for row in rows}


def forget_news(store: Store, before: str) -> int:
    """Remove news that are about no finding and were told, or not to be told, before; returns how many.

    Alerts about findings stay: who was told of one is told what becomes of it.
    """
    with store.atomic("outbox.forget_news"):
        cursor = store.write(
            "DELETE FROM outbox WHERE fingerprint IS NULL AND state IN ('sent', 'silenced', 'unrouted')"
            " AND coalesce(sent_at, created_at) < ?",
            (before,),
        )
    return cursor.rowcount


# --- by hand --------------------------------------------------------------------------------------------------


def alerts(store: Store, *, state: AlertState | None = None) -> list[Alert]:
    """List alerts, newest first; only those in `state` where given."""
    wanted = state or ""
    rows = store.read("SELECT * FROM outbox WHERE ? IN ('', state) ORDER BY id DESC", (wanted,))
    return [_to_alert(row) for row in rows]


def revive(store: Store, alert_id: int | None = None) -> int:
    """Make one alert, whatever became of it, or every one that failed due now; returns how many.

    Raises `NotFound` for an unknown id.
    """
    with store.atomic("outbox.revive"):
        if alert_id is None:
            cursor = store.write(
                "UPDATE outbox SET state = 'pending', due_at = ? WHERE state = 'dead'"
                " OR (state = 'pending' AND attempts > 0)",
                (now(),),
            )
        elif store.read("SELECT 1 FROM outbox WHERE id = ?", (alert_id,)):
            cursor = store.write(
                "UPDATE outbox SET state = 'pending', due_at = ?, batch = ? WHERE state != 'sent' AND id = ?",
                (now(), BY_HAND, alert_id),
            )
        else:
            raise NotFound(f"there is no alert {alert_id}", "`dife alerts list` shows them")
    return cursor.rowcount


def _about(row: dict[str, Any]) -> Notice | News:
    if row["fingerprint"]:
        return from_json(Notice, row["notice"])
    return from_json(News, row["notice"])


def _to_alert(row: dict[str, Any]) -> Alert:
    return Alert(
        key=row["key"],
        channel=row["channel"],
        event=AlertEvent(row["event"]),
        about=_about(row),
        id=row["id"],
        attempts=row["attempts"],
        due_at=row["due_at"],
        last_error=row["last_error"],
        state=AlertState(row["state"]),
        batch=row["batch"],
        taken=tuple(json.loads(row["taken"])),
    )
