"""Records to canonical JSON and back: sorted keys, no spaces, ASCII, no NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, ParamSpec, TypeVar

from pydantic import TypeAdapter

from dife_scanner.records import (
    Audit,
    DeploymentDecision,
    DeploymentProfile,
    EvidenceFile,
    Finding,
    Hypothesis,
    MissingSearch,
    Power,
    Search,
    StoredPlan,
    TextSpace,
    decided,
)

P = ParamSpec("P")
T = TypeVar("T")

CAME_LATER: dict[type, frozenset[str]] = {
    Audit: frozenset(
        (
            "plan",
            "decision",
            "recognition",
            "deviations",
            "settings",
            "under_other",
            "gaps",
            "tokenizer_differences",
            "encoded",
            "memory",
            "trigger_tokens",
            "layers",
            "rankings",
        )
    ),
    EvidenceFile: frozenset(("base_reads",)),
    Hypothesis: frozenset(
        ("checks", "text_space", "picture_space", "beyond_classes", "among_concepts")
    ),
    Finding: frozenset(("decided_for", "answer")),
    Search: frozenset(("leads", "not_converged")),
    MissingSearch: frozenset(("fault", "unreached", "ended", "effort")),
    Power: frozenset(("not_reached",)),
    TextSpace: frozenset(("by_chance",)),
}
"""Fields that were added to records of which some are stored already; each is left out at its default.

A stored audit is named by the hash of its JSON, so its JSON must stay what it was. Whoever gives a record a new field
with a default adds the field here. `tests/store/test_codec.py` fails where an old audit would be written differently.
"""

WITHOUT_DEFAULTS: tuple[type, ...] = (StoredPlan, DeploymentProfile, DeploymentDecision)
"""Records of which nothing at its default is stored, and nothing at its default in what they hold.

An audit holds the triggers of its plan in full already, as hypotheses. Profiles and decisions are known by the hash of
their JSON, so a field that they get later with a default changes no hash.
"""


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """The reader of a class. Building one takes a millisecond or two, so it is kept."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(record: Any) -> str:
    """One frozen record as canonical JSON. Raises `ValueError` for NaN or infinity: "not measured" is a record."""
    plain = _adapter(type(record)).dump_python(record)
    _leave_out_defaults(plain, record)
    return json.dumps(
        plain, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_sorted_set
    )


def _leave_out_defaults(plain: Any, record: Any, *, every: bool = False) -> None:
    """Remove from `plain`, which was made from `record`, what is not stored at its default; `every`: all that is."""
    if is_dataclass(record):
        every = every or isinstance(record, WITHOUT_DEFAULTS)
        came_later = CAME_LATER.get(type(record), frozenset())
        for field in fields(record):
            value = getattr(record, field.name)
            may_go = every or field.name in came_later
            if may_go and value == _default(field):
                del plain[field.name]
            else:
                _leave_out_defaults(plain[field.name], value, every=every)
    elif isinstance(record, tuple):
        for plain_item, item in zip(plain, record, strict=True):
            _leave_out_defaults(plain_item, item, every=every)
    elif isinstance(record, dict):
        for key, item in record.items():
            _leave_out_defaults(plain[key], item, every=every)


def _default(field: Field[Any]) -> Any:
    """The default of a field; `MISSING`, which equals no value, where it has none."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _sorted_set(value: object) -> list[str]:
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
