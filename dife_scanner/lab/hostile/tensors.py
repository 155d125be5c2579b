"""Tensors that lie about their storage, and pickles that grow where they are read."""

from __future__ import annotations

from dife_scanner.lab.hostile import assembler as asm
from dife_scanner.lab.hostile.assembler import (
    call,
    group,
    number,
    pickled,
    state,
    storage,
    tensor,
    text,
)

_FAR = 2**40

LYING: dict[str, bytes] = {
    "negative offset": tensor(offset=-1),
    "offset behind the storage": tensor(offset=1),
    "huge offset": tensor(offset=2**62),
    "negative side": tensor(shape=(-2, 3)),
    "huge side": tensor(shape=(2**33, 1)),
    "sides that overflow": tensor(shape=(2**31, 2**31, 2**31), strides=(0, 0, 0)),
    "negative stride": tensor(strides=(-3, 1)),
    "stride behind the storage": tensor(strides=(4, 1)),
    "huge stride": tensor(strides=(2**62, 1)),
    "one element repeated": tensor(shape=(_FAR // 2**20, 2**20), strides=(0, 0)),
    "one row repeated": tensor(shape=(2**30, 3), strides=(0, 1)),
    "more strides than sides": tensor(strides=(3, 1, 1)),
    "sides that are text": call(
        "torch._utils._rebuild_tensor_v2", storage(), number(0), text("23"), group(), b"\x89", b"N"
    ),
    "too many axes": tensor(shape=(1,) * 65, strides=(1,) * 65),
    "storage larger than its member": tensor(storage(numel=7)),
    "storage smaller than its member": tensor(storage(numel=5), shape=(5,), strides=(1,)),
    "storage of another type": tensor(storage(kind="torch.DoubleStorage")),
    "huge storage": tensor(storage(numel=2**62)),
    "negative storage": tensor(storage(numel=-1)),
    "storage of no class": tensor(
        group(text("storage"), text("FloatStorage"), text("0"), text("cpu"), number(6)) + asm.IDENTITY
    ),
    "tensor of no storage": call(
        "torch._utils._rebuild_tensor_v2", text("x"), number(0), group(), group(), b"\x89", b"N"
    ),
    "parameter of no tensor": call("torch._utils._rebuild_parameter", text("x"), b"\x88", b"N"),
}  # fmt: skip
"""Bodies of one value each, for an archive with one storage of six numbers."""


def _deep(depth: int) -> bytes:
    return pickled(asm.EMPTY_LIST * depth + asm.APPEND * (depth - 1))


def _doubled(times: int) -> bytes:
    """A list of twice the list before it, again and again: few bytes, 2^`times` values."""
    body = asm.EMPTY_LIST + text("lol") + asm.APPEND + b"q\x00"
    for _ in range(times):
        body += asm.POP + asm.EMPTY_LIST + b"h\x00" + asm.APPEND + b"h\x00" + asm.APPEND + b"q\x00"
    return pickled(body)


def _itself() -> bytes:
    return pickled(asm.EMPTY_DICT + b"q\x00" + text("x") + b"h\x00" + asm.SET_ITEM)


def _many_names(count: int) -> bytes:
    body = tensor(shape=(0,), strides=(1,)) + b"q\x01" + asm.POP + asm.EMPTY_DICT
    body += b"".join(text(f"t{index}") + b"h\x01" + asm.SET_ITEM for index in range(count))
    return pickled(body)


def _wide(size: int) -> bytes:
    """A list of `size` times one list of as many values."""
    inner = asm.EMPTY_LIST + asm.MARK + b"K\x01" * size + b"eq\x00" + asm.POP
    return pickled(inner + asm.EMPTY_LIST + asm.MARK + b"h\x00" * size + b"e")


def _copied(size: int) -> bytes:
    """A list of pairs that becomes a dict as often as it has pairs."""
    pairs = asm.EMPTY_LIST + asm.MARK + b"K\x01K\x02\x86" * size + b"eq\x00" + asm.POP
    once = asm.name("collections.OrderedDict") + b"h\x00\x85" + asm.REDUCE
    return pickled(pairs + asm.EMPTY_LIST + asm.MARK + once * size + b"e")


def _long_names(depth: int) -> bytes:
    """Dicts in dicts under one long key."""
    body = text("k" * 100_000) + b"q\x00" + asm.POP + asm.EMPTY_DICT
    opened = b"".join(b"h\x00" + asm.EMPTY_DICT for _ in range(depth))
    return pickled(body + opened + asm.SET_ITEM * depth)


GROWING = {
    "lists in lists": lambda: _deep(100_000),
    "a list of twice itself": lambda: _doubled(60),
    "a dict in itself": _itself,
    "30,000 names of one tensor": lambda: _many_names(30_000),
    "a wide list of a wide list": lambda: _wide(30_000),
    "long keys in long keys": lambda: _long_names(300),
    "dicts in dicts": lambda: pickled((asm.EMPTY_DICT + text("x")) * 50_000 + b"N" + asm.SET_ITEM * 50_000),
    "tuples in tuples": lambda: pickled(b"N" + b"\x85" * 1_000_000),
    "a dict copied again and again": lambda: _copied(20_000),
    "a name of a megabyte": lambda: pickled(text("x" * 10**6) + b"q\x00h\x00" + asm.STACK_GLOBAL),
    "three million values": lambda: pickled(asm.EMPTY_LIST + b"K\x00a" * 1_500_000),
    "thousands of carried pickles": lambda: pickled(b"B\x04\x00\x00\x00\x80\x02N.0" * 2000 + b"N"),
}  # fmt: skip
"""Whole pickles."""

BAD_NAMES = {
    "escape sequence": "\x1b[31mred",
    "right-to-left override": "weight\u202e",
    "climbs out of its folder": "../../etc/passwd",
    "line feed": "a\nb",
}
"""Names of tensors."""


def tensor_called(bad: str) -> bytes:
    return pickled(state(**{bad: tensor()}))
