"""A wall-clock limit that also holds inside the network stack.

HTTP clients bound each socket read, not their sum: a server that drips one byte every few seconds is never late.
Here every read, write and connect of a guarded client is bounded by the deadline in force, headers included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Deadline:
    """`seconds` of wall-clock time from now."""

    def __init__(self, seconds: float = math.inf, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero; infinite where there is no limit."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        return self.remaining == 0.0

    def sooner(self, seconds: float) -> Deadline:
        """This deadline, or one `seconds` from now if that comes first."""
        return self if self.remaining <= seconds else Deadline(seconds, clock=self._clock)


_in_force: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def enforced(deadline: Deadline) -> Iterator[None]:
    """Bound all traffic of guarded clients in this thread by `deadline`."""
    token = _in_force.set(deadline)
    try:
        yield
    finally:
        _in_force.reset(token)


def guard(client: Any) -> Any:
    """Make every connection of an httpx client obey the deadline in force; returns the client.

    httpx offers no public way to give its transports a network backend and keep the proxies of the environment, so
    this reaches for the pool's own attribute; `tests/hub/test_deadline.py` fails should that ever move.
    """
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            pool = transport._pool
            pool._network_backend = _Backend(pool._network_backend)
    return client


def _bounded(timeout: float | None) -> float | None:
    """The shorter of a socket timeout and what is left; a hair above zero when late, so that the socket times out."""
    deadline = _in_force.get()
    left = math.inf if deadline is None else deadline.remaining
    shortest = min(math.inf if timeout is None else timeout, left)
    return None if math.isinf(shortest) else max(shortest, 0.001)


class _Stream:
    """An httpcore network stream whose calls are bounded."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._check()
        data: bytes = self._stream.read(max_bytes, timeout=_bounded(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._check()
        self._stream.write(buffer, timeout=_bounded(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _bounded(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()

    @staticmethod
    def _check() -> None:
        from httpcore2 import ReadTimeout

        deadline = _in_force.get()
        if deadline is not None and deadline.passed:
            raise ReadTimeout("deadline passed")


class _Backend:
    """An httpcore network backend that hands out bounded streams."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **rest: Any) -> _Stream:
        return _Stream(self._backend.connect_tcp(host, port, timeout=_bounded(timeout), **rest))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **rest: Any) -> _Stream:
        return _Stream(self._backend.connect_unix_socket(path, timeout=_bounded(timeout), **rest))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
