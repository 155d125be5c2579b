"""torch's zip format: `NAME/data.pkl` describes the objects, `NAME/data/KEY` holds the bytes of each storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from dife_scanner.models.header import DTYPE_BITS, ParseLimits
from dife_scanner.models.strict_json import shown
from dife_scanner.models.torch_files import archive, grammar
from dife_scanner.models.torch_files.archive import Member
from dife_scanner.models.torch_files.interpreter import Interpreter, Storages
from dife_scanner.models.torch_files.opcodes import Cursor
from dife_scanner.models.torch_files.outcome import refuse, unreadable, unsupported
from dife_scanner.models.torch_files.rebuild import Rebuild
from dife_scanner.models.torch_files.values import Global, OtherTensor, Storage

PICKLE = "data.pkl"
CONSTANTS = "constants.pkl"
"""TorchScript's own; its presence tells such an archive from one of torch.save."""
_BYTE_ORDER = "byteorder"
_ENDINGS = (
    ".pkl", ".pickle", ".p", ".bin", ".pt", ".pth", ".ckpt", ".joblib", ".dat", ".npy", ".npz", ".zip", ".7z", ".tar",
)  # fmt: skip
_STARTS = (b"\x80", b"\x93")
"""First bytes of a pickle and of a NumPy array, which may hold one."""


@dataclass(frozen=True)
class Content:
    """The outermost object of a torch file, of one of the kinds that `Table.kind` names."""

    kind: str
    value: Any


def read_zip(stream: BinaryIO, file: str, rebuild: Rebuild, limits: ParseLimits) -> Content:
    """The object in the archive `stream`. Raises what `archive.read_members` and `Interpreter.run` do."""
    members = archive.read_members(stream, file, limits)
    root = _root(members)
    _check_names(members, root, file)
    for member in members.values():
        if _is_other_file(stream, member, root):
            rebuild.carry(archive.content(stream, member, file, limits))
    main = members.get(f"{root}{PICKLE}")
    if main is None or not root:
        unsupported(file, "it is an archive of another format than torch's")
    raw = archive.content(stream, main, file, limits)
    value = _only_pickle(raw, _Storages(members, root, rebuild, file), rebuild, file, limits)
    _check_byte_order(stream, members, root, file, limits)
    kind = "torchscript" if f"{root}{CONSTANTS}" in members else "zip"
    return Content(kind, value)


def _root(members: dict[str, Member]) -> str:
    """The folder that holds everything, with its slash: torch takes that of the first member, and needs one."""
    folder, slash, _ = next(iter(members), "").partition("/")
    return folder + slash if slash else ""


def _check_names(members: dict[str, Member], root: str, file: str) -> None:
    """One object description, whatever capitals a reader goes by."""
    seen: set[str] = set()
    for name in members:
        if name.lower().rpartition("/")[2] == PICKLE and name != f"{root}{PICKLE}":
            refuse(file, f"its archive has a second {PICKLE}, {shown(name)}")
        if not name.startswith(f"{root}code/") and name.lower() in seen:
            refuse(file, f"its archive has two members called {shown(name)}")
        seen.add(name.lower())


def _is_other_file(stream: BinaryIO, member: Member, root: str) -> bool:
    """Whether some program could unpickle this member: TorchScript its constants, others whatever they find."""
    inside = member.name.removeprefix(root)
    if (root and inside == PICKLE) or inside.startswith(("data/", "code/", "constants/")):
        return False
    if member.size == 0 or not member.stored:
        return member.size > 0 and inside.endswith(_ENDINGS)
    stream.seek(member.start)
    return inside.endswith(_ENDINGS) or stream.read(1) in _STARTS


def _only_pickle(
    raw: bytes, storages: Storages, rebuild: Rebuild, file: str, limits: ParseLimits
) -> Any:
    """The object in a pickle that has to end where `raw` does."""
    cursor = Cursor(raw, file)
    value = Interpreter(cursor, rebuild, storages, limits).run()
    rest = len(raw) - cursor.at
    if rest:
        refuse(file, f"{rest} bytes follow the end of its pickle")
    return value


def _check_byte_order(
    stream: BinaryIO, members: dict[str, Member], root: str, file: str, limits: ParseLimits
) -> None:
    member = members.get(f"{root}{_BYTE_ORDER}")
    if member is None:  # older torch, which wrote none
        return
    order = archive.content(stream, member, file, limits).strip()
    if order == b"big":
        unsupported(file, "its numbers are big-endian")
    if order != b"little":
        unreadable(file, "it does not say in which order the bytes of its numbers stand")


class _Storages:
    """Storages by the key that a persistent id names."""

    def __init__(self, members: dict[str, Member], root: str, rebuild: Rebuild, file: str) -> None:
        self._members = members
        self._root = root
        self._rebuild = rebuild
        self._file = file

    def load(self, identity: Any) -> Storage | OtherTensor:
        if not is_identity(identity, 5):
            return self._rebuild.elsewhere()
        kind, key, _, numel = identity[1:]
        return self._storage(storage_kind(kind, self._file), key, numel)

    def _storage(self, kind: Global, key: Any, numel: Any) -> Storage | OtherTensor:
        if not isinstance(key, str) or type(numel) is not int or numel < 0:
            refuse(self._file, "a storage in its pickle has no key or no length")
        member = self._members.get(f"{self._root}data/{key}")
        if member is None:
            return self._rebuild.elsewhere()
        dtype = grammar.storage_dtype(kind)
        if dtype is None:
            self._rebuild.not_read.append(f"it holds a {kind.name}")
            return OtherTensor(kind.name)
        if not member.stored:
            self._rebuild.not_read.append(f"its storage {shown(key)} is compressed")
        needed = numel * (DTYPE_BITS[dtype] // 8 if dtype else 1)
        if needed != member.size:
            refuse(
                self._file,
                f"its storage {shown(key)} has {member.size} bytes, its pickle says {needed}",
            )
        return Storage(dtype, numel, member.start, member.end)


def is_identity(identity: Any, fields: int) -> bool:
    """Whether a persistent id has the form in which torch names a storage."""
    return isinstance(identity, tuple) and len(identity) == fields and identity[0] == "storage"


def storage_kind(kind: Any, file: str) -> Global:
    """The storage class that a persistent id names. Raises `Refused` where it is none."""
    if not isinstance(kind, Global) or not grammar.is_storage(kind):
        refuse(file, "its pickle has a storage of a class that is none")
    return kind
