"""A terminal that gives each key as it is pressed, and gets back what it had however the program ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

_MOST_BYTES = 64
"""Read at once: a key is at most a handful, a paste is read bit by bit."""
_ESCAPE_SECONDS = 0.05
"""After an escape, until it is known that no sequence follows; a slow line sends one in one piece."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMED = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "esc",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1b[Z": "shift-tab",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "pageup",
    "\x1b[6~": "pagedown",
    "\x1b[15~": "f5",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1bOH": "home",
    "\x1bOF": "end",
}


class Ended(BaseException):
    """The program was asked to end (SIGTERM, SIGHUP); no `Exception`, so that nothing on the way handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Terminal:
    """Keys of a terminal, as long as `taken` lasts."""

    def __init__(self) -> None:
        self._file = sys.stdin.fileno()
        self._bytes = b""
        self._asked_to_end = 0
        """The signal that asked for it."""
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)

    @contextlib.contextmanager
    def taken(self) -> Iterator[Terminal]:
        """Keys come at once and unseen; Ctrl-C still interrupts. At the end all is as before, also after an error.

        What asks the program to end is heard where it waits for a key: an exception that comes in the middle of
        something else may be swallowed there, or leave a lock behind. Asked once more, it ends at once.
        """
        before = termios.tcgetattr(self._file)
        handlers = {one: signal.getsignal(one) for one in (*_ENDING, signal.SIGWINCH)}
        waker = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            for one in _ENDING:
                signal.signal(one, self._end)
            signal.signal(signal.SIGWINCH, _resized)
            tty.setcbreak(self._file)
            _let_through(self._file)
            yield self
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(waker)
            termios.tcsetattr(self._file, termios.TCSADRAIN, before)
            for end in (self._woken, self._wake):
                os.close(end)

    def key(self, seconds: float) -> str | None:
        """The next key by its name or character; `None` where none came in time, or the size changed.

        Raises `EOFError` where the terminal is gone; `KeyboardInterrupt` and `Ended` where it was asked to end.
        """
        self._check_end()
        if not self._bytes:
            ready, _, _ = select.select([self._file, self._woken], [], [], seconds)
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, _MOST_BYTES)
            self._check_end()
            if self._file not in ready:
                return None
            self._read()
        return self._next()

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._asked_to_end:
            raise _ended(number)
        self._asked_to_end = number

    def _check_end(self) -> None:
        if self._asked_to_end:
            raise _ended(self._asked_to_end)

    def _read(self) -> None:
        try:
            came = os.read(self._file, _MOST_BYTES)
        except OSError as error:
            raise EOFError from error
        if not came:
            raise EOFError
        self._bytes += came

    def _next(self) -> str | None:
        """Take one key from what was read."""
        if self._bytes == b"\x1b" and select.select([self._file], [], [], _ESCAPE_SECONDS)[0]:
            self._read()
        size = _size(self._bytes)
        taken, self._bytes = self._bytes[:size], self._bytes[size:]
        return _name(taken.decode("utf-8", "replace"))


def _size(data: bytes) -> int:
    """Bytes of the first key: an escape sequence, a character of UTF-8, or one byte."""
    if data[:1] == b"\x1b" and data[1:2] in (b"[", b"O"):
        for at in range(2, len(data)):
            if 0x40 <= data[at] <= 0x7E:
                return at + 1
        return len(data)
    first = data[0]
    length = 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)
    return min(length, len(data))


def _name(text: str) -> str | None:
    """A key's name; `None` for one that has none here."""
    if text in _NAMED:
        return _NAMED[text]
    if len(text) == 1 and "\x01" <= text <= "\x1a":
        return f"ctrl-{chr(ord(text) + 96)}"
    return text if text.isprintable() else None


def _ended(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Ended(number)


def _resized(number: int, frame: FrameType | None) -> None:
    """Nothing to do here: the wait for a key ends, and the next drawing asks for the size."""


def _let_through(file: int) -> None:
    """Ctrl-Z takes a decision back, as in the window; the terminal would suspend the program with its screen on."""
    attributes = termios.tcgetattr(file)
    attributes[6][termios.VSUSP] = os.fpathconf(file, "PC_VDISABLE").to_bytes(1, "big")
    termios.tcsetattr(file, termios.TCSADRAIN, attributes)
