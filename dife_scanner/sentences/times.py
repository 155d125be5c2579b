"""Moments and ages as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))


def age_seconds(moment: str, now: datetime) -> float | None:
    """Seconds from the ISO 8601 `moment` to `now`; `None` where `moment` cannot be read."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return None
    if not then.tzinfo:
        then = then.replace(tzinfo=UTC)
    return (now - then).total_seconds()


def age_text(moment: str, now: datetime) -> str:
    """`just now`, `40 s ago`, `in 12 min`, `3 h ago`, `2 d ago`; `at an unknown time` where it cannot be read."""
    seconds = age_seconds(moment, now)
    if seconds is None:
        return "at an unknown time"
    if abs(seconds) < 2:
        return "just now"
    span = _span(abs(seconds))
    if seconds > 0:
        return f"{span} ago"
    return f"in {span}"


def _span(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def time_text(moment: str) -> str:
    """Local `2026-11-23 13:42`; the text itself where it is not a time."""
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return moment


def span_text(seconds: float) -> str:
    """How long something takes: `40 s`, `12 min`, `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
