"""The central directory of a zip archive, as its end describes it; nothing is looked for anywhere else."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from dife_scanner.models.header import ParseLimits
from dife_scanner.models.torch_files.outcome import beyond, refuse, unreadable

_CENTRAL = b"PK\x01\x02"
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"
_ENTRY_FORMAT = struct.Struct("<4s6H3I5H2I")
_END_FORMAT = struct.Struct("<4s4H2IH")
_END64_FORMAT = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64_FORMAT = struct.Struct("<4sIQI")
_LONGEST_COMMENT = 65_535
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_NUMBERS64 = 1
"""Kind of the extra field that holds the numbers which do not fit."""
_MORE_MEMBERS = 10_000
"""Members beside the storages: TorchScript keeps its program in a few hundred."""


@dataclass(frozen=True)
class Entry:
    """One member as the central directory describes it."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header_at: int


@dataclass(frozen=True)
class Directory:
    entries: tuple[Entry, ...]
    at: int
    """Where the directory begins; its members end there."""


def read_directory(stream: BinaryIO, file: str, limits: ParseLimits) -> Directory:
    """The central directory. Raises `Refused` where two readers could find two of them, `Unreadable` where it is
    damaged, `LimitExceeded` where it is too long."""
    count, size, at = _place(stream, stream.seek(0, os.SEEK_END), file)
    if count > limits.tensors + _MORE_MEMBERS:
        beyond(file, f"is an archive of {count} members", "tensors")
    if size > limits.header_bytes:
        beyond(file, f"has a directory of {size} bytes", "header_bytes")
    stream.seek(at)
    return Directory(tuple(_entries(stream.read(size), count, file)), at)


def ends_as_archive(stream: BinaryIO) -> bool:
    """Whether the end of a zip archive stands at the end of `stream`, whatever it begins with."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LONGEST_COMMENT - _END_FORMAT.size))
    tail = stream.read()
    found = tail.rfind(_END)
    if found < 0 or len(tail) - found < _END_FORMAT.size:
        return False
    comment = _END_FORMAT.unpack_from(tail, found)[7]
    return bool(len(tail) - found - _END_FORMAT.size == comment)


def _place(stream: BinaryIO, total: int, file: str) -> tuple[int, int, int]:
    """Number of members, size and position of the central directory."""
    tail_at = max(0, total - _LONGEST_COMMENT - _END_FORMAT.size)
    stream.seek(tail_at)
    tail = stream.read()
    found = tail.rfind(_END)
    if found < 0 or len(tail) - found < _END_FORMAT.size:
        unreadable(file, "truncated, its archive has no end")
    _check_behind_the_end(tail[found + _END_FORMAT.size :], file)
    _, disk, first, here, count, size, at, _ = _END_FORMAT.unpack_from(tail, found)
    end_at = tail_at + found
    if tail[max(0, found - _LOCATOR64_FORMAT.size) : found].startswith(_LOCATOR64):
        return _place64(stream, end_at, (count, size, at), file)
    if disk or first or here != count:
        unreadable(file, "its archive is one part of several")
    if at + size != end_at:
        refuse(file, "the directory of its archive is not where its end says")
    return count, size, at


def _check_behind_the_end(rest: bytes, file: str) -> None:
    """A comment or a line feed is read over, as torch does; what looks like more of an archive is not."""
    if b"PK" in rest or rest.startswith(b"\x80"):
        refuse(
            file,
            f"{len(rest)} bytes follow the end of its archive, and are part of one or a pickle",
        )


def _place64(
    stream: BinaryIO, end_at: int, short: tuple[int, int, int], file: str
) -> tuple[int, int, int]:
    """The same from the 64-bit end, which stands before the end; torch always writes both."""
    at = end_at - _LOCATOR64_FORMAT.size - _END64_FORMAT.size
    if at < 0:
        unreadable(file, "truncated, its archive lacks a 64-bit end")
    stream.seek(at)
    end = _END64_FORMAT.unpack(stream.read(_END64_FORMAT.size))
    _, _, said_at, _ = _LOCATOR64_FORMAT.unpack(stream.read(_LOCATOR64_FORMAT.size))
    if end[0] != _END64 or said_at != at:
        refuse(file, "the 64-bit end of its archive is not where it says")
    here, long = end[6], end[7:]
    for number, small, full in zip(long, short, (_FULL16, _FULL32, _FULL32), strict=True):
        if small not in (number, full):
            refuse(file, "the two ends of its archive contradict each other")
    if here != long[0] or long[1] + long[2] != at:
        refuse(file, "the directory of its archive is not where its end says")
    return long


def _entries(raw: bytes, count: int, file: str) -> list[Entry]:
    entries: list[Entry] = []
    at = 0
    for _ in range(count):
        if raw[at : at + 4] != _CENTRAL or len(raw) - at < _ENTRY_FORMAT.size:
            unreadable(file, "the directory of its archive is damaged")
        fields = _ENTRY_FORMAT.unpack_from(raw, at)
        name, extra, note = fields[10:13]
        begin = at + _ENTRY_FORMAT.size
        at = begin + name + extra + note
        if at > len(raw):
            unreadable(file, "the directory of its archive is damaged")
        more = raw[begin + name : begin + name + extra]
        size, packed, header_at = full_numbers(more, (fields[9], fields[8], fields[16]), file)
        entries.append(
            Entry(
                raw[begin : begin + name], fields[3], fields[4], fields[7], packed, size, header_at
            )
        )
    if at != len(raw):
        refuse(file, "the directory of its archive holds more than it counts")
    return entries


def full_numbers(extra: bytes, short: tuple[int, ...], file: str) -> tuple[int, ...]:
    """`short`, with each number that is full replaced by the next one of the 64-bit extra field."""
    long = _numbers64(extra)
    numbers: list[int] = []
    for number in short:
        if number == _FULL32:
            if len(long) < 8:
                unreadable(file, "a 64-bit number of its archive is missing")
            number = int.from_bytes(long[:8], "little")
            long = long[8:]
        numbers.append(number)
    return tuple(numbers)


def _numbers64(extra: bytes) -> bytes:
    at = 0
    while len(extra) - at >= 4:
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _NUMBERS64:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""
