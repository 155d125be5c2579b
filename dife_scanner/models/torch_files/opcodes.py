"""Pickle bytes, one step at a time: which of a few actions comes next, and with what argument.

All opcodes of protocols 0 to 5. Arguments are delimited as CPython's C unpickler delimits them; whatever that reads and
this does not ends as unreadable, never as something else.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from dife_scanner.models.torch_files.outcome import beyond, unreadable

_MOST_DIGITS = 100
_LONGEST_NUMBER = 64
"""Bytes of a whole number; longer ones count nothing and are not spelled out."""
_INT = re.compile(rb"[+-]?[0-9]{1,100}L?")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]{1,100}\.?[0-9]{0,100}|\.[0-9]{1,100})(?:[eE][+-]?[0-9]{1,4})?")


class Cursor:
    """A position in the bytes of one or more pickles."""

    def __init__(self, data: bytes, file: str, *, cut: bool = False) -> None:
        self.data = data
        self.at = 0
        self.file = file
        self.damage = ""
        """What a strict unpickler would not read; what follows it is looked at all the same."""
        self._cut = cut
        """Whether the file goes on behind `data`."""

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self.data) - self.at:
            self._ended()
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def line(self) -> bytes:
        """The bytes up to the next line feed, without it."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            self._ended()
        taken = self.data[self.at : end]
        self.at = end + 1
        return taken

    def whole(self, width: int, *, signed: bool = False) -> int:
        """A little-endian whole number of `width` bytes."""
        return int.from_bytes(self.take(width), "little", signed=signed)

    def text(self, count: int) -> str:
        return self._decoded(self.take(count))

    def text_line(self) -> str:
        return self._decoded(self.line())

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self.damage = "a string in its pickle is not UTF-8"
            return raw.decode("latin-1")

    def _ended(self) -> None:
        if self._cut:
            beyond(self.file, f"holds a pickle of more than {len(self.data)} bytes", "header_bytes")
        unreadable(self.file, "its pickle is truncated")


Step = tuple[str, Any]


def next_step(cursor: Cursor) -> Step:
    """The next action and its argument. Raises `Unreadable` for an unknown opcode or a cut argument."""
    code = cursor.take(1)
    known = _STEPS.get(code)
    if known is None:
        unreadable(cursor.file, f"byte 0x{code.hex()} in its pickle is no opcode")
    action, read = known
    return action, read(cursor)


def _nothing(_: Cursor) -> None:
    return None


def _constant(value: Any) -> Callable[[Cursor], Any]:
    return lambda _: value


def _width(width: int, *, signed: bool = False) -> Callable[[Cursor], int]:
    return lambda cursor: cursor.whole(width, signed=signed)


def _counted_text(width: int) -> Callable[[Cursor], str]:
    return lambda cursor: cursor.text(cursor.whole(width))


def _counted_bytes(width: int) -> Callable[[Cursor], bytes]:
    return lambda cursor: cursor.take(cursor.whole(width))


def _counted_number(width: int) -> Callable[[Cursor], int | None]:
    def read(cursor: Cursor) -> int | None:
        raw = cursor.take(cursor.whole(width))
        if len(raw) > _LONGEST_NUMBER:
            return None
        return int.from_bytes(raw, "little", signed=True)

    return read


def _float(cursor: Cursor) -> float:
    (number,) = struct.unpack(">d", cursor.take(8))
    return float(number)


def _int_line(cursor: Cursor) -> int | bool | None:
    line = cursor.line().strip()
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.rstrip(b"L")) if _INT.fullmatch(line) else _no_value(cursor, "a number")


def _float_line(cursor: Cursor) -> float | None:
    line = cursor.line().strip()
    is_number = line.lower() in (b"nan", b"inf", b"-inf") or _FLOAT.fullmatch(line)
    return float(line) if is_number else _no_value(cursor, "a number")


def _no_value(cursor: Cursor, what: str) -> Any:
    cursor.damage = f"{what} in its pickle is none"
    return None


