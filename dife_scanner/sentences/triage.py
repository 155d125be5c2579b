"""What people decided about findings, in words: for terminal and window alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dife_scanner.durable.clock import now
from dife_scanner.records import TriageState
from dife_scanner.sentences.times import time_text
from dife_scanner.store.expiry import is_past

if TYPE_CHECKING:
    from dife_scanner.store.triage import Undone
    from dife_scanner.store.triage_log import TriageEvent


def state_words(state: TriageState) -> str:
    """A state as a person reads it."""
    return state.value.replace("-", " ")


def findings_text(count: int) -> str:
    """How many findings."""
    return "1 finding" if count == 1 else f"{count:,} findings"


def counts_text(counts: Mapping[TriageState, int]) -> str:
    """How findings stand, most of them first: `12 new, 2 confirmed`."""
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count:,} {state_words(state)}" for state, count in ordered)


def event_text(event: TriageEvent, name: str = "") -> str:
    """One line of a history. `name`: of the checkpoint now, so that another one is named."""
    text = f"{time_text(event.at)}  {_did(event)}"
    if name and event.repo_id != name:
        text += f" for {event.repo_id}"
    if event.expires and event.undoes is None and not event.assigns:
        text += f", {day_text(event.state, event.expires, answered=bool(event.answer))}"
    if event.note:
        text += f": {event.note}"
    if event.answer and event.undoes is None and not event.assigns:
        text += f"; the supplier answered: {event.answer}"
    return text


def day_text(state: TriageState, day: str, *, answered: bool = False) -> str:
    """What the day of a decision means, and that it is over where nothing but a person ends it."""
    if state is not TriageState.DISPUTED:
        return f"until {time_text(day)}"
    over = " (overdue)" if is_past(day, now()) and not answered else ""
    return f"answer due by {time_text(day)}{over}"


def _did(event: TriageEvent) -> str:
    if event.undoes is not None:
        return f"taken back by {event.actor}, to {state_words(event.state)}"
    if event.assigns:
        return f"assigned to {event.assignee or 'nobody'} by {event.actor}"
    again = " again" if event.redoes is not None else ""
    return f"{state_words(event.state)}{again} by {event.actor}"


def act_text(events: Sequence[TriageEvent]) -> str:
    """What one act decided, at least one event of it."""
    first = events[0]
    return f"{findings_text(len(events))} {_did(first)}, {time_text(first.at)}"


def undone_text(done: Undone) -> str:
    """What taking an act back came to."""
    return _done_text(done, "taken back")


def redone_text(done: Undone) -> str:
    """What deciding again came to."""
    return _done_text(done, "decided again")


def _done_text(done: Undone, what: str) -> str:
    text = f"{findings_text(len(done.fingerprints))} {what}"
    if done.left:
        latest = done.left[-1]
        text += (
            f"; {findings_text(len(done.left))} left as decided since, the latest {_did(latest)}"
        )
    return text
