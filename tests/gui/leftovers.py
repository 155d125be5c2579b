"""What a test of the window may leave behind: top-level widgets, threads, and timers that still run."""

from __future__ import annotations

import gc
import threading
import time

import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication

_ENDING_SECONDS = 5.0
"""That a thread which is told to end may take on a busy machine."""


def alive() -> frozenset[int]:
    """What there is now, by identity."""
    return frozenset(id(one) for one in (*_widgets(), *threading.enumerate(), *_timers()))


def left(before: frozenset[int], *, seconds: float = _ENDING_SECONDS) -> list[str]:
    """What came since and is still there once everything that waits for deletion is deleted."""
    end = time.monotonic() + seconds
    while True:
        _delete_what_waits()
        threads = [one for one in threading.enumerate() if id(one) not in before]
        if not threads or time.monotonic() > end:
            break
        threads[0].join(0.05)
    found = [f"thread {one.name}" for one in threads]
    for widget in _widgets():
        if id(widget) not in before:
            found.append(f"{type(widget).__name__} “{widget.accessibleName()}”")
    for timer in _timers():
        if id(timer) not in before:
            found.append(f"timer of {type(timer.parent()).__name__}, every {timer.interval()} ms")
    return found


def _delete_what_waits() -> None:
    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()


def _widgets() -> list[object]:
    return [one for one in QApplication.topLevelWidgets() if one.parent() is None]


def _timers() -> list[QTimer]:
    """Those that run and whose C++ part lives."""
    found = []
    for one in gc.get_objects():
        if type(one) is QTimer and shiboken6.isValid(one) and one.isActive():
            found.append(one)
    return found
