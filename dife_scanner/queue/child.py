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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil

from dife_scanner.confinement import AUDITING, confine
from dife_scanner.durable.disk import disk_full, says_full
from dife_scanner.errors import (
    AuditError,
    DeviceLost,
    DiskFull,
    LimitExceeded,
    MeasurementError,
)
from dife_scanner.progress import Progress, Step
from dife_scanner.queue import outcome
from dife_scanner.queue.processes import (
    end_server_at_exit,
    end_with_parent,
    start_child,
    temporary_files,
)

if TYPE_CHECKING:
    from dife_scanner.audit.request import Request

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

BEYOND_PLAN = 2.0
"""How many times the seconds that an audit is planned for its process may take: plans rest on estimates."""

_TICK_SECONDS = 0.2
_STEP_SECONDS = 0.1
_MOST_STEP_BYTES = 65_536


class ChildDied(Exception):
    """The audit process ended without a word: killed, or crashed in native code."""


def warm_up(preload: tuple[str, ...] = PRELOAD, start: str = FORKSERVER) -> None:
    """Start the server process, so that it loads while something else is waited for."""
    context = process_context(preload, start)
    if context.get_start_method() == FORKSERVER:
        from multiprocessing import forkserver

        end_server_at_exit()
        with temporary_files():
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
    limits = Limits(seconds, rss_mib)
    arguments = (entry, request, folder, threads)
    try:
        exitcode = apart(_main, arguments, limits, progress, check, preload=preload, start=start)
        return _outcome_of(exitcode, folder)
    except (
        LimitExceeded,
        AuditError,
        MeasurementError,
        DeviceLost,
        ChildDied,
        outcome.ChildBug,
    ) as error:
        demonstrated = outcome.provisional(folder, str(error))
        if demonstrated is None:
            raise
        log.warning("the audit of %s ended early: %s", request.ref, error)
        return demonstrated


def apart(
    main: Callable[..., None],
    arguments: tuple[Any, ...],
    limits: Limits,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
    *,
    preload: tuple[str, ...] = PRELOAD,
    start: str = FORKSERVER,
) -> int | None:
    """Run `main(*arguments, writer)` in a child and return how it ended; it sends its steps with `Sender(writer)`.

    Raises `LimitExceeded`, what `check` raises, and `ChildDied` where there is no child at all. No child is left.
    """
    context = process_context(preload, start)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(
        target=main, args=(*arguments, writer), name="dife-audit", daemon=True
    )
    try:
        start_child(process)
    except (EOFError, ConnectionError) as error:
        raise ChildDied("the server process for audits ended while it started one") from error
    finally:
        writer.close()
    try:
        _watch(process, reader, limits, progress, check)
    finally:
        _end(process)
        reader.close()
    return cast("int | None", process.exitcode)


def _outcome_of(exitcode: int | None, folder: Path) -> outcome.Received:
    """What the child left. Raises `DiskFull`, `ChildDied`, and the error that the audit ended in."""
    received = outcome.read(folder)
    if received is None:
        raise death(exitcode, folder)
    return received


def death(exitcode: int | None, folder: Path) -> Exception:
    """Why a child left nothing in `folder`: a full disk, or how it died."""
    if exitcode == FULL_DISK:
        return disk_full(folder)
    return ChildDied(_how_it_died(exitcode))


def process_context(preload: tuple[str, ...], start: str) -> Any:
    """How processes that load weights come about: where there is a server for them, from one that has `preload`.

    A process has one such server, which keeps what it was started with, so all of them have to come from here.
    """
    if start not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(start)
    if start == FORKSERVER:
        # threads that wait spinning take the core from those they wait for, as soon as anything else runs here
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context.set_forkserver_preload(list(preload))
    return context


@dataclass(frozen=True)
class Limits:
    """Wall clock and memory that a child may take."""

    seconds: float
    rss_mib: int
    what: str = "the audit"
    """What it is called in errors."""

    def check(self, pid: int, began: float) -> None:
        """Raises `LimitExceeded`; `began` by the monotonic clock."""
        if time.monotonic() > began + self.seconds:
            raise LimitExceeded(
                f"{self.what} took longer than {self.seconds:g} seconds",
                "scan it again: what its searches finished is kept, and it goes on from there; --minutes or "
                "limits.audit_seconds give it more time",
            )
        try:
            used_mib = psutil.Process(pid).memory_info().rss / 1024**2
        except psutil.Error:  # it has just ended
            return
        if used_mib > self.rss_mib:
            raise LimitExceeded(
                f"{self.what} used more than {self.rss_mib} MiB of memory",
                "raise limits.audit_rss_mib if you can",
            )


def _watch(
    process: Any, reader: Connection, limits: Limits, progress: Progress, check: Callable[[], None]
) -> None:
    began = time.monotonic()
    listening: list[Any] = [process.sentinel, reader]
    while process.is_alive():
        check()
        limits.check(process.pid, began)
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


def _main(entry: str, request: Request, folder: Path, threads: int, writer: Connection) -> None:
    begin(threads)
    with exit_where_full():
        _leave_outcome(entry, request, folder, writer)


def begin(threads: int) -> None:
    """What every child does first: it takes from itself what it does not need, and ends with its parent."""
    confine(AUDITING)
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _no_core_dumps()
    if threads and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


@contextmanager
def exit_where_full() -> Iterator[None]:
    """End this process with `FULL_DISK` where not even an error could be left."""
    try:
        yield
    except (OSError, DiskFull) as error:
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
        audited = run_audit(request, Progress(Sender(writer)), keep)
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


class Sender:
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
