"""The next download while the current audit runs: a thread of a worker, one in all of a home's workers."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable
from types import TracebackType

from dife_scanner.errors import DifeError
from dife_scanner.queue.lease import worker_name
from dife_scanner.queue.work import Work
from dife_scanner.records import Job
from dife_scanner.store import Patience, Store, leases, open_store, polls

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between looks at whether there is something to fetch."""
ROLE = "fetcher"

Fetch = Callable[[Store, Job, str, threading.Event], Job]
"""Fetches what a claimed job needs and gives it back: (store, job, its worker's name, what stops it)."""


class FetchAhead:
    """Fetches the checkpoint that is due next while all workers are busy; runs between entering and leaving.

    The job is claimed under a name of its own, so it has a lease, can be cancelled, and goes back to the queue where
    this process is killed. What was fetched by then is used by whoever takes the job.
    """

    def __init__(self, work: Work, fetch: Fetch) -> None:
        self._work = work
        self._fetch = fetch
        self._leaving = threading.Event()
        self._fetching = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fetch-ahead", daemon=True)

    def __enter__(self) -> FetchAhead:
        if self._work.settings.disk.fetch_ahead:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def fetching(self) -> bool:
        """Whether it holds a job, which will be queued again in a while."""
        return self._fetching.is_set()

    def _run(self) -> None:
        patience = Patience(math.inf, log.debug, self._leaving.is_set)
        try:
            with open_store(self._work.home, patience=patience) as store:
                while not self._leaving.wait(LOOK_SECONDS):
                    self._turn(store)
        except DifeError as error:  # the worker itself meets it as well, and says so
            log.warning("nothing is fetched ahead any more: %s", error.what)

    def _turn(self, store: Store) -> None:
        """Fetch for one job where one is due. What keeps this thread from writing is left to the worker to tell."""
        name = worker_name(ROLE)
        self._fetching.set()
        try:
            busy = self._work.settings.audits_at_once
            job = leases.claim_ahead(store, name, self._work.lease_seconds, busy)
            if job is None:
                return
            polls.beat(store, ROLE, os.getpid(), f"fetching {job.ref} ahead of its audit")
            self._fetch(store, job, name, self._leaving)
            polls.beat(store, ROLE, os.getpid(), f"fetched {job.ref}")
        except DifeError as error:
            log.info("not fetched ahead: %s", error.what)
        finally:
            self._fetching.clear()
