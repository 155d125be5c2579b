"""What `repr` said of records on the day their forms were written down, whatever becomes of the classes.

Hashes that are stored rest on it. A form lists the fields of that day: a field that came later is left out while it has
its default, and a class may be renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from dife_scanner.core import canonical


class Newer(ValueError):
    """A value that no record of that day could hold: it has no text of that day."""


@dataclass(frozen=True)
class RecordForm:
    """A dataclass as it was."""

    name: str
    fields: tuple[str, ...]


Forms = Mapping[type, RecordForm]
"""By the class as it is called today."""


def text(value: object, forms: Forms) -> str:
    """`repr(value)` as of the forms. Raises `Newer` for a newer field away from its default, for a record without a
    form, and for any enum.
    """
    kind = type(value)
    if kind in (str, int, float, bool):
        return repr(value)
    if kind is tuple:
        return _tuple(value, forms)  # type: ignore[arg-type]
    if kind is list:
        return f"[{_joined(value, forms)}]"  # type: ignore[arg-type]
    if kind is dict:
        return _dict(value, forms)  # type: ignore[arg-type]
    form = forms.get(kind)
    if form is not None:
        return _record(value, form, forms)
    if is_dataclass(value) or isinstance(value, Enum):
        raise Newer(f"{kind.__name__} has no form")
    return repr(value)


def _joined(values: Iterable[object], forms: Forms) -> str:
    return ", ".join([text(one, forms) for one in values])


def _tuple(value: tuple[object, ...], forms: Forms) -> str:
    inner = _joined(value, forms)
    if len(value) == 1:
        return f"({inner},)"
    return f"({inner})"


def _dict(value: dict[object, object], forms: Forms) -> str:
    pairs = [f"{text(key, forms)}: {text(one, forms)}" for key, one in value.items()]
    return "{" + ", ".join(pairs) + "}"


def _record(record: Any, form: RecordForm, forms: Forms) -> str:
    for field in fields(record):
        if field.name not in form.fields and not canonical.at_default(record, field):
            raise Newer(f"{form.name} had no {field.name}")
    values = [f"{name}={text(getattr(record, name), forms)}" for name in form.fields]
    return f"{form.name}({', '.join(values)})"
