"""Child processes that never outlive their parent."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Called first in every child: when the parent is gone, however it went, this process ends at once."""
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
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def stop_event() -> threading.Event:
    """Set when this process is asked to stop: SIGTERM, and Ctrl-C unless there is a parent that hears it too."""
    event = threading.Event()
    alone = multiprocessing.parent_process() is None
    signal.signal(signal.SIGTERM, lambda number, frame: event.set())
    signal.signal(signal.SIGINT, (lambda number, frame: event.set()) if alone else signal.SIG_IGN)
    return event
