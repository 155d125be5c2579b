"""When an alert is due and what it is sent together with: silences, routes, quiet hours, digests, storms, groups.

Each alert is planned once, when it comes; silences are looked at until it is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from dife_scanner.alerts.calendar import after, digest_after, hour_of, quiet_until
from dife_scanner.alerts.messages import EDITS
from dife_scanner.errors import SettingsError
from dife_scanner.plain import plain
from dife_scanner.records import Alert, AlertState, Notice, Silence
from dife_scanner.settings import Alerts, Route
from dife_scanner.store import QueryError, Store, findings, outbox, silences

log = logging.getLogger(__name__)

ALONE = "alone"
URGENT = "urgent"
GROUP = "group "
SINGLE = (ALONE, GROUP)
"""What a batch begins with that is about one finding or a few, in the order in which they came."""
EAGER = (URGENT, outbox.BY_HAND)
"""Batches that wait for nothing; each of their alerts is a message of its own."""
_NO_FINDING = ""
"""Fingerprint of news, which no filter over findings fits: where each route has one, they go everywhere."""
_EVERYTHING = Route(to=("email", "slack"))


def plan(store: Store, waiting: Sequence[Alert], rules: Alerts, now: str) -> None:
    """Plan those of `waiting` that came since the last time, and set aside what a silence covers."""
    covered = _covered(store, waiting, silences.silences(store, at=now))
    fresh = [alert for alert in waiting if not alert.batch and alert.id not in covered]
    held = [] if rules.group_seconds else _waiting_for_others(waiting, now)
    if not covered and not fresh and not held:
        return
    routed = _routed(store, fresh, rules.routes)
    with store.atomic("outbox.planned"):
        for alert in waiting:
            if alert.id in covered:
                outbox.set_aside(store, [alert], AlertState.SILENCED, covered[alert.id])
        for alert in held:
            outbox.plan(store, alert, now, alert.batch)
        unrouted = [alert for alert in fresh if alert.id not in routed]
        outbox.set_aside(store, unrouted, AlertState.UNROUTED, "no route leads here")
        planner = _Planner(store, rules, now)
        for channel in sorted({alert.channel for alert in fresh}):
            mine = [alert for alert in fresh if alert.channel == channel and alert.id in routed]
            planner.plan(channel, mine, routed)


def _waiting_for_others(alerts: Iterable[Alert], now: str) -> list[Alert]:
    """Those that nobody tried to send yet because others may come; what failed keeps its pause."""
    return [
        alert
        for alert in alerts
        if alert.batch.startswith(GROUP) and not alert.attempts and alert.due_at > now
    ]


def _covered(store: Store, alerts: Iterable[Alert], active: Sequence[Silence]) -> dict[int, str]:
    """Alerts that a silence covers, by number, and which one."""
    open_to_silence = [alert for alert in alerts if alert.batch != outbox.BY_HAND]
    fingerprints = [alert.fingerprint for alert in open_to_silence]
    found: dict[int, str] = {}
    for silence in active:
        try:
            fitting = findings.fitting(store, fingerprints, silence.filter)
        except QueryError as error:  # of an earlier version, which took that filter
            log.warning("silence %s covers nothing: %s; %s", silence.id, error.what, error.advice)
            continue
        for alert in open_to_silence:
            if alert.fingerprint in fitting:
                found[alert.id] = f"silence {silence.id}: {silence.reason}"
    return found


def _routed(store: Store, alerts: Sequence[Alert], routes: Sequence[Route]) -> dict[int, Route]:
    """Alerts that some route leads to their channel, by number, with the most eager one."""
    if not routes:
        return {alert.id: _EVERYTHING for alert in alerts}
    fingerprints = [alert.fingerprint for alert in alerts]
    found: dict[int, Route] = {}
    for route in sorted(routes, key=lambda one: one.eagerness):
        fitting = findings.fitting(store, fingerprints, route.filter)
        if not route.filter:
            fitting |= {_NO_FINDING}
        for alert in alerts:
            event_fits = not route.events or alert.event in route.events
            if event_fits and alert.channel in route.to and alert.fingerprint in fitting:
                found[alert.id] = route
    if all(route.filter for route in routes):
        news = [alert for alert in alerts if alert.fingerprint == _NO_FINDING]
        found |= {alert.id: _EVERYTHING for alert in news}
    return found


class _Planner:
    """Plans the new alerts of one channel after the other, inside a transaction."""

    def __init__(self, store: Store, rules: Alerts, now: str) -> None:
        self._store = store
        self._rules = rules
        self._now = now

    def plan(self, channel: str, alerts: Sequence[Alert], routes: Mapping[int, Route]) -> None:
        """Note for each alert when it is due, and in which batch."""
        soon = [alert for alert in alerts if routes[alert.id].eagerness == _EVERYTHING.eagerness]
        storm = self._storm(channel, len(soon))
        for alert in alerts:
            due_at, batch = self._when(alert, routes[alert.id], storm)
            outbox.plan(self._store, alert, due_at, batch)

    def _when(self, alert: Alert, route: Route, storm: tuple[str, str] | None) -> tuple[str, str]:
        if route.urgent or self._edits(alert):
            return self._now, URGENT
        if route.digest:
            due_at = digest_after(self._rules, route.digest, self._now)
            return due_at, f"digest {due_at}"
        quiet = quiet_until(self._rules, self._now)
        if quiet:
            return quiet, f"quiet {quiet}"
        return storm or self._group(alert)

    def _edits(self, alert: Alert) -> bool:
        """Whether it edits an earlier message, which disturbs nobody."""
        if alert.event not in EDITS or not isinstance(alert.about, Notice):
            return False
        return outbox.thread_of(self._store, alert.channel, alert.about.ref.repo_id) is not None

    def _storm(self, channel: str, count: int) -> tuple[str, str] | None:
        """Above so many in a clock hour: at once where nothing of this hour was sent, otherwise at its end."""
        begin, end = hour_of(self._now)
        before = outbox.sent_since(self._store, channel, begin)
        if before + count <= self._rules.storm:
            return None
        return (end if before else self._now), f"storm {begin}"

    def _group(self, alert: Alert) -> tuple[str, str]:
        """With those about the same that still wait for others."""
        if not self._rules.group_seconds:
            return self._now, ALONE
        if not isinstance(alert.about, Notice):
            return self._now, ALONE
        repository = alert.about.ref.repo_id
        author = repository.split("/")[0]
        names = {"repository": repository, "author": author, "all": "all"}
        batch = f"{GROUP}{names[self._rules.group_by]}"
        due_at = outbox.due_of(self._store, alert.channel, batch, self._now)
        return due_at or after(self._now, self._rules.group_seconds), batch


def problems(rules: Alerts) -> list[tuple[str, SettingsError]]:
    """What is wrong with the routes, by key: a filter that findings do not have, a channel that is off."""
    found: list[tuple[str, SettingsError]] = []
    for number, route in enumerate(rules.routes):
        key = f"alerts.routes.{number}"
        try:
            findings.check_filter(route.filter)
        except QueryError as error:
            found.append(_problem(f"{key}.filter", error.what, error.advice))
        for channel in route.to:
            advice = _how_to_switch_on(rules, channel)
            if advice:
                what = f"the channel {plain(channel, 80)} is off"
                found.append(_problem(f"{key}.to", what, advice))
    return found


def check(rules: Alerts) -> None:
    """Raise the first of the routes' `problems`."""
    for _, error in problems(rules):
        raise error


def _problem(key: str, what: str, advice: str) -> tuple[str, SettingsError]:
    return key, SettingsError(f"setting `{key}` is not valid: {what}", advice)


def _how_to_switch_on(rules: Alerts, channel: str) -> str:
    """What a channel lacks that a route names; empty where it is on."""
    if channel.startswith("slack") and not rules.slack.enabled:
        return "set alerts.slack.enabled to true"
    if channel.startswith("slack:") and not rules.slack.channel:
        return "give alerts.slack a channel, which is written to with the secret slack-token"
    if channel == "email" and not rules.email.enabled:
        return "give alerts.email a host and recipients"
    if channel.startswith("email:") and not rules.email.host:
        return "give alerts.email a host"
    return ""
