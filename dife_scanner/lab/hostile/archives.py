"""Zip archives written field by field, so that each field can lie."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from dife_scanner.lab.hostile.assembler import pickled, state, tensor

SIX_FLOATS = struct.pack("<6f", *range(6))
_END = b"PK\x05\x06"


@dataclass(frozen=True)
class Part:
    """One member; `local` and `central` replace fields of its two headers by their names."""

    name: str
    content: bytes
    deflated: bool = False
    local: dict[str, int | str] = field(default_factory=dict)
    central: dict[str, int | str] = field(default_factory=dict)
    before: bytes = b""
    """Bytes that stand before its local header and belong to nothing."""


def archive(*parts: Part, behind: bytes = b"", comment: bytes = b"", directories: int = 1) -> bytes:
    """A zip archive of `parts`."""
    body = bytearray()
    entries = bytearray()
    for part in parts:
        packed = _packed(part)
        body += part.before
        entries += _central(part, packed, len(body))
        body += _local(part, packed) + packed
    for _ in range(directories):
        end = (0, 0, len(parts), len(parts), len(entries), len(body), len(comment))
        body += entries + _END + struct.pack("<4H2IH", *end) + comment
    return bytes(body) + behind


def torch_archive(objects: bytes, *more: Part, **changes: Part) -> bytes:
    """What torch.save writes, with the pickle `objects` and one storage of six numbers."""
    parts = {
        "pickle": Part("archive/data.pkl", objects),
        "order": Part("archive/byteorder", b"little"),
        "storage": Part("archive/data/0", SIX_FLOATS),
        "version": Part("archive/version", b"3\n"),
    }
    return archive(*(parts | changes).values(), *more)


def honest() -> bytes:
    """One tensor and nothing else."""
    return torch_archive(pickled(state(weight=tensor())))


def _packed(part: Part) -> bytes:
    if not part.deflated:
        return part.content
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(part.content) + packer.flush()


def _fields(part: Part, packed: bytes, changes: dict[str, int | str]) -> dict[str, int | str]:
    fields: dict[str, int | str] = {
        "flags": 0,
        "method": 8 if part.deflated else 0,
        "crc": zlib.crc32(part.content),
        "packed": len(packed),
        "size": len(part.content),
        "name": part.name,
    }
    return fields | changes


def _local(part: Part, packed: bytes) -> bytes:
    one = _fields(part, packed, part.local)
    name = str(one["name"]).encode()
    numbers = (
        20,
        one["flags"],
        one["method"],
        0,
        0,
        one["crc"],
        one["packed"],
        one["size"],
        len(name),
        0,
    )
    return b"PK\x03\x04" + struct.pack("<5H3I2H", *numbers) + name


def _central(part: Part, packed: bytes, at: int) -> bytes:
    place: dict[str, int | str] = {"at": at}
    one = _fields(part, packed, place | part.central)
    name = str(one["name"]).encode()
    head = (20, 20, one["flags"], one["method"], 0, 0, one["crc"], one["packed"], one["size"])
    tail = (len(name), 0, 0, 0, 0, 0, one["at"])
    return b"PK\x01\x02" + struct.pack("<6H3I5H2I", *head, *tail) + name
