"""Parsing in a limited child: an interpreter without site-packages, under hard limits, that owns two open files.

The child is a fork of `python -I -S` (`confinement.fork_server`), so it has the standard library and this package and
nothing else. It takes network, processes and writes from itself and sets its own limits before it reads a byte
(`confinement`), opens nothing, and answers with one JSON document on a pipe. Whatever happens to it is an error with
words here.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dife_scanner.confinement import PARSING, confine
from dife_scanner.confinement.fork_server import Child, ForkServer, ServerEnded
from dife_scanner.errors import (
    DifeError,
    EndedFromOutside,
    LimitExceeded,
    NeedsBase,
    Refused,
    Unreadable,
    Unsupported,
)
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.conversion import Conversion, plan
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.inspection import Inspection, inspect, read_config
from dife_scanner.models.stored import WeightsFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_REPLY_BYTES = 16 * 1024**2
"""A checkpoint with `ParseLimits.tensors` tensors of the longest names takes less."""
_CHUNK = 65_536
_MORE_MEMORY = "raise limits.parse_rss_mib if you expect such a file"
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_REPORTABLE = {
    error.__name__: error for error in (Refused, Unreadable, Unsupported, NeedsBase, LimitExceeded)
}
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT")
"""Signals that a process brings upon itself."""
_NO_MEMORY = (b"memory allocation of", b"bad_alloc")
"""What native code says of itself where it was given no more memory, before it aborts."""


# --- the parent's side ----------------------------------------------------------------------------------------


def inspect_files(
    config: Path, weights: Path, limits: ParseLimits, *, total: int | None = None
) -> Inspection:
    """`inspection.inspect` on two files, in a child under `limits`.

    `total` is the size of the weights in bytes where `weights` holds only their beginning.

    Raises what it raises; `LimitExceeded` where the child runs out of time, memory or reply, `Refused` where the
    files make it crash, `EndedFromOutside` where somebody ends it, and `RuntimeError` with the child's last words for a
    mistake of our own.
    """
    with config.open("rb") as config_file, weights.open("rb") as weights_file:
        files = (config_file.fileno(), weights_file.fileno())
        return Inspection.from_json(_ask(_Question(files, weights.name, total), limits))


def check_config(config: Path, limits: ParseLimits) -> None:
    """Raise what is wrong with a configuration alone, and what `inspect_files` raises; read in such a child too."""
    with config.open("rb") as config_file:
        _ask(_Question((config_file.fileno(),), config.name), limits)


def plan_conversion(
    small: Sequence[Path],
    weights: Sequence[Path],
    limits: ParseLimits,
    *,
    base: ClipConfig | None = None,
    totals: Sequence[int | None] = (),
) -> Conversion:
    """`conversion.plan` on the files of a checkpoint, in a child under `limits`.

    `totals` are the sizes of the weights in bytes where `weights` hold only their beginnings. Raises what
    `inspect_files` does, and `NeedsBase`.
    """
    with contextlib.ExitStack() as opened:
        numbers = []
        for path in (*small, *weights):
            numbers.append(opened.enter_context(path.open("rb")).fileno())
        question = _Question(
            files=tuple(numbers),
            name=weights[0].name,
            small=tuple(path.name for path in small),
            weights=tuple(path.name for path in weights),
            totals=tuple(totals),
            base=base.as_json() if base else None,
        )
        return Conversion.from_json(_ask(question, limits))


@dataclass(frozen=True)
class _Question:
    """What the child is given: the numbers of open files, which are others in the child, and what to call them.

    One file is a configuration, two are a configuration and its weights, both as open_clip saves them. Where `weights`
    are named, the files are the `small` ones and then these.
    """

    files: tuple[int, ...]
    name: str
    """In messages."""
    total: int | None = None
    small: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    totals: tuple[int | None, ...] = ()
    base: dict[str, Any] | None = None


def _ask(question: _Question, limits: ParseLimits) -> dict[str, Any]:
    """The child's answer. Raises what `inspect_files` does."""
    child = start(_server(), _arguments(question, limits), question.files)
    return answer(child, question.name, limits)


