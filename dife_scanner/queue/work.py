"""How jobs are done: the plan, the settings, and the collaborators that follow from them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner import secrets
from dife_scanner.audit.plan import Plan
from dife_scanner.durable import hub_windows
from dife_scanner.queue import child
from dife_scanner.records import Audit
from dife_scanner.settings import Settings

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub


@dataclass(frozen=True)
class Work:
    """What decides how jobs are done; picklable, so that it reaches every process."""

    settings: Settings
    plan: Plan
    reference: str = ""
    """Name of the reference to use; empty: chosen per checkpoint."""
    channels: tuple[str, ...] = ()
    """Names of the alert channels that findings go to."""
    audit: str = child.AUDIT
    """What an audit child runs, `module:function`."""
    preload: tuple[str, ...] = child.PRELOAD
    start: str = child.FORKSERVER
    """How audit children come about; `spawn` where the system has no such server."""
    lease_seconds: float = 60.0
    confirm: Callable[[str], bool] | None = None
    """Puts a question to a person; `None` where there is none, as in every process that a watcher started."""
    seed: int | None = None
    """Of the jitter in delays; `None`: from the system."""
    granted: float | None = None
    """Seconds that somebody granted each audit; `None`: what the limit of every audit is."""
    ends_early: bool = False
    """Whether a channel ends once a trigger of it is demonstrated."""
    more: Audit | None = None
    """The audit that is gone on with, where somebody said so."""

    @property
    def home(self) -> Path:
        """The home that the jobs and their results lie in."""
        return self.settings.home


def default_work(settings: Settings, *, plan: Plan | None = None, reference: str = "") -> Work:
    """Work as the settings say: bundled signatures and theirs, blind search, budget, all configured channels."""
    from dife_scanner.alerts.channels import configured

    channels = tuple(channel.name for channel in configured(settings))
    plan = plan or _usual_plan(settings)
    return Work(
        settings,
        plan,
        reference=reference,
        channels=channels,
        ends_early=not settings.all_searches,
        preload=child.PRELOAD_TO_SEARCH if plan.detectors else child.PRELOAD,
    )


def _usual_plan(settings: Settings) -> Plan:
    from dife_scanner import discovery
    from dife_scanner.triggers import known

    detectors: tuple[str, ...] = ()
    if settings.discover:
        detectors = discovery.names(settings.budget)
    signatures = known.gather(settings.signatures, with_library=True)
    return Plan(signatures, settings.budget, detectors=detectors)


def hub_for(
    settings: Settings,
    endpoint: str,
    pause: Callable[[float], object] = time.sleep,
    check: Callable[[], None] | None = None,
) -> Hub:
    """Make a client for `endpoint`, with `pause` and `check` of `Hub`. The token goes only to its own endpoint."""
    from dife_scanner.hub.budget import Budget
    from dife_scanner.hub.client import Hub

    token = None
    if endpoint == settings.endpoint:
        secret = secrets.secret("hf-token", settings.home)
        token = secret.value if secret else None
    return Hub(
        endpoint,
        token,
        cache=settings.home / "cache" / "hf",
        request_seconds=settings.limits.request_seconds,
        download_seconds=settings.limits.download_seconds,
        pause=pause,
        check=check,
        most_files=settings.limits.repository_files,
        budget=Budget(hub_windows.file(settings.home, endpoint)),
    )


def left_of_limits(settings: Settings) -> dict[str, int]:
    """By limit of the hub that is watched, how many requests are left of its window; of those that it told us of."""
    from dife_scanner.hub.budget import API, PAGES, RESOLVERS, Budget

    budget = Budget(hub_windows.file(settings.home, settings.endpoint))
    found = {}
    for bucket in (API, RESOLVERS, PAGES):
        rate = budget.rate(bucket)
        if rate is not None:
            found[bucket] = rate.remaining
    return found


def threads(settings: Settings) -> int:
    """How many threads one audit gets, so that all workers together use the machine once."""
    return max(1, _cores() // settings.audits_at_once)


def _cores() -> int:
    """Those this process may use, which in a container can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
