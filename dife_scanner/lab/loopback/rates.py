"""Fixed five-minute windows per bucket, announced on every response and enforced with 429, as the Hub does."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from dife_scanner.lab.loopback.messages import Request, Response, error


@dataclass(frozen=True)
class Quotas:
    """Requests per window. The defaults are generous; the Hub gives an anonymous caller 500 and 3,000."""

    api: int = 1_000_000
    resolvers: int = 1_000_000
    """For files."""
    window_seconds: float = 300.0


class Rates:
    """Counts requests. Safe to use from several threads."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._lock = threading.Lock()
        self._used = {"api": 0, "resolvers": 0}
        self._until = 0.0

    def take(self, request: Request) -> tuple[Response | None, dict[str, str]]:
        """Count one request: a 429 where nothing is left, and the headers that every response carries."""
        if request.port == "cdn":  # large files are not counted
            return None, {}
        if "/resolve" in request.path:
            bucket = "resolvers"
            quota = self._quotas.resolvers
        else:
            bucket = "api"
            quota = self._quotas.api
        left, reset = self._count(bucket, quota)
        window = int(self._quotas.window_seconds)
        headers = {
            "RateLimit": f'"{bucket}";r={max(0, left)};t={reset}',
            "RateLimit-Policy": f'"fixed window";"{bucket}";q={quota};w={window}',
        }
        if left < 0:
            return error(429, "We had to rate limit you."), headers
        return None, headers

    def _count(self, bucket: str, quota: int) -> tuple[int, int]:
        """Requests left after this one, below zero for one too many, and whole seconds until the next window."""
        with self._lock:
            now = time.monotonic()
            if now >= self._until:
                self._used = dict.fromkeys(self._used, 0)
                self._until = now + self._quotas.window_seconds
            self._used[bucket] += 1
            return quota - self._used[bucket], int(self._until - now) + 1

    def reset(self) -> None:
        """Begin a new window at the next request."""
        with self._lock:
            self._until = 0.0