def start(server: ForkServer, arguments: Sequence[str], files: Sequence[int]) -> Child:
    """Start a limited child. Raises `RuntimeError` where there is no server for them, which is a mistake of our own."""
    try:
        return server.start(arguments, files)
    except ServerEnded as error:
        raise RuntimeError("the server of limited children ended, and so did the next") from error


@cache
def _server() -> ForkServer:
    return ForkServer(f"{__name__}:main", environment())


def _arguments(question: _Question, limits: ParseLimits) -> list[str]:
    """What `main` reads."""
    return [json.dumps(asdict(question)), json.dumps(asdict(limits))]


def answer(
    child: Child,
    name: str,
    limits: ParseLimits,
    most_bytes: int = MOST_REPLY_BYTES,
) -> dict[str, Any]:
    """What a limited child says of the files that it was given, called `name`, in at most so many bytes.

    Raises what `inspect_files` does.
    """
    try:
        with child:
            reply, last_words = _read(child, name, limits, most_bytes)
            code = child.wait(limits.seconds)
    except TimeoutError:
        raise _too_slow(name, limits) from None
    except ServerEnded:
        raise _ended_from_outside(name) from None
    if code < 0:
        _explain_death(-code, name, limits, last_words)
    if code > 0:
        words = last_words.decode(errors="replace")
        raise RuntimeError(f"the parsing child failed with exit code {code}:\n{words}")
    return _answered(reply)


