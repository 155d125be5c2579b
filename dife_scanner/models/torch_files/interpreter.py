"""A pickle, interpreted without an unpickler: names are not imported, calls are not made, objects are not built.

The stack machine of the format, on inert values (`values`). A call is looked up in closed lists (`grammar`) and its
result described (`rebuild`). Lists, dicts and described objects can be filled; changing anything else, as an attribute
of an imported class, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dife_scanner.models.header import ParseLimits
from dife_scanner.models.torch_files import grammar
from dife_scanner.models.torch_files.carried import carried_pickle
from dife_scanner.models.torch_files.opcodes import Cursor, next_step
from dife_scanner.models.torch_files.outcome import beyond, refuse, unreadable
from dife_scanner.models.torch_files.rebuild import Rebuild
from dife_scanner.models.torch_files.values import Global, Mapping, Opaque, OtherTensor, View

_HIGHEST_PROTOCOL = 5
_STEPS_PER_TENSOR = 60
"""Steps for each tensor that `limits.tensors` allows; a state dict takes about forty."""
_LONGEST_GLOBAL = 1000
_FROM_MARK = ("INST", "OBJ")
_MARK = object()


class Storages(Protocol):
    """How one format names its storages."""

    def load(self, identity: Any) -> Any:
        """The value behind a persistent id. Raises `Refused` for a storage that contradicts the file."""


class Interpreter:
    """Reads one pickle after another from `cursor`."""

    def __init__(
        self, cursor: Cursor, rebuild: Rebuild, storages: Storages, limits: ParseLimits
    ) -> None:
        self._cursor = cursor
        self._file = cursor.file
        self._rebuild = rebuild
        self._storages = storages
        self._left = _STEPS_PER_TENSOR * limits.tensors
        self._tensors = limits.tensors
        self._has_protocol = False
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[Any], None]] = {
            "push": self._constant,
            "list": lambda _: self._stack_push([]),
            "dict": lambda _: self._stack_push(Mapping()),
            "set": lambda _: self._stack_push(Opaque(grammar.named("builtins", "set"))),
            "mark": lambda _: self._stack_push(_MARK),
            "pop": self._pop_anything,
            "pop mark": self._pop_mark,
            "duplicate": lambda _: self._stack_push(self._top()),
            "append": lambda _: self._extend([self._pop()]),
            "append all": lambda _: self._extend(self._to_mark()),
            "add items": lambda _: self._extend(self._to_mark()),
            "set item": self._set_item,
            "set items": lambda _: self._set_items(self._to_mark()),
            "frozen set": self._frozen_set,
            "dict of mark": self._dict_of_mark,
            "list of mark": lambda _: self._stack_push(self._to_mark()),
            "tuple of mark": lambda _: self._stack_push(tuple(self._to_mark())),
            "tuple": self._tuple,
            "get": self._get,
            "put": self._put,
            "memoize": lambda _: self._put(len(self._memo)),
            "global": lambda names: self._name(*names),
            "stack global": self._stack_global,
            "reduce": self._reduce,
            "new object": self._new_object,
            "new object with keywords": self._new_object_with_keywords,
            "build": self._build,
            "id": self._identity,
            "text id": lambda _: unreadable(self._file, "its pickle has a persistent id of text"),
            "trick": self._trick,
            "protocol": self._protocol,
            "frame": self._frame,
            "buffer": lambda _: unreadable(self._file, "its pickle needs a buffer beside it"),
        }

    def run(self) -> Any:
        """The value of the next pickle, up to and with its STOP."""
        self._stack.clear()
        self._memo.clear()
        while True:
            action, argument = next_step(self._cursor)
            if action == "stop":
                return self._stopped()
            self._count_down()
            self._actions[action](argument)

    def _stopped(self) -> Any:
        if self._cursor.damage:
            unreadable(self._file, self._cursor.damage)
        return self._pop()

    def _count_down(self) -> None:
        self._left -= 1
        if self._left < 0:
            steps = _STEPS_PER_TENSOR * self._tensors
            beyond(self._file, f"holds a pickle of more than {steps} steps", "tensors")

    def _constant(self, value: Any) -> None:
        carried = carried_pickle(value)
        if carried is not None:
            self._rebuild.carry(carried)
        self._stack_push(value)

    # --- the stack --------------------------------------------------------------------------------------------

    def _stack_push(self, value: Any) -> None:
        self._stack.append(value)

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            unreadable(self._file, "its pickle takes a value where none is")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        del self._stack[-1]
        return value

    def _pop_anything(self, _: Any) -> None:
        """POP takes a mark away as well."""
        if not self._stack:
            unreadable(self._file, "its pickle takes a value where none is")
        del self._stack[-1]

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _to_mark(self) -> list[Any]:
        """The values above the last mark, taken off together with it."""
        at = len(self._stack) - 1
        while at >= 0 and self._stack[at] is not _MARK:
            at -= 1
        if at < 0:
            unreadable(self._file, "its pickle goes back to a mark that is not there")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._stack_push(tuple(reversed(values)))

    # --- the memo ---------------------------------------------------------------------------------------------

    def _get(self, index: int) -> None:
        if index not in self._memo:
            unreadable(self._file, "its pickle recalls a value that it never kept")
        self._stack_push(self._memo[index])

    def _put(self, index: int) -> None:
        if index > len(self._cursor.data):
            refuse(self._file, f"its pickle keeps a value as number {index}, more than it can hold")
        self._memo[index] = self._top()

    # --- containers -------------------------------------------------------------------------------------------

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Opaque):
            target.items.extend(values)
        else:
            self._changes(target)

    def _set_item(self, _: Any) -> None:
        value = self._pop()
        self._set_items([self._pop(), value])

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if len(values) % 2:
            unreadable(self._file, "its pickle sets a key without a value")
        pairs = list(zip(values[::2], values[1::2], strict=True))
        if not isinstance(target, Mapping | Opaque):
            self._changes(target)
        target.items.extend(pairs)

    def _dict_of_mark(self, _: Any) -> None:
        values = self._to_mark()
        self._stack_push(Mapping())
        self._set_items(values)

    def _frozen_set(self, _: Any) -> None:
        values = self._to_mark()
        self._stack_push(Opaque(grammar.named("builtins", "frozenset"), items=values))

    def _changes(self, target: Any) -> None:
        what = str(target) if isinstance(target, Global) else f"a {type(target).__name__.lower()}"
        refuse(self._file, f"its pickle changes {what}, which is no container")

    # --- names, calls, objects --------------------------------------------------------------------------------

    def _name(self, module: str, name: str) -> None:
        if len(module) + len(name) > _LONGEST_GLOBAL:
            refuse(self._file, f"its pickle names something in more than {_LONGEST_GLOBAL} letters")
        found = grammar.named(module, name)
        if grammar.is_dangerous(found):
            refuse(self._file, f"its pickle names {found}")
        if not grammar.is_known(found):
            self._rebuild.not_read.append(f"it mentions {found}")
        self._stack_push(found)

    def _stack_global(self, _: Any) -> None:
        name = self._pop()
        module = self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            refuse(self._file, "its pickle computes a name that it imports")
        self._name(module, name)

    def _reduce(self, _: Any) -> None:
        arguments = self._pop()
        self._stack_push(self._rebuild.call(self._pop(), arguments))

    def _new_object(self, _: Any) -> None:
        arguments = self._pop()
        self._stack_push(self._rebuild.new(self._pop(), arguments))

    def _new_object_with_keywords(self, _: Any) -> None:
        keywords = self._pop()
        arguments = self._pop()
        self._stack_push(self._rebuild.new(self._pop(), (arguments, keywords)))

    def _build(self, _: Any) -> None:
        """Attributes of an object. Those of a dict, as the versions of a state dict, and of a tensor are left aside."""
        state = self._pop()
        target = self._top()
        if isinstance(target, Opaque):
            target.state = state
        elif not isinstance(target, Mapping | View | OtherTensor):
            self._changes(target)

    def _trick(self, opcode: str) -> None:
        """Refuse what loads code by number, or makes an object without its name on the stack.

        A file that is no pickle may begin with such a byte: it lacks the mark, or the protocol, that goes before.
        """
        if opcode in _FROM_MARK:
            self._to_mark()
        elif not self._has_protocol:
            unreadable(self._file, "its first bytes are those of no known format")
        refuse(self._file, f"its pickle uses {opcode}, which nothing that saves tensors writes")

    # --- persistent ids and framing ---------------------------------------------------------------------------

    def _identity(self, _: Any) -> None:
        self._stack_push(self._storages.load(self._pop()))

    def _protocol(self, number: int) -> None:
        if number > _HIGHEST_PROTOCOL:
            unreadable(self._file, f"its pickle has the unknown protocol {number}")
        self._has_protocol = True

    def _frame(self, count: int) -> None:
        if count > len(self._cursor.data) - self._cursor.at:
            self._cursor.damage = "its pickle is truncated"
