"""Records to canonical JSON and back: sorted keys, no spaces, ASCII, no NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from pydantic import TypeAdapter

from dife_scanner.records import AskedPlan, Audit, decided

P = ParamSpec("P")
T = TypeVar("T")


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Building one takes a millisecond or two."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(record: Any) -> str:
    """One frozen record as canonical JSON. Raises `ValueError` for NaN or infinity: "not measured" is a record."""
    plain = _adapter(type(record)).dump_python(record)
    if isinstance(record, Audit):
        _shorten(plain, record)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_set)


def _shorten(plain: dict[str, Any], audit: Audit) -> None:
    """Leave out what older audits do not have, so that their records stay what they were, byte for byte, and keep their
    names. Of the plan also what is at its default: an audit holds each of its triggers in full already.
    """
    if audit.plan is None:
        del plain["plan"]
    else:
        plain["plan"] = _adapter(AskedPlan).dump_python(audit.plan, exclude_defaults=True)
    if audit.decision is None:
        del plain["decision"]
    for row in plain["signatures"]:
        if not row["checks"]:
            del row["checks"]


def _set(value: object) -> list[str]:
    """A set has no order of its own; its JSON has one, so that equal records are equal text."""
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


def from_json(kind: type[T], text: str | bytes) -> T:
    """The record again; `from_json(type(r), to_json(r)) == r`."""
    record: T = restore(_adapter(kind).validate_python, json.loads(text))
    return record


def restore(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`make(...)` for records that were decided before and kept: the store's way back to a `Diagnosis`."""
    return decided(make, *args, **kwargs)
