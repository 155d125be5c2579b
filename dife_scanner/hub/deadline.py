"""A wall-clock limit that also holds inside the network stack.

HTTP clients limit each socket read, not their sum: a server that sends one byte every few seconds never times out.
Here every read, write and connect of a guarded client ends at the deadline in force. That includes the headers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Deadline:
    """`seconds` of wall-clock time from now; without an argument, no limit.

    `clock` gives seconds that never run backwards.
    """

    def __init__(
        self, seconds: float = math.inf, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero; infinite where there is no limit."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0

    def sooner(self, seconds: float) -> Deadline:
        """This deadline, or one `seconds` from now if that comes first."""
        if self.remaining <= seconds:
            return self
        return Deadline(seconds, clock=self._clock)


_SHORTEST_TIMEOUT = 0.001
"""Seconds. A timeout of zero would mean a socket that does not block; this one times out at once instead."""

_CHECK_SECONDS = 0.5
"""Between two calls of a check while a socket waits."""

_in_force: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
_checked: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def enforced(deadline: Deadline, check: Callable[[], None] | None = None) -> Iterator[None]:
    """End all traffic of guarded clients in this thread at `deadline`, inside a `with` block.

    A socket that is still waiting then raises the timeout error of httpx. `check` is called at every read, and twice a
    second while one waits; what it raises ends the traffic as well.
    """
    tokens = (_in_force.set(deadline), _checked.set(check))
    try:
        yield
    finally:
        _in_force.reset(tokens[0])
        _checked.reset(tokens[1])


def guard(client: Any) -> Any:
    """Make every connection of the httpx client `client` keep to the deadline in force, and return it.

    httpx offers no public way to give its transports a network backend and keep the proxies of the environment, so
    this reaches for the pool's own attribute; `tests/hub/test_deadline.py` fails should that ever move.
    """
    for transport in (client._transport, *client._mounts.values()):
        # A mount without a transport means: no proxy for these hosts, the client's own transport serves them.
        if transport is not None:
            pool = transport._pool
            pool._network_backend = _BackendWithDeadline(pool._network_backend)
    return client


def _shortened(timeout: float | None) -> float | None:
    """A socket timeout in seconds (`None`: unlimited), or the time left until the deadline where that is shorter."""
    deadline = _in_force.get()
    limits = []
    if timeout is not None:
        limits.append(timeout)
    if deadline is not None and not math.isinf(deadline.remaining):
        limits.append(deadline.remaining)
    if not limits:
        return None
    return max(min(limits), _SHORTEST_TIMEOUT)


class _StreamWithDeadline:
    """An httpcore network stream whose reads and writes end at the deadline in force."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _raise_if_passed()
        check = _checked.get()
        if check is None:
            return bytes(self._stream.read(max_bytes, timeout=_shortened(timeout)))
        return self._read_checked(max_bytes, _shortened(timeout), check)

    def _read_checked(
        self, max_bytes: int, timeout: float | None, check: Callable[[], None]
    ) -> bytes:
        """Read in short waits: a wait in the network is not ended by a signal."""
        from httpcore2 import ReadTimeout

        wait = Deadline() if timeout is None else Deadline(timeout)
        while True:
            check()
            seconds = max(min(wait.remaining, _CHECK_SECONDS), _SHORTEST_TIMEOUT)
            try:
                return bytes(self._stream.read(max_bytes, timeout=seconds))
            except ReadTimeout:
                if wait.passed:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _raise_if_passed()
        self._stream.write(buffer, timeout=_shortened(timeout))

    def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _StreamWithDeadline:
        encrypted = self._stream.start_tls(ssl_context, server_hostname, _shortened(timeout))
        return _StreamWithDeadline(encrypted)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _raise_if_passed() -> None:
    """Stop before a read or write that is already late: bytes that wait in the socket would be read without waiting.

    A server that is quicker than our reading would otherwise never time out.
    """
    from httpcore2 import ReadTimeout

    deadline = _in_force.get()
    if deadline is not None and deadline.passed:
        raise ReadTimeout("deadline passed")


class _BackendWithDeadline:
    """An httpcore network backend whose streams end at the deadline in force."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **rest: Any
    ) -> _StreamWithDeadline:
        stream = self._backend.connect_tcp(host, port, timeout=_shortened(timeout), **rest)
        return _StreamWithDeadline(stream)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, **rest: Any
    ) -> _StreamWithDeadline:
        stream = self._backend.connect_unix_socket(path, timeout=_shortened(timeout), **rest)
        return _StreamWithDeadline(stream)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
