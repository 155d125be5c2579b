"""Run a function off the window's thread, then call `success` or `failure` on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from dife_scanner.errors import DifeError, Interrupted
from dife_scanner.store.db import Store, open_store

log = logging.getLogger(__name__)
T = TypeVar("T")
Success = Callable[[T], None]
Failure = Callable[[DifeError], None]
_CLOSING_SECONDS = 0.02
"""Between two attempts to break off what is read while closing."""


class Background(QObject):
    """One thread besides the window's, so jobs run in the order they were requested.

    `read` gives its function a read-only handle that stays open between calls, `write` a writable one that lives for
    that call alone. `success` and `failure` run on the thread this object lives in; a `DifeError` goes to `failure`;
    any other exception is our mistake: `failure` hears of it, then it is raised there.
    """

    # Queued over to this object's thread, because widgets may be touched on that thread only.
    _finished = Signal(object)

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._home = home
        # One thread only: a handle of SQLite belongs to the thread that opened it.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dife-store")
        self._store: Store | None = None
        self._closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def read(
        self,
        function: Callable[[Store], T],
        success: Success[T],
        failure: Failure,
    ) -> None:
        """Run `function` on a read-only store."""
        self._submit(lambda: function(self._handle()), success, failure)

    def write(
        self,
        function: Callable[[Store], T],
        success: Success[T],
        failure: Failure,
    ) -> None:
        """Run `function` on a store that may be written, opened for this call alone."""

        def open_and_run() -> T:
            with open_store(self._home) as store:
                return function(store)

        self._submit(open_and_run, success, failure)

    def reopen(self) -> None:
        """Forget the open handle, because the file it belongs to was replaced."""
        self._submit(self._drop, lambda _: None, lambda _: None)

    def interrupt(self) -> None:
        """Break off the reading that runs, if one does: its `failure` gets an `Interrupted`."""
        store = self._store
        if store is not None:
            store.interrupt()

    def close(self) -> None:
        """Break off what is being read, wait for what is being written, deliver nothing more."""
        if not self._closed:
            self._closed = True
            dropped = self._pool.submit(self._drop)
            while not dropped.done():
                self.interrupt()  # again and again: what waits in the pool has not begun to read
                wait([dropped], timeout=_CLOSING_SECONDS)
            self._pool.shutdown(wait=True)

    def _submit(
        self,
        function: Callable[[], T],
        success: Success[T],
        failure: Failure,
    ) -> None:
        if self._closed:
            return
        future = self._pool.submit(function)
        future.add_done_callback(lambda done: self._announce(done, success, failure))

    def _announce(
        self,
        future: Future[Any],
        success: Success[Any],
        failure: Failure,
    ) -> None:
        """On the thread of the pool: hand over what is done."""
        if not self._closed:
            self._finished.emit((future, success, failure))

    def _deliver(self, finished: tuple[Future[Any], Success[Any], Failure]) -> None:
        """On the window's thread: say how it ended."""
        future, success, failure = finished
        if self._closed:
            return
        try:
            result = future.result()
        except Interrupted as error:
            failure(error)
        except DifeError as error:
            log.warning("%s", error.what)
            failure(error)
        except CancelledError:
            return
        except Exception as error:
            failure(_our_mistake(error))
            raise
        else:
            success(result)

    def _handle(self) -> Store:
        if self._store is None:
            self._store = open_store(self._home, read_only=True)
        return self._store

    def _drop(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _our_mistake(error: Exception) -> DifeError:
    return DifeError(f"the window has a bug ({type(error).__name__})", "please report it")
