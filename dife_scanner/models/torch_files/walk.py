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
_VISITS_PER_TENSOR = 100
_MOST_VALUES = 1000
_LONGEST_VALUE = 200
_LARGEST_NUMBER = 2**63
_TORCHSCRIPT = "__torch__"
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")
"""Where a module saved whole keeps its tensors and its submodules."""

Path = tuple[str, ...]


class Walk:
    """Visits everything that `value` holds; `tensors` and `values` are complete afterwards."""

    def __init__(self, value: Any, file: str, limits: ParseLimits) -> None:
        self._file = file
        self._limits = limits
        self._visits = _VISITS_PER_TENSOR * limits.tensors
        self._letters = limits.header_bytes
        self.tensors: list[StoredTensor] = []
        self.values: list[tuple[Path, Plain]] = []
        # an explicit stack: a file can nest deeper than a function may call itself
        pending = [_Place((), False, 0, value)]
        while pending:
            place = pending.pop()
            self._visit(place.path, place.depth, place.found)
            pending.extend(reversed(list(_inner(place))))

    def _visit(self, path: Path, depth: int, found: Any) -> None:
        self._visits -= 1
        if self._visits < 0:
            most = _VISITS_PER_TENSOR * self._limits.tensors
            beyond(self._file, f"holds more than {most} values in its containers", "tensors")
        if depth > _DEEPEST:
            refuse(
                self._file, f"its containers nest more than {_DEEPEST} deep, or contain themselves"
            )
        if isinstance(found, View):
            self._keep(path, found)
        elif _is_plain(found) and len(self.values) < _MOST_VALUES:
            self.values.append((path, found))

    def _keep(self, path: Path, view: View) -> None:
        self._letters -= sum(map(len, path))
        if self._letters < 0:
            beyond(self._file, "has names of too many letters in all", "header_bytes")
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
    path: Path
    in_module: bool
    """Whether names below belong to the last key, with a dot: a module's tensors have one name each."""
    depth: int
    found: Any

    def below(self, name: str, found: Any, in_module: bool) -> _Place:
        path = (*self.path, name)
        if self.in_module:
            path = (*self.path[:-1], f"{self.path[-1]}.{name}")
        return _Place(path, in_module, self.depth + 1, found)


def _inner(place: _Place) -> Iterator[_Place]:
    """What a container holds directly."""
    found = place.found
    if isinstance(found, Mapping):
        for key, value in _items(found):
            yield place.below(key, value, place.in_module)
    elif isinstance(found, list | tuple):
        for index, value in enumerate(found):
            yield place.below(str(index), value, place.in_module)
    elif isinstance(found, Opaque) and isinstance(found.state, Mapping):
        yield from _in_module(place, found)


def _in_module(place: _Place, found: Opaque) -> Iterator[_Place]:
    """Tensors and submodules of a module that was saved whole; other objects hold nothing that is looked for."""
    parts = [found.state]
    if found.known.module.partition(".")[0] != _TORCHSCRIPT:
        attributes = dict(_items(found.state))
        parts = [attributes[name] for name in _MODULE_PARTS if name in attributes]
    for part in parts:
        for key, value in _items(part) if isinstance(part, Mapping) else ():
            yield place.below(key, value, True)


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
