"""Whether the hub answers, takes the token, and agrees about the time: one request through the usual session."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from dife_scanner import secrets
from dife_scanner.alerts.private import without_secrets
from dife_scanner.app import wiring
from dife_scanner.durable.clock import now, seconds_ahead
from dife_scanner.errors import BadToken, DifeError
from dife_scanner.hub import environment
from dife_scanner.reports.as_json import Health, HealthState
from dife_scanner.settings import Settings

WARNING_SECONDS = 30.0
"""A clock that is off by more than this should be set."""
PROBLEM_SECONDS = 300.0
"""By more than this, other machines begin to refuse what depends on the time."""
_NO_CLOCK = Health("clock", "clock", "not-checked", "the hub did not say what time it is")


def not_asked() -> list[Health]:
    """The lines of a look without network."""
    said = "left out: --offline"
    return [
        Health("endpoint", "endpoint", "not-checked", said),
        Health("clock", "clock", "not-checked", said),
    ]


def look(settings: Settings) -> list[Health]:
    """Send one request. No password of a proxy, token or part of an address that is one stands in what is given."""
    hidden = [urlsplit(settings.endpoint).password or ""]
    lines = [_through()]
    try:
        token = secrets.secret("hf-token", settings.home)
        if token:
            hidden.append(token.value)
        lines += _answered(settings, token)
    except DifeError as error:
        what = "token" if isinstance(error, BadToken) else "endpoint"
        lines += [Health("endpoint", what, "problem", error.what, error.advice), _NO_CLOCK]
    return _without(lines, hidden)


def _through() -> Health:
    """Which variables say how the hub is reached; their values may hold passwords."""
    names = list(environment.proxy_variables())
    for name in (*environment.CERTIFICATES, "NO_PROXY", "no_proxy"):
        if os.environ.get(name):
            names.append(name)
    said = f"as these variables say: {', '.join(names)}" if names else "directly"
    return Health("endpoint", "proxy and certificates", "ok", said)


def _answered(settings: Settings, token: secrets.Secret | None) -> list[Health]:
    hub = wiring.hub(settings)
    began = time.monotonic()
    date = hub.greet()
    at = now()
    took = time.monotonic() - began
    reached = Health("endpoint", "endpoint", "ok", f"{settings.endpoint} answered in {took:.1f} s")
    said = "none is set: public repositories only"
    if token:
        said = f"accepted; from {token.source}"
    return [reached, Health("endpoint", "token", "ok", said), clock(date, at, took)]


def clock(date: str, at: str, took: float) -> Health:
    """How far this machine's clock, at `at`, is off the hub's header `Date`, which came within `took` seconds."""
    ahead = seconds_ahead(date, at)
    if ahead is None:
        return _NO_CLOCK
    # the header has whole seconds, and was written at some moment of the request
    off = max(0.0, abs(ahead) - took - 1.0)
    if not off:
        return Health("clock", "clock", "ok", "as the hub's, to the second")
    direction = "ahead of" if ahead > 0 else "behind"
    said = f"{off:,.0f} s {direction} the hub's"
    advice = "set this machine's clock, and keep it set (NTP)"
    state: HealthState = "ok"
    if off > PROBLEM_SECONDS:
        state = "problem"
    elif off > WARNING_SECONDS:
        state = "warning"
    return Health("clock", "clock", state, said, "" if state == "ok" else advice)


def _without(lines: Iterable[Health], hidden: Iterable[str]) -> list[Health]:
    found = []
    for line in lines:
        said = without_secrets(line.said, hidden)
        found.append(replace(line, said=said, next=without_secrets(line.next, hidden)))
    return found