def _index_line(cursor: Cursor) -> int:
    line = cursor.line()
    if not line.isdigit() or len(line) > _MOST_DIGITS:
        unreadable(cursor.file, "an index in its pickle is no number")
    return int(line)


def _string_line(cursor: Cursor) -> Any:
    """A quoted text of protocol 0. Escapes in it stay: no text with one names anything that is read here."""
    line = cursor.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        return _no_value(cursor, "a text")
    return line[1:-1].decode("latin-1")


def _unicode_line(cursor: Cursor) -> Any:
    try:
        return cursor.line().decode("raw-unicode-escape")
    except UnicodeDecodeError:
        return _no_value(cursor, "a text")


def _two_lines(cursor: Cursor) -> tuple[str, str]:
    return cursor.text_line(), cursor.text_line()


_STEPS: dict[bytes, tuple[str, Callable[[Cursor], Any]]] = {
    # values
    b"N": ("push", _nothing),
    b"\x88": ("push", _constant(True)),
    b"\x89": ("push", _constant(False)),
    b")": ("push", _constant(())),
    b"I": ("push", _int_line),
    b"L": ("push", _int_line),
    b"F": ("push", _float_line),
    b"J": ("push", _width(4, signed=True)),
    b"K": ("push", _width(1)),
    b"M": ("push", _width(2)),
    b"\x8a": ("push", _counted_number(1)),
    b"\x8b": ("push", _counted_number(4)),
    b"G": ("push", _float),
    b"S": ("push", _string_line),
    b"V": ("push", _unicode_line),
    b"T": ("push", _counted_text(4)),
    b"U": ("push", _counted_text(1)),
    b"X": ("push", _counted_text(4)),
    b"\x8c": ("push", _counted_text(1)),
    b"\x8d": ("push", _counted_text(8)),
    b"B": ("push", _counted_bytes(4)),
    b"C": ("push", _counted_bytes(1)),
    b"\x8e": ("push", _counted_bytes(8)),
    b"\x96": ("push", _counted_bytes(8)),
    # containers
    b"]": ("list", _nothing),
    b"}": ("dict", _nothing),
    b"\x8f": ("set", _nothing),
    b"(": ("mark", _nothing),
    b"0": ("pop", _nothing),
    b"1": ("pop mark", _nothing),
    b"2": ("duplicate", _nothing),
    b"a": ("append", _nothing),
    b"e": ("append all", _nothing),
    b"s": ("set item", _nothing),
    b"u": ("set items", _nothing),
    b"\x90": ("add items", _nothing),
    b"\x91": ("frozen set", _nothing),
    b"d": ("dict of mark", _nothing),
    b"l": ("list of mark", _nothing),
    b"t": ("tuple of mark", _nothing),
    b"\x85": ("tuple", _constant(1)),
    b"\x86": ("tuple", _constant(2)),
    b"\x87": ("tuple", _constant(3)),
    # the memo
    b"g": ("get", _index_line),
    b"h": ("get", _width(1)),
    b"j": ("get", _width(4)),
    b"p": ("put", _index_line),
    b"q": ("put", _width(1)),
    b"r": ("put", _width(4)),
    b"\x94": ("memoize", _nothing),
    # names, calls, persistent ids
    b"c": ("global", _two_lines),
    b"\x93": ("stack global", _nothing),
    b"R": ("reduce", _nothing),
    b"\x81": ("new object", _nothing),
    b"\x92": ("new object with keywords", _nothing),
    b"b": ("build", _nothing),
    b"P": ("text id", _nothing),
    b"Q": ("id", _nothing),
    # what no writer of Python 3 writes, and what loads code by number
    b"i": ("trick", _constant("INST")),
    b"o": ("trick", _constant("OBJ")),
    b"\x82": ("trick", _constant("EXT1")),
    b"\x83": ("trick", _constant("EXT2")),
    b"\x84": ("trick", _constant("EXT4")),
    # the frame around it
    b"\x80": ("protocol", _width(1)),
    b"\x95": ("frame", _width(8)),
    b"\x97": ("buffer", _nothing),
    b"\x98": ("buffer", _nothing),
    b".": ("stop", _nothing),
}
