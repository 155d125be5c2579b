"""Python's own audit hook, for systems without a filter in the kernel.

It holds for Python code and for no native code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from dife_scanner.confinement.forbidden import Forbidden

_AF_UNIX = 1
_EVENTS = {
    Forbidden.PROCESSES: (
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "subprocess.Popen",
        "_winapi.CreateProcess",
    ),
    Forbidden.PROGRAMS: ("os.exec",),
    Forbidden.WRITES: (
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.removexattr",
        "os.rename",
        "os.rmdir",
        "os.setxattr",
        "os.symlink",
        "os.truncate",
        "os.utime",
    ),
}
"""Events that always are what is forbidden."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(forbidden: Iterable[Forbidden]) -> None:
    """Let these things fail with `PermissionError` from now on; a hook cannot be taken off again."""
    wanted = frozenset(forbidden)
    events = frozenset(event for one in wanted for event in _EVENTS.get(one, ()))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in events or _is_forbidden(event, arguments, wanted):
            raise PermissionError(f"{event} is not allowed in this process")

    sys.addaudithook(hook)


def _is_forbidden(event: str, arguments: tuple[Any, ...], wanted: frozenset[Forbidden]) -> bool:
    if event == "socket.__new__":
        return Forbidden.SOCKETS in wanted or (
            Forbidden.NETWORK in wanted and arguments[1] != _AF_UNIX
        )
    if event == "open" and Forbidden.WRITES in wanted:
        return bool((arguments[2] or 0) & _WRITING)
    return False
