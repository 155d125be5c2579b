"""One audit in a process of its own, watched from outside: memory, wall clock, and whether it lives.

The processes come from a server process that has torch loaded already, so an audit does not pay for a cold import, and
that server has never loaded a checkpoint or touched a GPU. It is started with the first job, while that is fetched.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pkgutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from dife_scanner.confinement import AUDITING, confine
from dife_scanner.durable.disk import disk_full, says_full
from dife_scanner.errors import AuditError, DiskFull, LimitExceeded, MeasurementError
from dife_scanner.progress import Progress, Step
from dife_scanner.queue import outcome
from dife_scanner.queue.processes import end_server_at_exit, end_with_parent

if TYPE_CHECKING:
    from dife_scanner.audit.pipeline import Request

log = logging.getLogger(__name__)

AUDIT = "dife_scanner.audit.pipeline:run"
PRELOAD = (
    "torch",
    "dife_scanner.models.open_clip_alone",
    "dife_scanner.models.clip",
    "dife_scanner.audit.pipeline",
)
PRELOAD_TO_SEARCH = (*PRELOAD, "torch._dynamo")
"""What torch's first optimiser loads as well; only searches have one."""
FORKSERVER = "forkserver"
FULL_DISK = 28
"""Exit code of a child that could not even leave its error (ENOSPC)."""

_TICK_SECONDS = 0.2
_STEP_SECONDS = 0.1
_MOST_STEP_BYTES = 65_536


class ChildDied(Exception):
    """The audit process ended without a word: killed, or crashed in native code."""


def warm_up(preload: tuple[str, ...] = PRELOAD, start: str = FORKSERVER) -> None:
    """Start the server process, so that it loads while something else is waited for."""
    context = _context(preload, start)
    if context.get_start_method() == FORKSERVER:
        from multiprocessing import forkserver

        end_server_at_exit()
        forkserver.ensure_running()


def run(
    request: Request,
    folder: Path,
    *,
    seconds: float,
    rss_mib: int,
    threads: int = 0,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
    entry: str = AUDIT,
    preload: tuple[str, ...] = PRELOAD,
    start: str = FORKSERVER,
) -> outcome.Received:
    """Run `entry(request, progress, keep)` in a child that leaves its outcome in the empty `folder`.

    `check` is called several times a second; what it raises stops the child. Raises `LimitExceeded` past `seconds` or
    `rss_mib`, `ChildDied`, `ChildBug`, `DiskFull`, or whatever error of ours the audit raised. Where the audit handed a
    demonstrated trigger to `keep` before that, it is returned instead with the error as a gap, but for a full disk.
    """
    context = _context(preload, start)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(
        target=_main, args=(entry, request, folder, writer, threads), daemon=True
    )
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        raise ChildDied("the server process for audits ended while it started one") from error
    finally:
        writer.close()
    try:
        try:
            _watch(process, reader, _Limits(seconds, rss_mib), progress, check)
        finally:
            _end(process)
            reader.close()
        return _outcome_of(process, folder)
    except (LimitExceeded, AuditError, MeasurementError, ChildDied, outcome.ChildBug) as error:
        demonstrated = outcome.provisional(folder, str(error))
        if demonstrated is None:
            raise
        log.warning("the audit of %s ended early: %s", request.ref, error)
        return demonstrated


def _outcome_of(process: Any, folder: Path) -> outcome.Received:
    """What the child left. Raises `DiskFull`, `ChildDied`, and the error that the audit ended in."""
    received = outcome.read(folder)
    if received is None and process.exitcode == FULL_DISK:
        raise disk_full(folder)
    if received is None:
        raise ChildDied(_how_it_died(process.exitcode))
    return received


def _context(preload: tuple[str, ...], start: str) -> Any:
    if start not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(start)
    if start == FORKSERVER:
        # threads that wait spinning take the core from those they wait for, as soon as anything else runs here
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context.set_forkserver_preload(list(preload))
    return context


