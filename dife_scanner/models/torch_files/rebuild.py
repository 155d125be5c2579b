"""The calls that a torch file may make, each replaced by a description of its result; nothing is called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

from dife_scanner.models.header import DTYPE_BITS, FILE_END, LONGEST_DIMENSION, ParseLimits
from dife_scanner.models.torch_files import grammar
from dife_scanner.models.torch_files.outcome import beyond, refuse
from dife_scanner.models.torch_files.values import (
    Global,
    Mapping,
    Opaque,
    OtherTensor,
    Storage,
    View,
)

_LATIN = frozenset({"latin1", "latin-1", "iso-8859-1"})
_MOST_CARRIED = 1000
_COPIED_PER_TENSOR = 20
_MOST_AXES = 64
"""torch itself allows as many."""


@dataclass
class Budget:
    """What one file and all that it carries may hold together."""

    files: int
    bytes: int


class Rebuild:
    """What one file's calls result in; counts its tensors and notes what the calls are of that is not read."""

    def __init__(
        self, file: str, total: int, limits: ParseLimits, budget: Budget | None = None
    ) -> None:
        self._file = file
        self._total = total
        self._limits = limits
        self._tensors = 0
        self._repeated = 0
        """Bytes that views show more than once, all together."""
        self._copied = 0
        self.budget = budget or Budget(_MOST_CARRIED, limits.header_bytes)
        self.opaque: set[str] = set()
        self.not_read: list[str] = []
        """Honest things that this reader does not read, in words."""
        self.carried: list[bytes] = []
        """Files inside this one that some program could unpickle, to be looked into as well."""

    def carry(self, raw: bytes) -> None:
        """Keep a file inside this one. Raises `LimitExceeded` where all of them are more than a pickle may have."""
        self.carried.append(raw)
        self.budget.files -= 1
        self.budget.bytes -= len(raw)
        if self.budget.files < 0:
            beyond(self._file, f"carries more than {_MOST_CARRIED} files", "tensors")
        if self.budget.bytes < 0:
            most = self._limits.header_bytes
            beyond(self._file, f"carries files of more than {most} bytes", "header_bytes")

    def elsewhere(self) -> OtherTensor:
        """What stands for a storage that is not in the file."""
        self.not_read.append("it refers to storages that it does not hold")
        return OtherTensor("a storage elsewhere")

    def call(self, called: Any, arguments: Any) -> Any:
        """The result of calling `called`. Raises `Refused` for any name that is not on a list."""
        if not isinstance(called, Global):
            refuse(self._file, "its pickle calls the result of another call")
        if not isinstance(arguments, tuple):
            refuse(self._file, f"its pickle calls {called} with arguments that are no tuple")
        name = grammar.full_name(called)
        if name in grammar.REBUILDERS:
            return self._tensor(name, arguments)
        if name in grammar.TENSOR_CLASSES:
            return self._parameter(arguments)
        if name in grammar.OTHER_REBUILDERS or grammar.is_storage(called):
            return self._other_tensor(name)
        if name in grammar.MAPPINGS:
            return self._mapping(called, arguments)
        if name in grammar.LIST_MAKERS or name == grammar.TYPE_TAG:
            return self._first_of(called, arguments)
        if name == grammar.ENCODE:
            return self._encoded(arguments)
        if name == grammar.NESTED_FILE:
            return self._nested_file(arguments)
        if name == grammar.RECONSTRUCTOR:
            return self._reconstructed(arguments)
        if grammar.calls_arguments(called):
            return self._caller(called, arguments)
        if not grammar.is_inert_call(called):
            self._calls(called)
        return self._object(called, arguments)

    def _caller(self, called: Global, arguments: tuple[Any, ...]) -> Opaque:
        for argument in arguments:
            if isinstance(argument, Global) and not grammar.is_known(argument):
                self._calls(argument)
        return self._object(called, arguments)

    def new(self, made: Any, arguments: Any) -> Any:
        """The object that `made.__new__` makes. Raises `Refused` for any class that is not on a list."""
        if not isinstance(made, Global):
            refuse(self._file, "its pickle makes an object of something that is no class")
        if grammar.full_name(made) in grammar.MAPPINGS:
            return self._mapping(made, arguments)
        if grammar.full_name(made) in grammar.TENSOR_CLASSES:
            return self._other_tensor(grammar.full_name(made))
        if not grammar.is_inert_class(made):
            self._calls(made)
        return self._object(made, arguments)

    def _calls(self, called: Global) -> NoReturn:
        refuse(self._file, f"its pickle calls {called}")

    def _object(self, known: Global, arguments: Any) -> Opaque:
        self.opaque.add(grammar.full_name(known))
        return Opaque(known, arguments)

    # --- containers and bytes ---------------------------------------------------------------------------------

    def _mapping(self, known: Global, arguments: Any) -> Mapping:
        """A dict of any kind; Python 2 gave the pairs of an ordered one as its argument."""
        made = Mapping(known=known)
        for argument in arguments if isinstance(arguments, tuple) else ():
            if isinstance(argument, Mapping):
                self._count_copied(len(argument.items))
                made.items.extend(argument.items)
            elif isinstance(argument, list):
                self._count_copied(len(argument))
                made.items.extend(self._pair(item) for item in argument)
        return made

    def _count_copied(self, items: int) -> None:
        """One list can become a dict again and again."""
        self._copied += items
        if self._copied > _COPIED_PER_TENSOR * self._limits.tensors:
            beyond(self._file, f"copies more than {self._copied} items into dicts", "tensors")

    def _pair(self, item: Any) -> tuple[Any, Any]:
        if not isinstance(item, list | tuple) or len(item) != 2:
            refuse(self._file, "its pickle makes a dict of something else than pairs")
        return item[0], item[1]

    def _first_of(self, called: Global, arguments: tuple[Any, ...]) -> Any:
        if not arguments:
            refuse(self._file, f"its pickle calls {called} without arguments")
        return arguments[0]

    def _encoded(self, arguments: tuple[Any, ...]) -> bytes:
        """The bytes that protocol 2 wrote as a string of Latin-1."""
        text, encoding = arguments if len(arguments) == 2 else (None, None)
        if not isinstance(text, str) or encoding not in _LATIN:
            refuse(self._file, "its pickle calls '_codecs.encode' for something else than bytes")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            refuse(self._file, "its pickle calls '_codecs.encode' for something else than bytes")

    def _nested_file(self, arguments: tuple[Any, ...]) -> OtherTensor:
        if len(arguments) != 1 or not isinstance(arguments[0], bytes):
            refuse(self._file, "its pickle reads a nested torch file that is not in it")
        self.carry(arguments[0])
        return self._other_tensor("torch.storage._load_from_bytes")

    def _reconstructed(self, arguments: tuple[Any, ...]) -> Any:
        """An object of protocol 0 or 1: its class, the base that it inherits its data from, and that data."""
        made, base, _ = arguments if len(arguments) == 3 else (None, None, None)
        if not isinstance(made, Global) or not isinstance(base, Global):
            refuse(
                self._file,
                "its pickle calls 'copyreg._reconstructor' on something else than classes",
            )
        if grammar.full_name(base) not in grammar.MAPPINGS and not grammar.is_inert_class(base):
            self._calls(base)
        return self.new(made, ())

    # --- tensors ----------------------------------------------------------------------------------------------

    def _other_tensor(self, name: str) -> OtherTensor:
        self.not_read.append(f"it holds tensors made by {name}")
        return OtherTensor(name)

    def _tensor(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "torch._tensor._rebuild_from_type_v2":
            return self._of_type(arguments)
        if name in (
            "torch._utils._rebuild_parameter",
            "torch._utils._rebuild_parameter_with_state",
        ):
            return self._parameter(arguments)
        least = 7 if name == "torch._utils._rebuild_tensor_v3" else 4
        if len(arguments) < least or not isinstance(arguments[0], Storage | OtherTensor):
            refuse(self._file, f"its pickle calls '{name}' on something else than a storage")
        storage, offset, shape, strides = arguments[:4]
        if isinstance(storage, OtherTensor):
            return storage
        dtype = storage.dtype if least == 4 else self._dtype(arguments[6])
        return self._view(storage, dtype, offset, shape, strides)

    def _of_type(self, arguments: tuple[Any, ...]) -> Any:
        """A tensor with attributes: the call that makes it, its class, its arguments and its state."""
        if len(arguments) != 4 or not isinstance(arguments[1], Global):
            refuse(self._file, "its pickle calls '_rebuild_from_type_v2' in another way than torch")
        called, kind, inner, _ = arguments
        made = self.call(called, inner)
        if grammar.full_name(kind) not in grammar.TENSOR_CLASSES:
            return self._other_tensor(grammar.full_name(kind))
        return made

    def _parameter(self, arguments: tuple[Any, ...]) -> Any:
        if not arguments or not isinstance(arguments[0], View | OtherTensor):
            refuse(self._file, "its pickle makes a parameter of something else than a tensor")
        return arguments[0]

    def _dtype(self, value: Any) -> str:
        if not isinstance(value, Global) or not grammar.is_dtype(value):
            refuse(self._file, "a tensor in its pickle has an element type that is none")
        return grammar.DTYPES.get(value.name, value.name)

    def _view(self, storage: Storage, dtype: str, offset: Any, shape: Any, strides: Any) -> Any:
        self._tensors += 1
        if self._tensors > self._limits.tensors:
            beyond(self._file, f"holds more than {self._limits.tensors} tensors", "tensors")
        if dtype not in DTYPE_BITS:
            return self._other_tensor(f"the element type {dtype or 'of raw bytes'}")
        sides = self._numbers(shape, "shape")
        steps = self._numbers(strides, "strides")
        if len(sides) != len(steps) or not _is_whole(offset) or not 0 <= offset < FILE_END:
            refuse(self._file, "a tensor in its pickle has an offset or strides that are none")
        held = storage.numel * _item_bytes(storage) // (DTYPE_BITS[dtype] // 8)
        self._check_reach(sides, steps, offset, held)
        self._check_repeats(math.prod(sides), held, DTYPE_BITS[dtype] // 8)
        return View(storage, dtype, sides, steps, offset)

    def _numbers(self, value: Any, what: str) -> tuple[int, ...]:
        if isinstance(value, Opaque) and value.known.name == "Size" and len(value.arguments) == 1:
            value = value.arguments[0]
        if not isinstance(value, tuple | list) or len(value) > _MOST_AXES:
            refuse(self._file, f"a tensor in its pickle has {what} that are no list, or a long one")
        most = LONGEST_DIMENSION if what == "shape" else FILE_END
        if not all(_is_whole(side) and 0 <= side <= most for side in value):
            refuse(
                self._file,
                f"a tensor in its pickle has impossible {what}: no whole numbers, negative, or beyond any file",
            )
        return tuple(value)

    def _check_reach(
        self, sides: tuple[int, ...], steps: tuple[int, ...], offset: int, held: int
    ) -> None:
        """Refuse a view that reaches behind the last element of its storage."""
        if 0 in sides:
            return
        last = offset + sum((side - 1) * step for side, step in zip(sides, steps, strict=True))
        if last >= held:
            refuse(
                self._file,
                f"a tensor in its pickle reaches element {last} of a storage that has {held}",
            )

    def _check_repeats(self, count: int, held: int, item_bytes: int) -> None:
        """Refuse views that show the same elements so often that they are larger than the whole file."""
        if count <= held:
            return
        self._repeated += count * item_bytes
        if self._repeated > self._total:
            refuse(
                self._file,
                f"tensors in its pickle repeat a few elements into {self._repeated} bytes, more than the file has",
            )


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _item_bytes(storage: Storage) -> int:
    return DTYPE_BITS[storage.dtype] // 8 if storage.dtype else 1
