"""What `repr` said of records on the day their forms were written down, whatever becomes of the classes.

Hashes that are stored rest on it. A form lists the fields of that day: a field that came later is left out while it has
its default, and a class or an enum may be renamed.
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


@dataclass(frozen=True)
class EnumForm:
    """An enum as it was."""

    name: str
    members: Mapping[Any, str]
    """Value to name."""


@dataclass(frozen=True)
class TextForm:
    """An enum of today whose values were plain strings."""


Forms = Mapping[type, RecordForm | EnumForm | TextForm]
"""By the class as it is called today."""


def text(value: object, forms: Forms) -> str:
    """`repr(value)` as of the forms. Raises `Newer` for a newer field away from its default, and for a record, enum or
    member without a form.
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
    if isinstance(form, RecordForm):
        return _record(value, form, forms)
    if isinstance(form, EnumForm):
        return _member(value, form)  # type: ignore[arg-type]
    if isinstance(form, TextForm):
        return repr(str(value))
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


def _member(member: Enum, form: EnumForm) -> str:
    if member.value not in form.members:
        raise Newer(f"{form.name} had no {member.value!r}")
    return f"<{form.name}.{form.members[member.value]}: {str(member.value)!r}>"
