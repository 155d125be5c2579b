"""News that are about no finding: the daily report, a scanner that is stale or fails, revisions after an approval.

Each has a key of its own, so that it is told once however often somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dife_scanner.alerts.calendar import after, digest_before
from dife_scanner.records import Alert, AlertEvent, AlertState, News
from dife_scanner.sentences.numbers import count
from dife_scanner.sentences.times import time_text
from dife_scanner.settings import Settings
from dife_scanner.store import Store, findings, operations, outbox

STALE_INTERVALS = 3
"""So many intervals between passes without one, beside the time that a pass may take, and the scanner is stale."""
FAILING_AUDITS = 5
"""So many that failed in a day in which none ended with a verdict, and the scanner is failing."""
_FOR_REVIEW = "kind:anomalous triage:new"
_DAY_SECONDS = 86_400.0
_REVISIONS_SECONDS = 7 * _DAY_SECONDS


def note(
    store: Store, settings: Settings, channels: Iterable[str], now: str, up_seconds: float
) -> None:
    """Put what is new at `now` into the outbox. `up_seconds`: how long this process has run, sleep not counted."""
    news: list[tuple[str, AlertEvent, News]] = [*_revisions(store, now), *_failing(store, now)]
    if settings.alerts.heartbeat:
        news += _heartbeat(store, settings, now)
    if up_seconds > stale_seconds(settings):
        news += _stale(store, settings, now)
    alerts = []
    for key, event, about in news:
        for channel in channels:
            alerts.append(Alert(f"{key}|{channel}", channel, event, about))
    known = outbox.known(store, [alert.key for alert in alerts])
    alerts = [alert for alert in alerts if alert.key not in known]
    if alerts:
        with store.atomic("outbox.news"):
            outbox.insert(store, alerts)


def stale_seconds(settings: Settings) -> float:
    """How long after the last pass a scanner counts as stale."""
    return STALE_INTERVALS * settings.interval_seconds + settings.limits.pass_seconds


def _heartbeat(store: Store, settings: Settings, now: str) -> list[tuple[str, AlertEvent, News]]:
    """How the day before the latest `digest_at` went; none before a whole day was watched."""
    end = digest_before(settings.alerts, now)
    begin = after(end, -_DAY_SECONDS)
    first = operations.first_pass(store)
    if not first or first > end:
        return []
    day = operations.day(store, begin, end)
    found = count(day.found, "new finding") if day.found else "nothing found"
    text = f"{found}, {day.audited:,} audited, {day.failed:,} failed"
    facts = (
        ("From", time_text(begin)),
        ("To", time_text(end)),
        ("Last pass", time_text(operations.last_pass(store))),
        ("Waiting for review", f"{findings.count(store, filter=_FOR_REVIEW):,}"),
        ("Alerts nobody got", f"{len(outbox.alerts(store, state=AlertState.DEAD)):,}"),
        ("Last complete pass", _time(operations.last_pass(store, complete=True))),
    )
    about = News(f"Daily report: {text}", f"In the last day: {text}.", facts, "dife status")
    return [(f"heartbeat|{end}", AlertEvent.HEARTBEAT, about)]


def _stale(store: Store, settings: Settings, now: str) -> list[tuple[str, AlertEvent, News]]:
    last = operations.last_pass(store)
    if last and _seconds_between(last, now) <= stale_seconds(settings):
        return []
    text = (
        "The hub was not read for a long time: whatever was published meanwhile is not looked at."
    )
    facts = (("Last pass", _time(last)), ("Hub", settings.endpoint))
    about = News("The scanner reads the hub no more", text, facts, "dife status")
    return [(f"trouble|stale|{last}", AlertEvent.TROUBLE, about)]


def _failing(store: Store, now: str) -> list[tuple[str, AlertEvent, News]]:
    """Whether nothing but failures came out of the last day; told once a day."""
    day = operations.day(store, after(now, -_DAY_SECONDS), now)
    if day.audited or day.failed < FAILING_AUDITS:
        return []
    text = (
        "In the last day audits failed and none ended with a verdict: something is wrong with this machine, or with "
        "the scanner on it."
    )
    facts = (("Failed", f"{day.failed:,}"), ("With a verdict", "0"))
    about = News("No audit succeeds any more", text, facts, "dife doctor")
    return [(f"trouble|failing|{now[:10]}", AlertEvent.TROUBLE, about)]


def _revisions(store: Store, now: str) -> list[tuple[str, AlertEvent, News]]:
    found = []
    since = after(now, -_REVISIONS_SECONDS)
    for one in operations.revisions_after_approval(store, since):
        text = (
            f"A revision was approved for the deployment {one.deployment}. Another one is there now, about which "
            "nothing is decided."
        )
        facts = (
            ("Model", one.ref.repo_id),
            ("New revision", one.ref.revision),
            ("Approved revision", one.approved),
            ("Deployment", one.deployment),
            ("State", one.state),
        )
        about = News(
            f"New revision of an approved model: {one.ref.repo_id}",
            text,
            facts,
            "dife decisions list",
        )
        key = f"revision|{one.ref.repo_id}@{one.ref.revision}|{one.deployment}"
        found.append((key, AlertEvent.REVISION, about))
    return found


def _time(moment: str) -> str:
    return time_text(moment) if moment else "never"


def _seconds_between(before: str, now: str) -> float:
    return (datetime.fromisoformat(now) - datetime.fromisoformat(before)).total_seconds()
