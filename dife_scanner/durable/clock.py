"""The one clock: moments as text that sorts by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    """This moment as ISO 8601 in UTC with microseconds; such strings sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def later(seconds: float) -> str:
    """`seconds` from now (before now when negative), in the form of `now()`."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="microseconds")
