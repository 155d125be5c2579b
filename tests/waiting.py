"""How long tests wait. What a busy machine takes says nothing, so no promise is about a short time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

BUSY_SECONDS = 20.0
"""Upper bound for what ends by a limit of its own; without that limit it would take longer still, or never end."""
WORK_SECONDS = 120.0
"""The same for what downloads, audits and starts processes on the way."""


def until(condition: Callable[[], Any], seconds: float = BUSY_SECONDS) -> Any:
    """Wait until this holds, and return what it gives."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found
