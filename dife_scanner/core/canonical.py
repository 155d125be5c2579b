"""One text per record, for hashes that have to outlive changes of the code.

A field at its default is left out, so a field that is added later with a default changes no text. A default must
therefore never change: texts made before would then mean another value.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

_TYPE = ""
"""Key of a record's type name: no field can have it."""


def text(record: object) -> str:
    """The canonical JSON of a frozen record: sorted keys, no spaces, ASCII, type names, no field at its default.

    A record may hold records, tuples, frozensets, dictionaries, enums, paths, strings, numbers and `None`. Records that
    differ have different texts. A class that is renamed keeps its texts with `canonical_name: ClassVar[str]`, the name
    that it had.

    Raises `TypeError` for any other type and `ValueError` for NaN and infinity.

    >>> text(Path("a/b"))
    '{"path":"a/b"}'
    """
    return _json(_plain(record))


def at_default(record: object, field: Field[Any]) -> bool:
    """Whether a field of a record has its default, to the type: 1 is not 1.0."""
    default = _default(field)
    if default is MISSING:
        return False
    return text(getattr(record, field.name)) == text(default)


def _json(plain: object) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _plain(value: object) -> object:
    """What `json` takes. Only a record has the key of type names, so nothing else reads like one."""
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    if isinstance(value, Enum):
        return _member(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, frozenset):
        members = [_plain(inner) for inner in value]
        return {"frozenset": sorted(members, key=_json)}
    if isinstance(value, dict):
        pairs = [[_plain(key), _plain(inner)] for key, inner in value.items()]
        return {"dict": sorted(pairs, key=_json)}
    if isinstance(value, Path):
        return {"path": str(value)}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _member(member: Enum) -> object:
    if isinstance(member, str):  # equal to its value, so it has the same text
        return member.value
    return {"enum": [type(member).__name__, _plain(member.value)]}


def _record(record: Any) -> dict[str, object]:
    kind = type(record)
    found: dict[str, object] = {_TYPE: vars(kind).get("canonical_name", kind.__name__)}
    for field in fields(record):
        if not at_default(record, field):
            found[field.name] = _plain(getattr(record, field.name))
    return found
