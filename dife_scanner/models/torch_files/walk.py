"""The tensors in nested containers, with the keys that lead to each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dife_scanner.models.header import ParseLimits
from dife_scanner.models.strict_json import climbs_out, is_invisible, shown
from dife_scanner.models.torch_files.outcome import beyond, refuse, unreadable
from dife_scanner.models.torch_files.table import Plain, StoredTensor
from dife_scanner.models.torch_files.values import Mapping, Opaque, View

_DEEPEST = 500
"""Containers within each other; pickle itself writes no more than about so many."""
_LONGEST_NAME = 10_000
_CONTAINERS_PER_TENSOR = 20
_ITEMS_PER_TENSOR = 100
_MOST_VALUES = 1000
_LONGEST_VALUE = 200
_LARGEST_NUMBER = 2**63
_TORCHSCRIPT = "__torch__"
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")
"""Where a module saved whole keeps its tensors and its submodules."""
_NOT_SAVED = "_non_persistent_buffers_set"
"""Where it names the buffers that are no part of its state dict."""

Path = tuple[str, ...]


class Walk:
    """Visits everything that `value` holds; `tensors` and `values` are complete afterwards, outer ones first."""

    def __init__(self, value: Any, file: str, limits: ParseLimits) -> None:
        self._file = file
        self._limits = limits
        self._containers = _CONTAINERS_PER_TENSOR * limits.tensors
        self._items = _ITEMS_PER_TENSOR * limits.tensors
        self._letters = limits.header_bytes
        self.tensors: list[StoredTensor] = []
        self.values: list[tuple[Path, Plain]] = []
        # an explicit stack: a file can nest deeper than a function may call itself
        pending = [_Place((), 0, False, 0, value)]
        while pending:
            pending.extend(reversed(self._visit(pending.pop())))

    def _visit(self, place: _Place) -> list[_Place]:
        """Keep what a container holds directly; returns the containers in it."""
        self._count(place)
        inner: list[_Place] = []
        for name, found, in_module in _inside(place):
            if isinstance(found, View):
                self._keep(place.path_to(name), found)
            elif isinstance(found, Mapping | Opaque | list | tuple):
                inner.append(place.below(name, found, in_module))
            elif len(self.values) < _MOST_VALUES and _is_plain(found):
                self._count_letters(path := place.path_to(name))
                self.values.append((path, found))
        return inner

    def _count(self, place: _Place) -> None:
        """Raise where the containers are more, deeper or longer than any that a program writes."""
        self._containers -= 1
        self._items -= _size(place.found)
        if min(self._containers, self._items) < 0:
            beyond(
                self._file, "holds more values in its containers than tensors could need", "tensors"
            )
        if place.depth > _DEEPEST:
            refuse(
                self._file, f"its containers nest more than {_DEEPEST} deep, or contain themselves"
            )
        if place.letters > _LONGEST_NAME:
            refuse(self._file, f"its keys make names of more than {_LONGEST_NAME} letters")

    def _count_letters(self, path: Path) -> None:
        self._letters -= sum(map(len, path))
        if self._letters < 0:
            beyond(self._file, "has names of too many letters in all", "header_bytes")

    def _keep(self, path: Path, view: View) -> None:
        self._count_letters(path)
        if len(self.tensors) >= self._limits.tensors:
            beyond(self._file, f"names more than {self._limits.tensors} tensors", "tensors")
        _check_name(".".join(path), self._file)
        storage = view.storage
        self.tensors.append(
            StoredTensor(
                path, view.dtype, view.shape, view.strides, view.offset, storage.start, storage.end
            )
        )


@dataclass(frozen=True)
class _Place:
    """A container, and where it stands."""

    path: Path
    letters: int
    in_module: bool
    """Whether names below belong to the last key, with a dot: a module's tensors have one name each."""
    depth: int
    found: Any

    def path_to(self, name: str) -> Path:
        if self.in_module:
            return (*self.path[:-1], f"{self.path[-1]}.{name}")
        return (*self.path, name)

    def below(self, name: str, found: Any, in_module: bool) -> _Place:
        letters = self.letters + len(name)
        return _Place(self.path_to(name), letters, in_module, self.depth + 1, found)


def _size(found: Any) -> int:
    """How many items a container has."""
    if isinstance(found, Mapping):
        return len(found.items)
    if isinstance(found, Opaque):
        return _size(found.state) if isinstance(found.state, Mapping) else 0
    return len(found) if isinstance(found, list | tuple) else 0


def _inside(place: _Place) -> Iterator[tuple[str, Any, bool]]:
    """What a container holds directly: name, value, and whether names below it belong to a module."""
    found = place.found
    if isinstance(found, Mapping):
        for key, value in _items(found):
            yield key, value, place.in_module
    elif isinstance(found, list | tuple):
        for index, value in enumerate(found):
            yield str(index), value, place.in_module
    elif isinstance(found, Opaque) and isinstance(found.state, Mapping):
        for key, value in _in_module(found):
            yield key, value, True


def _in_module(found: Opaque) -> Iterator[tuple[str, Any]]:
    """Tensors and submodules of a module that was saved whole; other objects hold nothing that is looked for."""
    if found.known.module.partition(".")[0] == _TORCHSCRIPT:
        yield from _items(found.state)
        return
    attributes = dict(_items(found.state))
    left_out = _texts(attributes.get(_NOT_SAVED))
    for part in _MODULE_PARTS:
        if isinstance(attributes.get(part), Mapping):
            yield from (one for one in _items(attributes[part]) if one[0] not in left_out)


def _texts(found: Any) -> frozenset[str]:
    """The texts in a set, which was pickled as a call with a list or filled later."""
    if not isinstance(found, Opaque):
        return frozenset()
    first = found.arguments[0] if isinstance(found.arguments, tuple) and found.arguments else []
    listed = first if isinstance(first, list) else []
    return frozenset(one for one in [*listed, *found.items] if isinstance(one, str))


def _items(found: Mapping) -> Iterator[tuple[str, Any]]:
    """Keys that are text or numbers; of several with one key the last, as in a dict."""
    last: dict[str, Any] = {}
    for key, value in found.items:
        if isinstance(key, bytes):
            last[key.decode("utf-8", "replace")] = value
        elif isinstance(key, str) or type(key) is int:
            last[str(key)] = value
    yield from last.items()


def _is_plain(found: Any) -> bool:
    """Whether this is a number or a short text that JSON can hold."""
    if isinstance(found, str):
        return len(found) <= _LONGEST_VALUE and not any(
            "\ud800" <= one <= "\udfff" for one in found
        )
    if type(found) is float:
        return math.isfinite(found)
    return type(found) is int and abs(found) < _LARGEST_NUMBER


def _check_name(name: str, file: str) -> None:
    """What a safetensors header may not call a tensor, a torch file may not either."""
    if is_invisible(name):
        refuse(file, f"the tensor name {shown(name)} contains control or text-direction characters")
    if climbs_out(name):
        refuse(file, f"the tensor name {shown(name)} is a path out of its folder")
    if any("\ud800" <= character <= "\udfff" for character in name):
        unreadable(file, f"the tensor name {shown(name)} is no valid Unicode")
