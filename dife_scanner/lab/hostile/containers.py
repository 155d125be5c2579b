"""Containers of which two readers would see different things, or that hide what one of them runs."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable

from dife_scanner.lab.hostile import assembler as asm
from dife_scanner.lab.hostile.archives import SIX_FLOATS, Part, archive, honest, torch_archive
from dife_scanner.lab.hostile.assembler import call, data, number, pickled, state, tensor, text
from dife_scanner.lab.hostile.payloads import EXEC, whole

_GOOD = pickled(state(weight=tensor()))
_BAD = whole(EXEC)
_MAGIC = pickled(number(0x1950A86A20F9469CFC6C))
_VERSION = pickled(number(1001))
_MACHINE = pickled(state(little_endian=b"\x88"))
_OLD_STORAGE = asm.group(
    text("storage"), asm.name("torch.FloatStorage"), text("0"), text("cpu"), number(6), b"N"
) + asm.IDENTITY  # fmt: skip
_KEYS = pickled(asm.EMPTY_LIST + text("0") + asm.APPEND)
_BYTES = struct.pack("<q", 6) + SIX_FLOATS


def legacy(
    objects: bytes = b"",
    machine: bytes = _MACHINE,
    keys: bytes = _KEYS,
    stored: bytes = _BYTES,
    behind: bytes = b"",
) -> bytes:
    """What torch before 1.6 wrote, with one storage of six numbers."""
    body = objects or pickled(state(weight=tensor(_OLD_STORAGE)))
    return _MAGIC + _VERSION + machine + body + keys + stored + behind


def _pickle(name: str = "archive/data.pkl", content: bytes = _GOOD, **changes: object) -> Part:
    return Part(name, content, **changes)  # type: ignore[arg-type]


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        member = tarfile.TarInfo("pickle")
        member.size = len(content)
        made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _array(content: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


Build = Callable[[], bytes]

HIDING: dict[str, Build] = {
    "legacy": lambda: legacy(_BAD),
    "legacy, in the machine's description": lambda: legacy(machine=_BAD),
    "legacy, in the storages' keys": lambda: legacy(keys=_BAD),
    "legacy, behind the storages": lambda: legacy(behind=_BAD),
    "a member beside": lambda: torch_archive(_GOOD, Part("archive/extra/x.pkl", _BAD)),
    "a member without an ending": lambda: torch_archive(_GOOD, Part("archive/extra/x", _BAD)),
    "constants of TorchScript": lambda: torch_archive(_GOOD, Part("archive/constants.pkl", _BAD)),
    "deflated": lambda: torch_archive(_GOOD, pickle=_pickle(content=_BAD, deflated=True)),
    "deflated beside": lambda: torch_archive(_GOOD, Part("archive/x.pkl", _BAD, deflated=True)),
    "wrong checksum": lambda: torch_archive(
        _GOOD, pickle=_pickle(content=_BAD, local={"crc": 1}, central={"crc": 1})
    ),
    "not in a folder": lambda: archive(Part("data.pkl", _BAD), Part("version", b"3\n")),
    "an archive of another kind": lambda: archive(Part("a/x.pkl", _BAD), Part("a/y.json", b"{}")),
    "an archive in an archive": lambda: torch_archive(_GOOD, Part("archive/x.zip", torch_archive(_BAD))),
    "a NumPy array": lambda: _array(_BAD),
    "a NumPy archive": lambda: archive(Part("x.npy", _array(_BAD))),
    "a tar archive": lambda: _tar(_BAD),
    "behind the pickle": lambda: torch_archive(_GOOD + _BAD),
    "a nested torch file": lambda: torch_archive(
        pickled(state(weight=tensor(), x=call("torch.storage._load_from_bytes", data(legacy(_BAD)))))
    ),
    "a nested archive": lambda: torch_archive(
        pickled(state(x=call("torch.storage._load_from_bytes", data(torch_archive(_BAD)))))
    ),
    "second data.pkl": lambda: torch_archive(_GOOD, Part("other/data.pkl", _BAD)),
    "second data.pkl in capitals": lambda: torch_archive(_GOOD, Part("archive/DATA.PKL", _BAD)),
    "same name twice": lambda: torch_archive(_GOOD, _pickle(content=_BAD)),
}  # fmt: skip
"""Each holds a pickle with a call that some program would unpickle."""

DIFFERING: dict[str, Build] = {
    "local name": lambda: torch_archive(_GOOD, pickle=_pickle(local={"name": "archive/evil.pkl"})),
    "local flags": lambda: torch_archive(_GOOD, pickle=_pickle(local={"flags": 1})),
    "local method": lambda: torch_archive(_GOOD, pickle=_pickle(local={"method": 8})),
    "local size": lambda: torch_archive(_GOOD, pickle=_pickle(local={"size": 5, "packed": 5})),
    "local checksum": lambda: torch_archive(_GOOD, pickle=_pickle(local={"crc": 7})),
    "size of a stored member": lambda: torch_archive(
        _GOOD, pickle=_pickle(central={"size": 10**6}, local={"size": 10**6})
    ),
    "size of a deflated member": lambda: torch_archive(
        _GOOD, pickle=_pickle(deflated=True, central={"size": 9}, local={"size": 9})
    ),
    "overlapping members": lambda: torch_archive(_GOOD, pickle=_pickle(central={"at": 150})),
    "member at the directory": lambda: torch_archive(_GOOD, pickle=_pickle(central={"at": 10**9})),
    "two members in one place": lambda: torch_archive(
        _GOOD, storage=Part("archive/data/0", _GOOD, central={"at": 0})
    ),
    "bytes between members": lambda: torch_archive(
        _GOOD, storage=Part("archive/data/0", SIX_FLOATS, before=_BAD)
    ),
    "hidden member": lambda: torch_archive(
        _GOOD, storage=Part("archive/data/0", SIX_FLOATS, before=archive(Part("x", _BAD)))
    ),
    "second directory": lambda: archive(*_parts(), directories=2),
    "archive behind the archive": lambda: honest() + honest(),
    "pickle behind the archive": lambda: archive(*_parts(), behind=_BAD),
    "archive in the comment": lambda: archive(*_parts(), comment=honest()),
    "archive behind a pickle": lambda: _GOOD + honest(),
    "archive behind a picture": lambda: b"GIF89a" + honest(),
    "archive behind a legacy file": lambda: legacy(behind=honest()),
    "same name in capitals": lambda: torch_archive(_GOOD, Part("archive/DATA/0", SIX_FLOATS)),
    "path out of its folder": lambda: torch_archive(_GOOD, Part("archive/../../x.py", b"pass")),
    "absolute path": lambda: torch_archive(_GOOD, Part("/etc/x", b"pass")),
    "7z archive": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "RAR archive": lambda: b"Rar!\x1a\x07\x00" + bytes(100),
    "legacy storage of another length": lambda: legacy(stored=struct.pack("<q", 7) + SIX_FLOATS),
}  # fmt: skip
"""Each would be read in two ways, or leads out of itself."""


def _parts() -> tuple[Part, ...]:
    return (_pickle(), Part("archive/data/0", SIX_FLOATS), Part("archive/version", b"3\n"))


def _bomb(megabytes: int) -> bytes:
    pickle = pickled(data(bytes(megabytes * 1024**2)))
    return torch_archive(_GOOD, pickle=_pickle(content=pickle, deflated=True))


GROWING: dict[str, Build] = {
    "deflated pickle of 32 MiB": lambda: _bomb(32),
    "30,100 members": lambda: archive(*(Part(f"archive/{index}", b"") for index in range(30_100))),
    "archives of archives": lambda: torch_archive(_GOOD, Part("archive/x.zip", _nested(6))),
}


def _nested(depth: int) -> bytes:
    made = honest()
    for _ in range(depth):
        made = archive(Part("a/x.zip", made))
    return made


ODD: dict[str, tuple[str, Build]] = {
    "big-endian": (
        "unsupported",
        lambda: torch_archive(_GOOD, order=Part("archive/byteorder", b"big")),
    ),
    "encrypted": (
        "unsupported",
        lambda: torch_archive(_GOOD, storage=Part("archive/data/0", SIX_FLOATS, False, {"flags": 1}, {"flags": 1})),
    ),
    "deflated storage": (
        "unsupported",
        lambda: torch_archive(_GOOD, storage=Part("archive/data/0", SIX_FLOATS, deflated=True)),
    ),
    "without its storage": ("unsupported", lambda: archive(_pickle(), Part("archive/version", b"3\n"))),
    "plain pickle": ("unsupported", lambda: pickled(state(a=number(1)))),
    "sparse tensor": (
        "unsupported",
        lambda: torch_archive(pickled(state(x=call("torch._utils._rebuild_sparse_tensor", text("x"))))),
    ),
    "a name that is only mentioned": (
        "unsupported",
        lambda: torch_archive(pickled(state(weight=tensor(), x=asm.name("my_project.losses.focal")))),
    ),
    "truncated archive": ("failed", lambda: honest()[:-30]),
    "truncated legacy file": ("failed", lambda: legacy()[:-5]),
    "truncated pickle": ("failed", lambda: torch_archive(_GOOD[:-20])),
    "unknown opcode": ("failed", lambda: torch_archive(_GOOD[:-1] + b"\xfe.")),
    "empty stack": ("failed", lambda: torch_archive(asm.PROTOCOL_2 + asm.STOP)),
    "empty file": ("failed", lambda: b""),
    "web page": ("failed", lambda: b"<!DOCTYPE html><html></html>"),
    "Git-LFS pointer": ("failed", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
    "HDF5 file": ("failed", lambda: b"\x89HDF\r\n\x1a\n" + bytes(50)),
    "text": ("failed", lambda: b"import torch\nmodel = torch.load('x')\n"),
    "text of one letter": ("failed", lambda: b"i\nos\nsystem\n"),
    "configuration": ("failed", lambda: b"config:\n  model: ViT-B-32\n"),
    "MessagePack": ("failed", lambda: b"\x82\xaatext_model\x80\xacvision_model\x80"),
    "Protocol Buffers": ("failed", lambda: b"\x08\x07\x12\x07pytorch"),
    "safetensors under another name": ("failed", lambda: struct.pack("<Q", 0x80) + b"{}" + bytes(200)),
    "a line feed behind it": ("read", lambda: honest() + b"\n"),
    "with a comment": ("read", lambda: archive(*_parts(), comment=b"hello")),
    "wrong checksums": (
        "read",
        lambda: torch_archive(_GOOD, pickle=_pickle(local={"crc": 1}, central={"crc": 1})),
    ),
    "honest": ("read", honest),
    "honest, legacy": ("read", legacy),
}  # fmt: skip
"""Honest and damaged files, none of which may be called hostile, and how each ends."""
