"""One run of a scanner: confined, limited, with a clean environment and an answer of bounded length."""

from __future__ import annotations

import math
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dife_scanner.confinement.launch import HAS_NETWORK, NO_PROGRAM, Allowed, command
from dife_scanner.models.opinions.interface import OpinionLimits

MOST_ANSWER_BYTES = 16 * 1024**2
_FILE_MIB = 1024
"""The largest file that a scanner may unpack into its folder."""
_CHUNK = 65_536
_TICK_SECONDS = 0.2
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
}
"""All that a scanner sees of the environment, besides its folder as home; nothing of ours, no secret."""
_INSTEAD = {
    HAS_NETWORK: "this system has no means to keep it from the network",
    NO_PROGRAM: "its program cannot be started",
}


class NotRunError(Exception):
    """There is no answer; the message says why."""


def run(
    program: Sequence[str],
    folder: Path,
    limits: OpinionLimits,
    check: Callable[[], None] = lambda: None,
) -> tuple[int, bytes]:
    """Exit code and standard output of `program` with `folder`, an empty one, as its working folder and home.

    Raises `NotRunError`, and what `check` raises, which is called several times a second.
    """
    child = _start(program, folder, limits)
    with child:
        try:
            answer = _read(child, limits, check)
            child.wait(timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise _too_slow(limits) from None
        finally:
            child.kill()
    if child.returncode in _INSTEAD:
        raise NotRunError(_INSTEAD[child.returncode])
    if child.returncode < 0:
        raise NotRunError(f"it was ended by signal {-child.returncode}")
    return child.returncode, answer


def _start(program: Sequence[str], folder: Path, limits: OpinionLimits) -> subprocess.Popen[bytes]:
    allowed = Allowed(str(folder), math.ceil(limits.seconds), limits.memory_mib, _FILE_MIB)
    try:
        return subprocess.Popen(
            command(program, allowed),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_ENVIRONMENT | {"HOME": str(folder), "TMPDIR": str(folder)},
        )
    except OSError as error:
        raise NotRunError(f"it could not be started: {error.strerror}") from error


def _read(
    child: subprocess.Popen[bytes], limits: OpinionLimits, check: Callable[[], None]
) -> bytes:
    """Everything that it prints until it closes its output."""
    assert child.stdout is not None
    heard = bytearray()
    deadline = time.monotonic() + limits.seconds
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            check()
            if not selector.select(_TICK_SECONDS):
                continue
            chunk = os.read(child.stdout.fileno(), _CHUNK)
            heard += chunk
            if not chunk:
                return bytes(heard)
            if len(heard) > MOST_ANSWER_BYTES:
                raise NotRunError("it gave too long an answer")
    raise _too_slow(limits)


def _too_slow(limits: OpinionLimits) -> NotRunError:
    return NotRunError(f"it took longer than {limits.seconds:g} seconds (opinions.seconds)")
