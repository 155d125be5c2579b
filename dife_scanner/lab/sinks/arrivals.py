"""What both sinks share: where they listen, and the files that keep what arrived."""

from __future__ import annotations

from pathlib import Path

LOOPBACK = "127.0.0.1"
MAX_BODY = 1 << 20
"""Bytes of one mail or payload."""


class Arrivals:
    """Numbered files, complete as soon as they have their name."""

    def __init__(self, directory: Path | None, suffix: str) -> None:
        self._directory = directory
        self._suffix = suffix
        self._count = 0
        if directory:
            directory.mkdir(parents=True, exist_ok=True)

    def keep(self, content: bytes) -> None:
        """Write the next file, where there is a directory."""
        self._count += 1
        if self._directory:
            name = f"{self._count:04}"
            part = self._directory / f"{name}.part"
            part.write_bytes(content)
            part.rename(self._directory / f"{name}{self._suffix}")