def _answered(reply: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(reply)
    if "error" in document:
        error = _REPORTABLE[document["error"]]
        raise error(document["what"], document["advice"])
    return document


def environment() -> dict[str, str]:
    """What a limited child gets of this process's environment."""
    return {key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ}


def _read(child: Child, name: str, limits: ParseLimits, most_bytes: int) -> tuple[bytes, bytes]:
    """What the child wrote until both its pipes closed: (reply, last words)."""
    heard = {child.stdout: bytearray(), child.stderr: bytearray()}
    deadline = time.monotonic() + limits.seconds
    with selectors.DefaultSelector() as selector:
        for pipe in heard:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for pipe in _ready(selector, deadline, name, limits):
                if not _take_chunk(pipe, heard[pipe], name, most_bytes):
                    selector.unregister(pipe)
    reply, last_words = heard.values()
    return bytes(reply), bytes(last_words)


def _take_chunk(pipe: int, heard: bytearray, name: str, most_bytes: int) -> bool:
    """Read once from a pipe that is ready; whether there can be more."""
    chunk = os.read(pipe, _CHUNK)
    heard += chunk
    if len(heard) > most_bytes:
        raise LimitExceeded(f"parsing {name} gave too long an answer", "look at the file by hand")
    return bool(chunk)


def _ready(
    selector: selectors.BaseSelector, deadline: float, name: str, limits: ParseLimits
) -> list[int]:
    """Pipes that can be read now; waits for one until the deadline."""
    left = deadline - time.monotonic()
    # a timeout of zero or less would not wait, and still find something to read for as long as the child writes
    ready = selector.select(left) if left > 0 else []
    if not ready:
        raise _too_slow(name, limits)
    return [key.fd for key, _ in ready]


def _explain_death(number: int, name: str, limits: ParseLimits, last_words: bytes) -> NoReturn:
    """Only SIGXCPU and memory that is not given are limits of ours: no limit of ours ends the child by SIGKILL."""
    if number == getattr(signal, "SIGXCPU", 0):
        raise _too_slow(name, limits)
    if number == signal.SIGABRT and any(words in last_words for words in _NO_MEMORY):
        raise LimitExceeded(_too_large(name, limits), _MORE_MEMORY)
    if number in {getattr(signal, name, 0) for name in _CRASHES}:
        raise Refused(
            f"{name} crashes the parser (signal {number})",
            "do not load it; report it to its author",
        )
    raise _ended_from_outside(name, f" (signal {number})")


def _ended_from_outside(name: str, how: str = "") -> EndedFromOutside:
    return EndedFromOutside(
        f"parsing {name} was ended from outside{how}",
        "scan it again; where the machine had no memory left, give it more",
    )


def _too_large(name: str, limits: ParseLimits) -> str:
    return f"parsing {name} needs more than the {limits.memory_mib} MiB of memory allowed"


def _too_slow(name: str, limits: ParseLimits) -> LimitExceeded:
    return LimitExceeded(
        f"parsing {name} took longer than {limits.seconds:g} seconds",
        "raise limits.parse_seconds if you expect such a file",
    )


# --- the child's side -----------------------------------------------------------------------------------------


def main(arguments: Sequence[str], files: Sequence[int]) -> None:
    """Entry of the child: the question and the limits as JSON; the answer goes to stdout."""
    question = replace(_Question(**json.loads(arguments[0])), files=tuple(files))
    limits = ParseLimits(**json.loads(arguments[1]))
    limit_this_process(limits, len(question.files))
    reply(lambda: _found(question, limits), question.name, limits)


def reply(find: Callable[[], dict[str, Any]], name: str, limits: ParseLimits) -> None:
    """Print what the child found in the files called `name`, or which error that was."""
    print(json.dumps(_answer(find, name, limits)), end="")


def _answer(find: Callable[[], dict[str, Any]], name: str, limits: ParseLimits) -> dict[str, Any]:
    try:
        return find()
    except DifeError as error:
        return {
            "error": type(error).__name__,
            "what": error.what,
            "advice": error.advice,
        }
    except MemoryError:
        what = _too_large(name, limits)
        return {"error": LimitExceeded.__name__, "what": what, "advice": _MORE_MEMORY}


def _found(question: _Question, limits: ParseLimits) -> dict[str, Any]:
    """What is found in the open files: nothing to say of a configuration alone that is in order."""
    if question.weights:
        return _planned(question, limits).as_json()
    with os.fdopen(question.files[0], "rb") as config:
        if len(question.files) == 1:
            read_config(config, limits)
            return {}
        with os.fdopen(question.files[1], "rb") as weights:
            found = inspect(config, weights, question.name, limits, total=question.total)
            return found.as_json()


def _planned(question: _Question, limits: ParseLimits) -> Conversion:
    count = len(question.small)
    small = {}
    for number, name in zip(question.files, question.small, strict=False):
        with os.fdopen(number, "rb") as file:
            small[name] = file.read(limits.config_bytes + 1)
    totals = question.totals or (None,) * len(question.weights)
    files = []
    for number, name, total in zip(question.files[count:], question.weights, totals, strict=True):
        files.append(WeightsFile(os.fdopen(number, "rb"), name, total))
    base = ClipConfig.from_json(question.base) if question.base else None
    return plan(small, files, limits, base)


def limit_this_process(limits: ParseLimits, files: int = 2) -> None:
    """Set the limits of a child that owns so many open files, from which on it reads what strangers wrote."""
    confine(PARSING)
    if sys.platform == "win32":  # no such limits there; the parent's wall clock still holds
        return
    import resource

    # the parser opens nothing: 16 files are the pipes, and what the interpreter keeps
    _limit(resource.RLIMIT_AS, limits.memory_mib * 1024**2)
    _limit(resource.RLIMIT_CPU, max(1, math.ceil(limits.seconds)), grace=1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 16 + files)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)


def _limit(kind: int, most: int, grace: int = 0) -> None:
    """Set both limits of `kind`, and never above one that is in force.

    The hard one lies `grace` higher, if need be by a lower soft one: the soft limit's signal can be explained, the hard
    one's cannot.
    """
    import resource

    hard = most + grace
    _, in_force = resource.getrlimit(kind)
    if in_force != resource.RLIM_INFINITY:
        hard = min(hard, in_force)
    resource.setrlimit(kind, (max(0, hard - grace), hard))
