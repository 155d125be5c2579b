"""Quiet hours and digests: moments in UTC from times of the day in somebody's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from dife_scanner.settings import Alerts, zone

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def quiet_until(rules: Alerts, now: str) -> str:
    """When the quiet hours end that `now` lies in; empty where it lies in none."""
    if not rules.quiet_hours:
        return ""
    begin, end = (time.fromisoformat(text) for text in rules.quiet_hours.split("-"))
    local = datetime.fromisoformat(now).astimezone(zone(rules.time_zone))
    at = local.time()
    if not _is_between(at, begin, end):
        return ""
    ends = datetime.combine(local.date(), end, local.tzinfo)
    if at >= end:  # over midnight
        ends = datetime.combine(local.date() + timedelta(days=1), end, local.tzinfo)
    if _text(ends) <= now:
        # Clocks went back meanwhile: this time comes twice, and the second one counts.
        ends = ends.replace(fold=1)
    return _text(ends)


def _is_between(at: time, begin: time, end: time) -> bool:
    if begin < end:
        return begin <= at < end
    return at >= begin or at < end


def digest_after(rules: Alerts, every: str, now: str) -> str:
    """The next moment at which a `daily` or `weekly` digest goes."""
    local = datetime.fromisoformat(now).astimezone(zone(rules.time_zone))
    day = local.date()
    while True:
        candidate = datetime.combine(day, time.fromisoformat(rules.digest_at), local.tzinfo)
        is_day = every == "daily" or _DAYS[day.weekday()] == rules.digest_day
        if is_day and _text(candidate) > now:
            return _text(candidate)
        day += timedelta(days=1)


def digest_before(rules: Alerts, now: str) -> str:
    """The latest moment at which a daily digest went."""
    local = datetime.fromisoformat(now).astimezone(zone(rules.time_zone))
    at = time.fromisoformat(rules.digest_at)
    candidate = datetime.combine(local.date(), at, local.tzinfo)
    if _text(candidate) > now:
        candidate = datetime.combine(local.date() - timedelta(days=1), at, local.tzinfo)
    return _text(candidate)


def hour_of(now: str) -> tuple[str, str]:
    """Begin and end of the clock hour of a moment, in UTC."""
    begin = datetime.fromisoformat(now).replace(minute=0, second=0, microsecond=0)
    return _text(begin), _text(begin + timedelta(hours=1))


def after(now: str, seconds: float) -> str:
    """`seconds` after a moment."""
    return _text(datetime.fromisoformat(now) + timedelta(seconds=seconds))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
