"""Values of an interpreted pickle. None of them can act: a name stays a name, an object a description of one.

Numbers, strings, bytes, None, tuples and lists stand for themselves. Everything else is one of these classes, compared
by identity, so that no stranger's key is ever hashed or compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dife_scanner.models.strict_json import shown


@dataclass(frozen=True, eq=False)
class Global:
    """A name that an unpickler would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.name}")


@dataclass(eq=False)
class Mapping:
    """A dict, in the order of its items; a later item with the same key replaces an earlier one."""

    items: list[tuple[Any, Any]] = field(default_factory=list)
    known: Global | None = None
    """Its class where that is not dict itself."""


@dataclass(eq=False)
class Opaque:
    """An object of a known inert class: its name, what it was made of, and its state."""

    known: Global
    arguments: Any = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Storage:
    """Bytes of the file that tensors are views of."""

    dtype: str
    """As safetensors calls it; empty where each tensor says its own."""
    numel: int
    """In elements of `dtype`, or bytes where it is empty."""
    start: int = 0
    """Of its first byte in the file; a legacy file tells it only at its end."""
    end: int = 0


@dataclass(frozen=True, eq=False)
class View:
    """A tensor whose shape, strides and offset were checked against its storage."""

    storage: Storage
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(frozen=True, eq=False)
class OtherTensor:
    """A tensor of a kind that is not read: sparse, quantised, without data."""

    what: str
