"""torch's format before 1.6: three short pickles, the object's, one of the storages' keys, then their bytes."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from dife_scanner.models.header import DTYPE_BITS, ParseLimits
from dife_scanner.models.strict_json import shown
from dife_scanner.models.torch_files import grammar
from dife_scanner.models.torch_files.interpreter import Interpreter
from dife_scanner.models.torch_files.opcodes import Cursor
from dife_scanner.models.torch_files.outcome import refuse, unreadable, unsupported
from dife_scanner.models.torch_files.rebuild import Rebuild
from dife_scanner.models.torch_files.values import Mapping, OtherTensor, Storage
from dife_scanner.models.torch_files.zip_file import Content, is_identity, storage_kind

MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_COUNT_BYTES = 8
"""Before the bytes of each storage: its elements."""


def read_legacy(stream: BinaryIO, file: str, rebuild: Rebuild, limits: ParseLimits) -> Content:
    """The object in a file of stacked pickles, or in a plain pickle, which is then no torch file.

    Raises what `Interpreter.run` does, and `Unsupported` for a plain pickle that does nothing.
    """
    total = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(limits.header_bytes)
    cursor = Cursor(head, file, cut=len(head) < total)
    storages = _Storages(rebuild, file)
    interpreter = Interpreter(cursor, rebuild, storages, limits)
    if interpreter.run() != MAGIC:
        _plain_pickle(interpreter, cursor)
    if interpreter.run() != _VERSION:
        unsupported(file, "it has an unknown version of torch's old format")
    _check_byte_order(interpreter.run(), file)
    value = interpreter.run()
    keys = interpreter.run()
    end = storages.place(stream, keys, cursor.at, total)
    if end != total:
        _over_long(stream, end, total, file)
    return Content("legacy", value)


def _plain_pickle(interpreter: Interpreter, cursor: Cursor) -> None:
    """Read whatever pickles follow: a call in one of them is a finding, whatever the first one was."""
    while cursor.at < len(cursor.data):
        interpreter.run()
    unsupported(cursor.file, "it is a plain pickle, not written by torch.save")


def _check_byte_order(info: Any, file: str) -> None:
    if not isinstance(info, Mapping):
        unreadable(file, "it does not say on which machine it was written")
    for key, value in info.items:
        if key == "little_endian" and value is not True:
            unsupported(file, "its numbers are big-endian")


def _over_long(stream: BinaryIO, end: int, total: int, file: str) -> None:
    """What a download left is damage; pickles or an archive behind the tensors are not."""
    stream.seek(max(end, total - 65_557))
    rest = stream.read()
    stream.seek(end)
    what = f"{total - end} bytes follow its last storage"
    if b"PK" in rest or stream.read(1) == b"\x80":
        refuse(file, what)
    unreadable(file, what)


class _Storages:
    """Storages by key; where their bytes stand is known only once the tail was read."""

    def __init__(self, rebuild: Rebuild, file: str) -> None:
        self._rebuild = rebuild
        self._file = file
        self._found: dict[str, Storage] = {}
        self._parts: list[tuple[Storage, Storage, int]] = []
        """Parts of storages, as very old files have them: part, whole, first element."""

    def load(self, identity: Any) -> Any:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return identity[1]  # a class, with its source beside it, which is not looked at
        if not is_identity(identity, 6):
            return self._rebuild.elsewhere()
        kind = storage_kind(identity[1], self._file)
        key, _, numel, view = identity[2:]
        if not isinstance(key, str) or type(numel) is not int or numel < 0:
            refuse(self._file, "a storage in its pickle has no key or no length")
        dtype = grammar.storage_dtype(kind)
        if not dtype:
            self._rebuild.not_read.append(f"it holds a {kind.name}")
            return OtherTensor(kind.name)
        whole = self._whole(key, Storage(dtype, numel))
        return whole if view is None else self._part(whole, view)

    def _whole(self, key: str, storage: Storage) -> Storage:
        known = self._found.setdefault(key, storage)
        if (known.dtype, known.numel) != (storage.dtype, storage.numel):
            refuse(self._file, f"its pickle contradicts itself about the storage {shown(key)}")
        return known

    def _part(self, whole: Storage, view: Any) -> Storage:
        _, first, numel = view if isinstance(view, tuple) and len(view) == 3 else (None, None, None)
        if type(first) is not int or type(numel) is not int or min(first, numel) < 0:
            refuse(self._file, "a part of a storage in its pickle has no place")
        if first + numel > whole.numel:
            refuse(self._file, "a part of a storage in its pickle reaches behind the storage")
        part = Storage(whole.dtype, numel)
        self._parts.append((part, whole, first))
        return part

    def place(self, stream: BinaryIO, keys: Any, at: int, total: int) -> int:
        """Give every storage its bytes, which follow from `at` on in the order of `keys`; returns where they end."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            unreadable(self._file, "it has no list of its storages")
        if sorted(keys) != sorted(self._found):
            unreadable(self._file, "the list of its storages is not that of its pickle")
        for key in keys:
            at = self._place(stream, self._found[key], at, total)
        for part, whole, first in self._parts:
            item_bytes = DTYPE_BITS[whole.dtype] // 8
            part.start = whole.start + first * item_bytes
            part.end = part.start + part.numel * item_bytes
        return at

    def _place(self, stream: BinaryIO, storage: Storage, at: int, total: int) -> int:
        stream.seek(at)
        count = int.from_bytes(stream.read(_COUNT_BYTES), "little", signed=True)
        storage.start = at + _COUNT_BYTES
        storage.end = storage.start + storage.numel * (DTYPE_BITS[storage.dtype] // 8)
        if storage.end > total:
            unreadable(
                self._file, f"truncated, its storages need {storage.end} bytes and it has {total}"
            )
        if count != storage.numel:
            refuse(self._file, f"a storage has {count} elements, its pickle says {storage.numel}")
        return storage.end
