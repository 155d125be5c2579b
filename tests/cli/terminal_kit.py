"""A terminal for tests: `dife` runs in a forked child on a pty, and what it draws is read as a screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from waiting import BUSY_SECONDS

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[()][A-Z0-9]")


class Screen:
    """What a terminal shows, as far as programs move by homing, by lines and by positions."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.cells = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.modes: set[str] = set()
        """`?1049` while the alternate screen is shown, `?25` while the cursor is hidden."""
        self.colours = False
        """Whether a colour was ever asked for."""
        self.below = ""
        """What was written outside the alternate screen."""

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def feed(self, data: str) -> None:
        at = 0
        while at < len(data):
            found = _SEQUENCE.match(data, at)
            if found:
                self._sequence(found[1] or "", found[2] or "")
                at = found.end()
            else:
                self._put(data[at])
                at += 1

    def _sequence(self, numbers: str, letter: str) -> None:
        if letter in "hl" and numbers in ("?1049", "?25"):
            is_on = (letter == "h") == (numbers == "?1049")
            (self.modes.add if is_on else self.modes.discard)(numbers)
        elif letter == "H":
            row, _, column = numbers.partition(";")
            self.row, self.column = int(row or 1) - 1, int(column or 1) - 1
        elif letter == "m":
            codes = [int(one) for one in numbers.split(";") if one]
            self.colours |= any(30 <= code <= 49 or code >= 90 for code in codes)

    def _put(self, character: str) -> None:
        if "?1049" not in self.modes:
            self.below += character
        elif character == "\n":
            self.row, self.column = self.row + 1, 0
        elif character == "\r":
            self.column = 0
        elif self.row < self.lines and self.column < self.columns:
            self.cells[self.row][self.column] = character
            self.column += 1
        else:
            raise AssertionError(f"drawn outside the screen: {character!r}, {self.text}")


class Session:
    """A running `dife` and its screen."""

    def __init__(self, child: int, file: int, columns: int, lines: int) -> None:
        self.child, self.file = child, file
        self.screen = Screen(columns, lines)
        self.code: int | None = None
        self.before: list[Any] = []

    def press(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """What a window manager does; what is drawn from now on is for the new size."""
        while self._read(0.0):
            pass
        self.screen = Screen(columns, lines)
        self.screen.modes = {"?1049", "?25"}
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait(self, shown: str | Callable[[str], bool]) -> str:
        """Read until the screen shows a text."""
        is_there = shown if callable(shown) else lambda text: shown in text
        end = time.monotonic() + BUSY_SECONDS
        while not is_there(self.screen.text):
            assert time.monotonic() < end, f"{shown!r} never came; {self.screen.text}"
            assert self._read(0.2) is not None, f"it ended; {self.screen.below}"
        return self.screen.text

    def end(self) -> int:
        """Read until it has ended; gives its exit code."""
        while self._read(0.2) is not None:
            pass
        _, status = os.waitpid(self.child, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def attributes(self) -> list[Any]:
        """How the terminal treats what is typed."""
        return termios.tcgetattr(self.file)

    def _read(self, seconds: float) -> bool | None:
        """Whether something came; `None` at the end."""
        if not select.select([self.file], [], [], seconds)[0]:
            return False
        try:
            came = os.read(self.file, 1 << 16)
        except OSError:  # what Linux says where nobody holds the other end any more
            return None
        self.screen.feed(came.decode("utf-8", "replace"))
        return bool(came) or None


@contextlib.contextmanager
def on_a_terminal(
    *arguments: object,
    columns: int = 80,
    lines: int = 24,
    patch: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    **environment: str,
) -> Iterator[Session]:
    """Run `dife` with these arguments; `patch` is entered in the child."""
    given = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": "", **environment}
    child, file = pty.fork()
    if child == 0:
        _be_the_program([str(one) for one in arguments], columns, lines, patch, given)
    session = Session(child, file, columns, lines)
    session.before = session.attributes()
    try:
        yield session
    finally:
        if session.code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(file)


def _be_the_program(
    arguments: list[str],
    columns: int,
    lines: int,
    patch: Callable[[], contextlib.AbstractContextManager[object]],
    environment: dict[str, str],
) -> None:
    """In the child: never returns."""
    code = 99
    try:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        for name in ("stdin", "stdout", "stderr"):
            number = ("stdin", "stdout", "stderr").index(name)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, buffering=1, encoding="utf-8"))
        from dife_scanner.cli import main

        with mock.patch.dict(os.environ, environment), patch():
            for name in [name for name in ("COLUMNS", "LINES") if not os.environ[name]]:
                del os.environ[name]
            sys.argv = ["dife", *arguments]
            main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.stdout.flush()
        os._exit(code)
