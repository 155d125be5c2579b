"""The one clock: moments as text that sorts by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_MOST_CHARACTERS = 40
"""Of a date in an HTTP header, or of a number of seconds there."""


_ahead = timedelta()
"""How far the clock of this process is ahead of the machine's."""


def set_ahead(seconds: float) -> None:
    """From now on the clock of this process is so many seconds ahead of the machine's: weeks are tried in minutes."""
    global _ahead
    _ahead = timedelta(seconds=seconds)


def moment() -> datetime:
    """This moment in UTC. Nothing else asks for the time of day."""
    return datetime.now(UTC) + _ahead


def now() -> str:
    """This moment as ISO 8601 in UTC with microseconds; such strings sort by time."""
    return moment().isoformat(timespec="microseconds")


def later(seconds: float) -> str:
    """`seconds` from now (before now when negative), in the form of `now()`."""
    return (moment() + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def retry_after(value: str, server_time: str = "") -> float | None:
    """Seconds to wait from now, as the HTTP header `Retry-After` says; `None` where it requires no wait.

    The header holds seconds, or a date (RFC 9110, 10.2.3). A date is compared with the answer's own `Date`
    (`server_time`) where there is one, so that no two clocks are. A bad value and a date in the past require nothing.
    """
    text = value.strip()
    if len(text) > _MOST_CHARACTERS:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    seconds = (until - (_http_date(server_time) or moment())).total_seconds()
    return seconds if seconds > 0 else None


def seconds_ahead(server_time: str, at: str) -> float | None:
    """Seconds by which `at`, in the form of `now()`, is ahead of an answer's header `Date`; `None` for no date."""
    if len(server_time) > _MOST_CHARACTERS:
        return None
    there = _http_date(server_time.strip())
    if there is None:
        return None
    return (datetime.fromisoformat(at) - there).total_seconds()


def _http_date(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if read.tzinfo is None:  # the old forms of such dates name no zone; all are in UTC
        return read.replace(tzinfo=UTC)
    return read
