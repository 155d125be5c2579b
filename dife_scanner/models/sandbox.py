"""Parsing in a limited child: a fresh interpreter without site-packages, under hard limits, that owns two open files.

The child is started as `python -I -S`, so it can import the standard library and this package and nothing else. It
sets its own limits before it reads a byte, opens nothing, and answers with one JSON document on a pipe. Whatever
happens to it is an error with words here.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dife_scanner.errors import DifeError, LimitExceeded, Refused, Unsupported
from dife_scanner.models.checks import Inspection, inspect
from dife_scanner.models.header import ParseLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_REPLY_BYTES = 16 * 1024**2
_ROOT = Path(__file__).resolve().parents[2]
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); from dife_scanner.models.sandbox import main; main(sys.argv[2:])"
)
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_REPORTABLE = {error.__name__: error for error in (Refused, Unsupported, LimitExceeded)}


# --- the parent's side ----------------------------------------------------------------------------------------


def inspect_files(config: Path, weights: Path, limits: ParseLimits) -> Inspection:
    """`checks.inspect` on two staged files, in a child under `limits`.

    Raises what it raises; `LimitExceeded` where the child runs out of time, memory or reply, `Refused` where the
    files make it crash, and `RuntimeError` with the child's last words for a mistake of our own.
    """
    with config.open("rb") as config_file, weights.open("rb") as weights_file:
        files = (config_file.fileno(), weights_file.fileno())
        request = [str(_ROOT), *map(str, files), weights.name, json.dumps(asdict(limits))]
        reply, words, code = _run(request, files, limits.seconds, weights.name)
    if code < 0:
        _explain_death(-code, weights.name, limits)
    if code != 0:
        raise RuntimeError(f"the parsing child failed with exit code {code}:\n{words.decode(errors='replace')}")
    document = json.loads(reply)
    if "error" in document:
        raise _REPORTABLE[document["error"]](document["what"], document["advice"])
    return Inspection.from_json(document)


def _run(arguments: Sequence[str], files: tuple[int, ...], seconds: float, name: str) -> tuple[bytes, bytes, int]:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=files,
        env={key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ},
    )
    with child:
        try:
            reply, words = _read(child, time.monotonic() + seconds, name, seconds)
            return reply, words, child.wait(timeout=seconds)
        finally:
            child.kill()


def _read(child: subprocess.Popen[bytes], deadline: float, name: str, seconds: float) -> tuple[bytes, bytes]:
    assert child.stdout is not None and child.stderr is not None
    heard: dict[int, bytearray] = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for number in heard:
            selector.register(number, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise LimitExceeded(f"parsing {name} took longer than {seconds:g} seconds", "look at the file by hand")
            for key, _ in ready:
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    selector.unregister(key.fd)
                heard[key.fd] += chunk
                if len(heard[key.fd]) > MOST_REPLY_BYTES:
                    raise LimitExceeded(f"parsing {name} gave too long an answer", "look at the file by hand")
    return bytes(heard[child.stdout.fileno()]), bytes(heard[child.stderr.fileno()])


def _explain_death(number: int, name: str, limits: ParseLimits) -> NoReturn:
    if number == getattr(signal, "SIGXCPU", 0):
        raise LimitExceeded(f"parsing {name} took longer than {limits.seconds:g} seconds", "look at the file by hand")
    if number == getattr(signal, "SIGKILL", 0):
        raise LimitExceeded(f"parsing {name} was killed, probably for its memory", "look at the file by hand")
    raise Refused(f"{name} crashes the parser (signal {number})", "do not load it; report it to its author")


# --- the child's side -----------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    """Entry of the child: two file numbers, the weights' name and the limits as JSON; the answer goes to stdout."""
    config, weights, name, given = arguments
    limits = ParseLimits(**json.loads(given))
    _limit_this_process(limits)
    print(json.dumps(_answer(int(config), int(weights), name, limits)), end="")


def _answer(config: int, weights: int, name: str, limits: ParseLimits) -> dict[str, Any]:
    try:
        with os.fdopen(config, "rb") as config_file, os.fdopen(weights, "rb") as weights_file:
            return inspect(config_file, weights_file, name, limits).as_json()
    except DifeError as error:
        return {"error": type(error).__name__, "what": error.what, "advice": error.advice}
    except MemoryError:
        words = f"parsing {name} needs more than the {limits.memory_mib} MiB of memory allowed"
        return {"error": "LimitExceeded", "what": words, "advice": "look at the file by hand"}


def _limit_this_process(limits: ParseLimits) -> None:
    if sys.platform == "win32":  # no such limits there; the parent's wall clock still holds
        return
    import resource

    seconds = max(1, math.ceil(limits.seconds))
    wanted = {
        resource.RLIMIT_AS: limits.memory_mib * 1024**2,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 16,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # CPU: the soft limit's signal can be explained, the hard one's cannot
        resource.setrlimit(kind, (most, most + 1 if kind == resource.RLIMIT_CPU and hard < 0 else most))
