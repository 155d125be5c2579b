"""What is left of a hub's present windows, shared by everything that asks it from one home: passes, workers, commands.

Each process sees the limits only in its own answers. What they say is kept in one file, with the requests since then;
where nothing is left, whoever asks next waits for the next window instead of being refused. The file is a help only:
one that is lost, damaged or cannot be written costs at most a refusal.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dife_scanner.durable import hub_windows
from dife_scanner.durable.hub_windows import Window
from dife_scanner.hub.status import LONGEST_WAIT

API, RESOLVERS, PAGES = "api", "resolvers", "pages"
SAME_WINDOW_SECONDS = 5.0
"""By which two answers may differ about when a window ends."""
_LOCK_SECONDS = 5.0

moment: Callable[[], float] = time.time
"""Seconds since 1970. A hub with a clock of its own brings that along."""


@dataclass(frozen=True)
class RateLimit:
    """The limits the hub last reported, in the headers `RateLimit` and `RateLimit-Policy`."""

    bucket: str
    """`api`, `resolvers` or `pages`."""
    remaining: int
    """Requests."""
    resets_in: int
    """Seconds."""
    quota: int | None
    """Requests allowed in a window."""
    window: int | None
    """Seconds."""


def bucket_of(path: str) -> str:
    """Which of its limits the hub counts a request of this path against."""
    if "/resolve" in path:
        return RESOLVERS
    return API if "/api/" in path else PAGES


class Budget:
    """The windows of one hub, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, bucket: str) -> float:
        """Count one request and return 0; or, where none is left, the seconds until the window ends."""
        wait = 0.0
        with self._changing() as windows:
            known = self._present(windows, bucket)
            if known is not None and known.left > 0:
                known.left -= 1
            elif known is not None:
                wait = known.ends - moment()
        return wait

    def note(self, rate: RateLimit) -> None:
        """Keep what an answer says; of one window the smallest remainder, as others may have asked meanwhile."""
        ends = moment() + min(rate.resets_in, LONGEST_WAIT)
        left = rate.remaining
        with self._changing() as windows:
            known = windows.get(rate.bucket)
            if known is not None and abs(known.ends - ends) <= SAME_WINDOW_SECONDS:
                left = min(left, known.left)
                ends = known.ends
            windows[rate.bucket] = Window(left, ends, rate.quota, rate.window)

    def refused(self, bucket: str, seconds: float) -> None:
        """Keep that the hub asked for a pause."""
        with self._changing() as windows:
            known = windows.get(bucket) or Window(0, 0.0)
            windows[bucket] = Window(0, moment() + seconds, known.quota, known.window)

    def rate(self, bucket: str) -> RateLimit | None:
        """What is left of the present window; `None` where nothing is known of it."""
        found = None
        with self._changing() as windows:
            known = self._present(windows, bucket)
            if known is not None:
                left = int(known.ends - moment())
                found = RateLimit(bucket, known.left, left, known.quota, known.window)
        return found

    def _present(self, windows: dict[str, Window], bucket: str) -> Window | None:
        """The window that is now. One that ended is full again; one that ends too late is of a clock set back since."""
        known = windows.get(bucket)
        if known is None or moment() < known.ends <= moment() + LONGEST_WAIT + 1:
            return known
        del windows[bucket]
        if known.quota and known.window:
            windows[bucket] = Window(
                known.quota, moment() + known.window, known.quota, known.window
            )
        return windows.get(bucket)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Window]]:
        """The windows, written back at the end; an empty record where the file cannot be had."""
        windows: dict[str, Window] = {}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_SECONDS)
            lock.acquire()
        except (OSError, Timeout):
            yield windows
            return
        try:
            windows.update(hub_windows.read(self._path))
            yield windows
            with suppress(OSError):
                kept = {bucket: asdict(one) for bucket, one in windows.items()}
                self._path.write_text(json.dumps(kept), encoding="ascii")
        finally:
            lock.release()
