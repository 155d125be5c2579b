"""The members of a zip archive, read so strictly that every reader of zip files sees the same ones.

torch's archives hold their members one after another. Each local header has to agree with the central directory, no two
members share a name or a byte, and nothing stands between, before or behind them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from dife_scanner.models.header import ParseLimits
from dife_scanner.models.strict_json import climbs_out, shown
from dife_scanner.models.torch_files.directory import Entry, full_numbers, read_directory
from dife_scanner.models.torch_files.outcome import beyond, refuse, unreadable, unsupported

LOCAL = b"PK\x03\x04"
_DESCRIPTOR = b"PK\x07\x08"
_LOCAL_FORMAT = struct.Struct("<4s5H3I2H")
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True)
class Member:
    """One member: its bytes stand at `start` to `end` of the file, packed by `method`."""

    name: str
    method: int
    start: int
    end: int
    size: int
    """Of its content, unpacked."""

    @property
    def stored(self) -> bool:
        """Whether its bytes are its content."""
        return self.method == _STORED


def read_members(stream: BinaryIO, file: str, limits: ParseLimits) -> dict[str, Member]:
    """The members by their names, in the order of their bytes.

    Raises `Refused` for an archive of which two readers could see different members, `Unreadable` for a damaged one,
    `Unsupported` for an encrypted one and `LimitExceeded` for too many members.
    """
    directory = read_directory(stream, file, limits)
    members: dict[str, Member] = {}
    reached = 0
    for entry in sorted(directory.entries, key=lambda entry: entry.header_at):
        if reached != entry.header_at:
            _not_adjoining(reached, entry.header_at, file)
        member = _member(stream, entry, file)
        if member.name in members:
            refuse(file, f"its archive has two members called {shown(member.name)}")
        members[member.name] = member
        reached = _end_of(stream, member, entry, file)
    if reached != directory.at:
        _not_adjoining(reached, directory.at, file)
    return members


def content(stream: BinaryIO, member: Member, file: str, limits: ParseLimits) -> bytes:
    """The unpacked bytes of one member. Raises `LimitExceeded` for more than `limits.header_bytes` of them."""
    name = shown(member.name)
    most = max(member.size, member.end - member.start)
    if most > limits.header_bytes:
        beyond(file, f"has {most} bytes in {name}", "header_bytes")
    stream.seek(member.start)
    raw = stream.read(member.end - member.start)
    return raw if member.stored else _unpacked(raw, member, file)


def _unpacked(raw: bytes, member: Member, file: str) -> bytes:
    name = shown(member.name)
    if member.method != _DEFLATED:
        unsupported(file, f"{name} in it is compressed in the unknown way {member.method}")
    try:
        unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, member.size + 1)
    except zlib.error:
        unreadable(file, f"{name} in it is damaged")
    if len(unpacked) != member.size:
        refuse(file, f"the directory of its archive lies about the size of {name}")
    return unpacked


def _member(stream: BinaryIO, entry: Entry, file: str) -> Member:
    """What the directory and the local header say, once they say the same."""
    try:
        name = entry.raw_name.decode("utf-8")
    except UnicodeDecodeError:
        unreadable(file, "a member of its archive has a name that is not UTF-8")
    if climbs_out(name) or name.startswith(("/", "\\")):
        refuse(file, f"the name {shown(name)} in its archive is a path out of its folder")
    start = _agreed(stream, entry, file)
    if entry.flags & _ENCRYPTED:
        unsupported(file, f"{shown(name)} in it is encrypted")
    if entry.method == _STORED and entry.packed != entry.size:
        refuse(file, f"the directory of its archive lies about the size of {shown(name)}")
    return Member(name, entry.method, start, start + entry.packed, entry.size)


def _agreed(stream: BinaryIO, entry: Entry, file: str) -> int:
    """Where the bytes of a member begin. Raises `Refused` where its local header says something else."""
    stream.seek(entry.header_at)
    raw = stream.read(_LOCAL_FORMAT.size)
    if len(raw) < _LOCAL_FORMAT.size or raw[:4] != LOCAL:
        refuse(file, "a member of its archive has no local header where the directory says")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_FORMAT.unpack(
        raw
    )
    name = stream.read(name_length)
    extra = stream.read(extra_length)
    size, packed = full_numbers(extra, (size, packed), file)
    same = (name, flags, method) == (entry.raw_name, entry.flags, entry.method)
    said = (crc, packed, size)
    # where the sizes follow its bytes, a writer may leave out what it does not know yet
    known = (entry.crc, entry.packed, entry.size)
    sizes_follow = flags & _SIZES_FOLLOW and all(
        one in (0, right) for one, right in zip(said, known, strict=True)
    )
    if not same or (said != known and not sizes_follow):
        refuse(
            file,
            f"the local header of {_shown_bytes(name)} in its archive is unlike the directory's entry "
            f"{_shown_bytes(entry.raw_name)}",
        )
    return entry.header_at + _LOCAL_FORMAT.size + len(name) + len(extra)


def _shown_bytes(name: bytes) -> str:
    return shown(name.decode("utf-8", "replace"))


def _end_of(stream: BinaryIO, member: Member, entry: Entry, file: str) -> int:
    """Where a member ends: after its bytes, or after the sizes that follow them and say the same again."""
    if not entry.flags & _SIZES_FOLLOW:
        return member.end
    numbers = (entry.crc, entry.packed, entry.size)
    stream.seek(member.end)
    following = stream.read(len(_DESCRIPTOR) + 20)
    for layout in ("<3I", "<I2Q"):
        if layout == "<3I" and max(numbers) >= 2**32:
            continue
        descriptor = _DESCRIPTOR + struct.pack(layout, *numbers)
        rest = following[len(descriptor) :]
        if following.startswith(descriptor) and rest[:2] in (b"PK", b""):
            return member.end + len(descriptor)
    return member.end  # torch writes none behind a member without bytes


def _not_adjoining(reached: int, begins: int, file: str) -> NoReturn:
    if begins < reached:
        refuse(file, f"two members of its archive overlap at byte {begins}")
    refuse(file, f"{begins - reached} bytes of its archive, from {reached} on, belong to no member")
