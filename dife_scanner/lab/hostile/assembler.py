"""Pickles written opcode by opcode: what a pickler would never write, an attacker does."""

from __future__ import annotations

import struct

MARK, STOP, REDUCE, BUILD, POP = b"(", b".", b"R", b"b", b"0"
TUPLE, SET_ITEM, EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE = b"t", b"s", b"}", b"]", b")"
NEW_OBJECT, STACK_GLOBAL, APPEND, IDENTITY = b"\x81", b"\x93", b"a", b"Q"
PROTOCOL_2, PROTOCOL_4 = b"\x80\x02", b"\x80\x04"


def text(value: str) -> bytes:
    """Push a string."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def data(value: bytes) -> bytes:
    """Push bytes."""
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    """Push a whole number of up to 255 bytes."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(dotted: str) -> bytes:
    """Push what `module.name` names, as protocols up to 3 do."""
    module, _, attribute = dotted.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def group(*values: bytes) -> bytes:
    """Push a tuple of values."""
    return MARK + b"".join(values) + TUPLE


def call(dotted: str, *arguments: bytes) -> bytes:
    """Push what calling `dotted` returns."""
    return name(dotted) + group(*arguments) + REDUCE


def pickled(body: bytes) -> bytes:
    """A whole pickle of protocol 2 whose object `body` pushes."""
    return PROTOCOL_2 + body + STOP


def numbers(values: tuple[int, ...]) -> bytes:
    """Push a tuple of whole numbers."""
    return group(*map(number, values))


def storage(numel: int = 6, kind: str = "torch.FloatStorage", key: str = "0") -> bytes:
    """Push a storage as torch's zip format names it."""
    parts = (text("storage"), name(kind), text(key), text("cpu"), number(numel))
    return group(*parts) + IDENTITY


def tensor(
    held: bytes = b"",
    offset: int = 0,
    shape: tuple[int, ...] = (2, 3),
    strides: tuple[int, ...] = (3, 1),
) -> bytes:
    """Push a tensor, six numbers of 32 bits where nothing else is said."""
    hooks = call("collections.OrderedDict")
    parts = (held or storage(), number(offset), numbers(shape), numbers(strides), b"\x89", hooks)
    return call("torch._utils._rebuild_tensor_v2", *parts)


def state(**values: bytes) -> bytes:
    """Push a dict."""
    items = b"".join(text(key) + value + SET_ITEM for key, value in values.items())
    return EMPTY_DICT + items
