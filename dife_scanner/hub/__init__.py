"""The hub: what is there, what is new, and bringing it here verified."""

from dife_scanner.hub.budget import RateLimit
from dife_scanner.hub.claims import base_claim
from dife_scanner.hub.client import Hub
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.listing import Page
from dife_scanner.hub.manifest import (
    local_manifest,
    manifest,
    small_files,
    wanted_files,
)
from dife_scanner.hub.poll import LOOKBACK_DAYS, Plan, PollResult, plan, poll
from dife_scanner.hub.scopes import SOURCES

__all__ = [
    "LOOKBACK_DAYS",
    "SOURCES",
    "Deadline",
    "Hub",
    "Page",
    "Plan",
    "PollResult",
    "RateLimit",
    "base_claim",
    "local_manifest",
    "manifest",
    "plan",
    "poll",
    "small_files",
    "wanted_files",
]
