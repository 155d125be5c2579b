"""Until when a decision counts, as somebody writes it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from dife_scanner.durable import clock
from dife_scanner.durable.clock import now
from dife_scanner.errors import UsageError
from dife_scanner.store.query import shown

_DAYS = re.compile(r"([0-9]{1,4})d")


def end_of(text: str) -> str:
    """The moment from which a decision counts no longer, in the clock's form; empty for never.

    `2027-01-31` counts through that day in UTC, `90d` for so many days. Raises `UsageError`, also for what is past.
    """
    if not text:
        return ""
    days = _DAYS.fullmatch(text)
    try:
        if days:
            end = clock.moment() + timedelta(days=int(days[1]))
        else:
            end = datetime.combine(date.fromisoformat(text), time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{shown(text)} is no day", "give one like 2027-01-31, or a number of days: 90d"
        ) from None
    moment = end.isoformat(timespec="microseconds")
    if is_past(moment, now()):
        raise UsageError(f"{shown(text)} is past", "give a day to come")
    return moment


def is_past(moment: str, now: str) -> bool:
    """Whether a moment in the clock's form has come; an empty one never does."""
    return bool(moment) and moment <= now
