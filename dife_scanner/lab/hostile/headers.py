"""safetensors files that lie: the ideas of that format's own list of attacks, written anew."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from dife_scanner.lab.hostile.archives import honest

_ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
_FOUR = bytes(4)


def safetensors(header: bytes | dict[str, Any], data: bytes = _FOUR) -> bytes:
    """A file with this header, whatever it says."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def _entry(**changes: Any) -> bytes:
    return safetensors({"a": _ONE | changes})


def _two(first: list[int], second: list[int], data: bytes) -> bytes:
    body = {
        "a": {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first},
        "b": {"dtype": "U8", "shape": [second[1] - second[0]], "data_offsets": second},
    }
    return safetensors(body, data)


def _many(count: int) -> bytes:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return safetensors({f"t{index}": empty for index in range(count)}, b"")


LYING: dict[str, Callable[[], bytes]] = {
    "header beyond any file": lambda: struct.pack("<Q", 2**63) + b"{}",
    "header of a gigabyte": lambda: struct.pack("<Q", 2**30) + b"{" * 100,
    "overlapping tensors": lambda: _two([0, 4], [2, 6], bytes(6)),
    "hole between tensors": lambda: _two([0, 4], [6, 10], bytes(10)),
    "negative offset": lambda: _entry(data_offsets=[-4, 0]),
    "falling offsets": lambda: _entry(data_offsets=[4, 0]),
    "shape beyond its bytes": lambda: _entry(shape=[100]),
    "shape that overflows": lambda: _entry(shape=[2**31, 2**31, 2**31]),
    "side beyond any vocabulary": lambda: _entry(shape=[0, 2**60], data_offsets=[0, 0]),
    "two tensors of one name": lambda: safetensors(
        b'{"a":%s,"a":%s}' % (json.dumps(_ONE).encode(), json.dumps(_ONE | {"dtype": "I32"}).encode())
    ),
    "name with an escape sequence": lambda: safetensors({"\x1b[31mred": _ONE}),
    "name with a right-to-left override": lambda: safetensors({"a\u202eb": _ONE}),
    "name out of its folder": lambda: safetensors({"../../etc/passwd": _ONE}),
    "archive behind the tensors": lambda: safetensors({"a": _ONE}, _FOUR + honest()),
    "archive under its name": honest,
    "300,000 tensors": lambda: _many(300_000),
    "objects in objects": lambda: safetensors(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
}  # fmt: skip
"""Each is refused or meets a limit."""
BOMBS = frozenset({"300,000 tensors"})
"""Those that are megabytes long."""
