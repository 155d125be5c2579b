"""Child processes that never outlive their parent."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from multiprocessing import util
from multiprocessing.connection import wait
from typing import Any

from dife_scanner.durable.disk import says_full
from dife_scanner.errors import DiskFull
from dife_scanner.queue.hanging import StopEvent

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_LONGEST_NAME = 15


def end_with_parent() -> None:
    """Called first in every child: when the parent is gone, however it went, this process ends at once.

    On Linux the process is called from now on what its parent called it, such as `dife-worker`, in `ps` and `top`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    if sys.platform == "linux":  # the thread above needs the GIL; this does not
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            name = multiprocessing.current_process().name.encode()[:_LONGEST_NAME]
            libc.prctl(_PR_SET_NAME, name, 0, 0, 0)


@contextlib.contextmanager
def temporary_files() -> Iterator[None]:
    """Turn a folder for temporary files that takes none into `DiskFull`: each process that is started needs some."""
    try:
        yield
    except OSError as error:
        # where every folder for them is full Python says that there is none
        if says_full(error) or "No usable temporary directory" in str(error):
            raise DiskFull(
                f"the folder for temporary files is full: {error}",
                "free some space in it, or name another in TMPDIR; nothing is lost, work goes on by itself",
            ) from error
        raise


_starting = threading.Lock()
_ATTEMPTS = 5
"""To start a child, of which all but the last may meet a server that is gone."""
_BETWEEN_ATTEMPTS = 0.1
"""Seconds between them: until then a server that was killed can be waited for."""
_SERVER_IS_GONE = (EOFError, ConnectionError)
"""What multiprocessing raises where its server dies while it is asked for a process."""


def start_child(process: Any) -> None:
    """Start a process of multiprocessing that runs a function of a module.

    It does not import the program that we are: what it needs its server has loaded, and a command line with all that
    hangs on it takes longer than the rest of its start. A server that dies meanwhile is started again.

    Raises `DiskFull` where there is no room for temporary files.
    """
    with _starting, temporary_files():
        program = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            _start(process)
        finally:
            sys.modules["__main__"] = program


def _start(process: Any) -> None:
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(*_SERVER_IS_GONE):
            process.start()
            return
        time.sleep(_BETWEEN_ATTEMPTS)
    process.start()


_finalizers: list[util.Finalize] = []


def end_server_at_exit() -> None:
    """Kill this process's fork server when this process ends.

    Left alone it would finish its imports first, and until then hold our standard output open: whoever reads that
    through a pipe would wait for torch to load long after we are gone.
    """
    if not _finalizers:
        _finalizers.append(util.Finalize(None, _kill_server, exitpriority=100))


def _kill_server() -> None:
    from multiprocessing import forkserver  # not on every system

    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def stop_event() -> threading.Event:
    """Make an event that is set when this process is asked to stop: by SIGTERM, and by Ctrl-C where it has no parent.

    A parent gets the Ctrl-C as well, and ends its children itself. A child that no longer asks for it hangs.
    """
    event = StopEvent()

    def stop(number: int, frame: object) -> None:
        event.set()

    signal.signal(signal.SIGTERM, stop)
    if multiprocessing.parent_process() is None:
        signal.signal(signal.SIGINT, stop)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return event
