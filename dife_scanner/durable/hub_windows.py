"""What a hub last said of its limits, in one file that all processes of a home share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


@dataclass
class Window:
    """What one of a hub's limits allows until a moment."""

    left: int
    """Requests."""
    ends: float
    """In seconds since 1970."""
    quota: int | None = None
    """Requests of a whole window; `None` where the hub did not say."""
    window: int | None = None
    """Seconds of a whole window."""


def file(home: Path, endpoint: str) -> Path:
    """Where the windows of this hub are kept."""
    return home / "cache" / f"windows-{sha256(endpoint.encode()).hexdigest()[:16]}.json"


def read(path: Path) -> dict[str, Window]:
    """The windows by name of their limit, as they were last said; none where the file is lost or damaged."""
    try:
        document = json.loads(path.read_text(encoding="ascii"))
        return {limit: Window(**one) for limit, one in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
