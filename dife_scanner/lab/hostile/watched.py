"""Read the corpus, or unpickle its payloads, under an audit hook that notes everything which a file could have run.

Run as a program, in a folder of its own, it prints one JSON object by the name of the case:

    python -m dife_scanner.lab.hostile.watched read            how each case ended, and what the hook saw
    python -m dife_scanner.lab.hostile.watched quick           the same without bombs
    python -m dife_scanner.lab.hostile.watched read FILE...    the same for files
    python -m dife_scanner.lab.hostile.watched control         what the hook saw when each payload was unpickled
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from dife_scanner.errors import DifeError, LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.lab.hostile.archives import honest
from dife_scanner.lab.hostile.corpus import (
    FAILED,
    LIMIT,
    READ,
    REFUSED,
    SAFETENSORS,
    TORCH,
    UNSUPPORTED,
    Case,
    cases,
)
from dife_scanner.models.header import ParseLimits, parse_header
from dife_scanner.models.torch_files import read

_OUTCOMES: dict[type[DifeError], str] = {
    Refused: REFUSED,
    LimitExceeded: LIMIT,
    Unsupported: UNSUPPORTED,
    Unreadable: FAILED,
}
FIND_CLASS = "pickle.find_class"
_WATCHED = (
    FIND_CLASS, "import", "exec", "compile", "marshal.loads", "code.__new__", "subprocess.Popen", "os.system",
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn", "os.startfile", "socket.connect",
    "socket.bind",
    "socket.sendto", "socket.getaddrinfo", "urllib.Request", "ftplib.connect", "ctypes.dlopen", "ctypes.dlsym",
    "webbrowser.open", "os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.chmod",
    "os.putenv", "shutil.rmtree", "setopencodehook", "sys.setprofile", "sys.settrace",
)  # fmt: skip
_OPEN = "open"
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Stopped(BaseException):
    """Raised by the hook where a control has shown enough: a name was about to be imported."""


class Watch:
    """Notes audit events while it is on; a hook cannot be taken away again."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._on = False
        self._stop_at_names = False
        sys.addaudithook(self._note)

    def during(self, work: Callable[[], None], *, stop_at_names: bool = False) -> list[str]:
        """Every kind of watched event while `work` ran, sorted."""
        self.seen = []
        self._on, self._stop_at_names = True, stop_at_names
        try:
            work()
        except Stopped:
            pass
        finally:
            self._on = False
        return sorted(set(self.seen))

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or not _is_watched(event, arguments):
            return
        self.seen.append(event)
        if event == FIND_CLASS and self._stop_at_names:
            raise Stopped


def _is_watched(event: str, arguments: tuple[Any, ...]) -> bool:
    if event != _OPEN:
        return event in _WATCHED
    _, mode, flags = arguments
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & _FOR_WRITING)


def outcome_of(stream: BinaryIO, file: str, kind: str) -> tuple[str, str]:
    """How a file ends, and why in words."""
    limits = ParseLimits()
    try:
        if kind == SAFETENSORS:
            parse_header(stream, file, limits)
        else:
            read(stream, file, limits)
    except DifeError as error:
        return _OUTCOMES[type(error)], error.what
    return READ, ""


def read_watched(watch: Watch, raw: bytes, file: str, kind: str) -> dict[str, Any]:
    """How a file ended and what the hook saw meanwhile."""
    ended: list[tuple[str, str]] = []
    seen = watch.during(lambda: ended.append(outcome_of(io.BytesIO(raw), file, kind)))
    return {"outcome": ended[0][0], "why": ended[0][1], "seen": seen}


def unpickled(watch: Watch, case: Case) -> list[str]:
    """What the hook saw while the payload of `case` was unpickled; one that only names something is stopped there."""
    return watch.during(lambda: _unpickle(case.payload), stop_at_names=not case.acts)


def _unpickle(payload: bytes) -> None:
    """Unpickle for real. A payload may raise whatever it likes afterwards."""
    with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
        pickle.loads(payload)  # noqa: S301


def _read_corpus(watch: Watch, *, bombs: bool) -> dict[str, Any]:
    return {
        case.name: read_watched(watch, case.build(), "hostile.pt", case.format)
        for case in cases()
        if bombs or not case.bomb
    }


def _read_files(watch: Watch, paths: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in map(Path, paths):
        kind = SAFETENSORS if path.suffix == f".{SAFETENSORS}" else TORCH
        found[str(path)] = read_watched(watch, path.read_bytes(), path.name, kind)
    return found


def _controls(watch: Watch) -> dict[str, list[str]]:
    return {case.name: unpickled(watch, case) for case in cases() if case.payload}


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    what, *paths = arguments
    outcome_of(io.BytesIO(honest()), "honest.pt", TORCH)  # whatever is imported late is there now
    watch = Watch()
    if what == "control":
        found: dict[str, Any] = _controls(watch)
    else:
        found = _read_files(watch, paths) if paths else _read_corpus(watch, bombs=what == "read")
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