class _Limits:
    """Wall clock and memory that an audit may take."""

    def __init__(self, seconds: float, rss_mib: int) -> None:
        self._seconds = seconds
        self._rss_mib = rss_mib
        self._end = time.monotonic() + seconds

    def check(self, pid: int) -> None:
        """Raises `LimitExceeded`."""
        if time.monotonic() > self._end:
            raise LimitExceeded(
                f"the audit took longer than {self._seconds:g} seconds",
                "raise limits.audit_seconds, or choose a smaller budget",
            )
        try:
            used_mib = psutil.Process(pid).memory_info().rss / 1024**2
        except psutil.Error:  # it has just ended
            return
        if used_mib > self._rss_mib:
            raise LimitExceeded(
                f"the audit used more than {self._rss_mib} MiB of memory",
                "raise limits.audit_rss_mib if you can",
            )


def _watch(
    process: Any, reader: Connection, limits: _Limits, progress: Progress, check: Callable[[], None]
) -> None:
    listening: list[Any] = [process.sentinel, reader]
    while process.is_alive():
        check()
        limits.check(process.pid)
        ready = wait(listening, timeout=_TICK_SECONDS)
        if reader in ready and not _forward(reader, progress):
            listening.remove(reader)


def _forward(reader: Connection, progress: Progress) -> bool:
    """Pass on one step; `False` when there will be no more."""
    try:
        step = Step(**json.loads(reader.recv_bytes(_MOST_STEP_BYTES)))
    except (EOFError, OSError, ValueError, TypeError):
        return False
    progress(step.phase, step.done, step.total, step.note)
    return True


def _end(process: Any) -> None:
    if process.is_alive():
        process.kill()
    process.join()


def _how_it_died(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"ended with exit code {exitcode} and no outcome"
    try:
        return f"killed by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"killed by signal {-exitcode}"


# --- inside the child -----------------------------------------------------------------------------------------


def _main(entry: str, request: Request, folder: Path, writer: Connection, threads: int) -> None:
    confine(AUDITING)
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _no_core_dumps()
    if threads and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    try:
        _leave_outcome(entry, request, folder, writer)
    except (OSError, DiskFull) as error:  # not even the error could be left
        if says_full(error):
            sys.exit(FULL_DISK)
        raise


def _leave_outcome(entry: str, request: Request, folder: Path, writer: Connection) -> None:
    """Audit, and leave what came of it or the error that it ended in."""
    try:
        tempfile.tempdir = tempfile.mkdtemp(
            prefix="tmp-", dir=folder
        )  # removed with the job, however this process ends
        run_audit = pkgutil.resolve_name(entry)
        keep = partial(outcome.keep_provisional, folder)
        audited = run_audit(request, Progress(_Sender(writer)), keep)
        outcome.write(folder, audited)
    except MemoryError:
        outcome.write_error(
            folder, LimitExceeded("the audit ran out of memory", "use a machine with more memory")
        )
    except (
        Exception
    ) as error:  # whatever it is, the worker puts it in words; nobody else is here to act on it
        outcome.write_error(folder, error)
        if os.environ.get("DIFE_DEBUG"):
            raise


def _no_core_dumps() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Sender:
    """Steps to the worker, at most ten a second unless the phase changes."""

    def __init__(self, writer: Connection) -> None:
        self._writer = writer
        self._phase = ""
        self._sent_at = 0.0

    def __call__(self, step: Step) -> None:
        at = time.monotonic()
        same_phase = step.phase == self._phase and step.done != step.total
        if same_phase and at - self._sent_at < _STEP_SECONDS:
            return
        self._phase = step.phase
        self._sent_at = at
        short = replace(step, note=step.note[:500])
        try:
            self._writer.send_bytes(json.dumps(asdict(short)).encode())
        except OSError:  # nobody listens any more
            return
