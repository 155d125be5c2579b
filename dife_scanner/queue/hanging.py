"""Whether a child hangs: it counts how often it asks whether it is to stop, and its parent sees that count stand still.

All work asks that: between jobs, several times a second during an audit or a download, and while the database is held
or the disk is full. Copying a checkpoint is a sign of life as well. The threads that renew leases or fetch ahead give
none, so they cannot hide that the work hangs. The count lies in memory that both processes share: neither database nor
disk can make a child look hung.
"""

from __future__ import annotations

import ctypes
import threading
import time
from multiprocessing.sharedctypes import RawValue
from typing import Any

from dife_scanner.durable import life

PASSES_OVER_FILES = 3
"""Over the bytes of a checkpoint between two signs: once copied, which is one itself, they are brought into the
canonical form, hashed, and compared with a reference."""
SLOWEST_BYTES = 35e6
"""Bytes a second of a slow disk that others use as well."""
LEAST_SECONDS = 600.0
"""For what takes no longer for a larger checkpoint, such as joining a cluster, or a channel that is slow to answer."""
LONGEST_LOOK_SECONDS = 5.0
"""What counts at most between two looks: longer ones mean that the parent was suspended, or its machine."""


def longest_silence(checkpoint_bytes: int) -> float:
    """Seconds after which a child that asked nothing hangs, where a checkpoint may have so many bytes."""
    return LEAST_SECONDS + PASSES_OVER_FILES * checkpoint_bytes / SLOWEST_BYTES


def new_count() -> Any:
    """A count for one child after another, to be given to each as an argument of its process."""
    return RawValue(ctypes.c_uint64, 0)


class Silence:
    """For how long a count has stood still, by the time in which this process itself ran."""

    def __init__(self, count: Any) -> None:
        self._count = count
        self._seen = count.value
        self._looked_at = time.monotonic()
        self._seconds = 0.0

    def look(self) -> float:
        """Look again; returns seconds."""
        at = time.monotonic()
        self._seconds += min(at - self._looked_at, LONGEST_LOOK_SECONDS)
        self._looked_at = at
        if self._count.value != self._seen:
            self._seen = self._count.value
            self._seconds = 0.0
        return self._seconds


class StopEvent(threading.Event):
    """Set when this process is asked to stop; asking for it is a sign of life."""

    def is_set(self) -> bool:
        """Whether it is set."""
        life.sign()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for `timeout` seconds; returns whether it is."""
        life.sign()
        return super().wait(timeout)
