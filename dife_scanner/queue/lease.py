"""Who holds a job: a worker's name, whether that worker is gone for certain, and the lease kept alive meanwhile."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from dife_scanner.errors import DifeError, StoreBusy
from dife_scanner.store import LeaseLost, Patience, leases, open_store

log = logging.getLogger(__name__)


def worker_name(part: str = "") -> str:
    """Name this process uniquely on this host, also among later ones with the same number; or a `part` of it."""
    name = f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"
    return f"{name}:{part}" if part else name


def is_of_process(worker: str, pid: int) -> bool:
    """Whether a worker is, or was, this process of this host, or a part of it."""
    host, number, *_ = [*worker.split(":"), ""]
    return (host, number) == (socket.gethostname(), str(pid))


def is_part(worker: str) -> bool:
    """Whether this is the name of a part of a worker, such as what fetches ahead, and not of its own work."""
    return worker.count(":") > 2


def gone(worker: str) -> bool:
    """Tell whether a worker of this host certainly no longer runs; `False` where that cannot be known from here."""
    host, number, start, *_ = [*worker.split(":"), "", ""]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        process = psutil.Process(int(number))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        # another process may have the number of one that ended
        return f"{process.create_time():.2f}" != start
    except psutil.NoSuchProcess:
        return True


class Lease:
    """Renews the lease of one job from a thread until left; `lost` is set when it is no longer ours."""

    def __init__(self, home: Path, job_id: int, worker: str, seconds: float) -> None:
        self.lost = threading.Event()
        self._left = threading.Event()
        self._home = home
        self._job_id = job_id
        self._worker = worker
        self._seconds = seconds
        self._thread = threading.Thread(target=self._renew, name=f"lease-{job_id}", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    def check(self) -> None:
        """Raises `LeaseLost`."""
        if self.lost.is_set():
            raise LeaseLost(f"job {self._job_id} was cancelled or given to another worker")

    def _renew(self) -> None:
        # A lease must not run out because another program holds the database: this waits, and is left at once.
        patience = Patience(math.inf, log.debug, self._left.is_set)
        with suppress(StoreBusy), open_store(self._home, patience=patience) as store:
            while not self._left.wait(self._seconds / 4):
                try:
                    if not leases.heartbeat(store, self._job_id, self._worker, self._seconds):
                        self.lost.set()
                        return
                except (
                    DifeError
                ) as error:  # a full disk, say: the lease may run out, nothing else is harmed
                    log.warning(
                        "the lease of job %s could not be renewed: %s", self._job_id, error.what
                    )
