"""A stored audit and the same audit run again: every value compared, and what may lie behind a difference.

Pure. What belongs to one run and not to what it measured (id, times, counts of encodes, device and versions) is
not compared; device and versions are among the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum

from rich.console import Group, RenderableType
from rich.text import Text

from dife_scanner.records import (
    Audit,
    Entry,
    EvidenceFile,
    EvidenceRole,
    Hypothesis,
    ReverseSearch,
    Search,
    TriggerFile,
)
from dife_scanner.reports.layout import columns, safe
from dife_scanner.sentences.numbers import count

NOT_MEASURED = frozenset(
    {"id", "started_at", "seconds", "encodes", "distinct_inputs", "device", "versions", "evidence"}
    | {"calibration", "power", "plan", "encoded", "memory"}
)
"""Fields of an audit that describe a run, its request or what packs and power tables gave then; every other field is
compared."""
_ELSEWHERE = frozenset({(Search, "seconds"), (ReverseSearch, "seconds"), (TriggerFile, "path")})
"""Parts of records that may differ from run to run and mean the same; a file is compared by its sha256."""
SENTENCES = frozenset({"reason", "agreement", "notes"})
"""Fields of an audit, or of a record that it holds, that say in words what others say in numbers. A newer program may
word them better, so they are not compared."""
_PLANNED = {
    "budget": "the budget",
    "seed": "the seed",
    "signatures": "the signatures",
    "detectors": "the detectors",
    "pictures": "the labelled pictures",
    "pools": "what the pools are drawn from",
    "extensions": "an extension",
}
"""Parts of a plan, in words."""
RECONSTRUCTED = "the plan was not stored with this audit; it was reconstructed"
NO_CHECKS = "its checks were not recorded then, so they are not compared"
NOT_SHOWN = (
    "tokens, layers, rankings and what random texts did are compared where both recorded them"
)
_SHOWN_BESIDE = ("trigger_tokens", "layers", "rankings")
"""Fields that decide nothing and came later."""
SHOWN = 40
_SEPARATOR = " · "
_ABSENT = "absent"
_THERE = "there"


@dataclass(frozen=True)
class Difference:
    """One value that is not the same; `absent` where one of the two audits has no such value."""

    where: str
    stored: str
    again: str


@dataclass(frozen=True)
class Comparison:
    """The result of running an audit again."""

    compared: int
    """Number of values compared."""
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]
    """Why they may differ; empty where they do not."""
    notes: tuple[str, ...] = ()
    """What else is to be known of the comparison."""

    @property
    def identical(self) -> bool:
        return not self.differences


def compare(stored: Audit, again: Audit) -> Comparison:
    """Every measured value bit for bit: cells, branch swap, repair, diagnosis, signatures, verdict, pools."""
    notes = []
    if stored.plan is None:
        notes.append(RECONSTRUCTED)
    if stored.decision is None and again.decision is not None:
        notes.append(NO_CHECKS)
        again = _without_checks(again)
    shown = _as_shown_then(stored, again)
    if shown != again:
        notes.append(NOT_SHOWN)
        again = shown
    before = dict(_values(stored))
    after = dict(_values(again))
    names = dict.fromkeys([*before, *after])
    differences = _differences(names, before, after)
    reasons = _reasons(stored, again) if differences else ()
    return Comparison(len(names), differences, reasons, tuple(notes))


def _without_checks(audit: Audit) -> Audit:
    """The audit as it was recorded before checks were."""
    signatures = tuple(replace(one, checks=()) for one in audit.signatures)
    return replace(audit, decision=None, signatures=signatures)


def _as_shown_then(stored: Audit, again: Audit) -> Audit:
    """The second audit without what is shown beside the measurements where the first has none of it."""
    missing = {name: getattr(stored, name) for name in _SHOWN_BESIDE if not getattr(stored, name)}
    kept = any(one.text_space and one.text_space.by_chance for one in stored.signatures)
    if kept:
        return replace(again, **missing)
    return replace(again, signatures=tuple(map(_without_by_chance, again.signatures)), **missing)


def _without_by_chance(one: Hypothesis) -> Hypothesis:
    if one.text_space is None:
        return one
    return replace(one, text_space=replace(one.text_space, by_chance=()))


def _differences(
    names: Iterable[str], before: dict[str, str], after: dict[str, str]
) -> tuple[Difference, ...]:
    """Every value that is not the same; where a whole entry is missing on one side, that entry once."""
    entries_before = set(map(_entry, before))
    entries_after = set(map(_entry, after))
    found: dict[Difference, None] = {}
    for name in names:
        if before.get(name) == after.get(name):
            continue
        entry = _entry(name)
        if entry not in entries_before:
            found[Difference(entry, _ABSENT, _THERE)] = None
        elif entry not in entries_after:
            found[Difference(entry, _THERE, _ABSENT)] = None
        else:
            found[Difference(name, before.get(name, _ABSENT), after.get(name, _ABSENT))] = None
    return tuple(found)


def _entry(name: str) -> str:
    """The entry of a list, or the field, that a value belongs to: the first two parts of its name."""
    return _SEPARATOR.join(name.split(_SEPARATOR)[:2])


def _values(audit: Audit) -> Iterator[tuple[str, str]]:
    """(name, exact text) of every value: numbers as the shortest decimals that give the same bits again."""
    for field in fields(audit):
        if field.name not in NOT_MEASURED | SENTENCES:
            yield from _leaves(field.name, getattr(audit, field.name))
    manifests = [file for file in audit.evidence if file.role == EvidenceRole.POOL_MANIFEST]
    yield from _leaves("pools", manifests)


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    parts = _parts(value)
    if parts is None:
        yield name, _exact(value)
        return
    for part, inner in parts:
        yield from _leaves(f"{name}{_SEPARATOR}{part}", inner)


def _parts(value: object) -> list[tuple[str, object]] | None:
    """(name, value) of what a record, a dictionary or a list holds; `None` for anything else."""
    if is_dataclass(value) and not isinstance(value, type):
        names = []
        for field in fields(value):
            if field.name not in SENTENCES and (type(value), field.name) not in _ELSEWHERE:
                names.append(field.name)
        return [(name, getattr(value, name)) for name in names]
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, tuple | list):
        return [(_called(inner, place), inner) for place, inner in enumerate(value)]
    return None


def _called(value: object, place: int) -> str:
    """An entry of a list by what it is about, so that one more of them does not shift all others."""
    if isinstance(value, Entry):
        return f"{value.interface} {getattr(value, 'metric', '')}".strip()
    if isinstance(value, Hypothesis):
        return value.trigger.name
    if isinstance(value, Search):
        return value.detector
    if isinstance(value, EvidenceFile):
        return value.caption or str(place)
    return str(place)


def _exact(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return repr(value)
    return str(value)


def _reasons(stored: Audit, again: Audit) -> tuple[str, ...]:
    found = []
    if stored.audit_version != again.audit_version:
        found.append(
            f"the stored audit was made by audit version {stored.audit_version} and this program is "
            f"{again.audit_version}: differences are expected to follow from its rules too"
        )
    elif stored.identity != again.identity:
        found.append(f"its identity is another: {_changed(stored, again)}")
    if stored.device != again.device:
        found.append(
            f"it ran on {stored.device}, now on {again.device}: sums are taken in another order there"
        )
    for name in dict.fromkeys([*stored.versions, *again.versions]):
        before = stored.versions.get(name, _ABSENT)
        after = again.versions.get(name, _ABSENT)
        if before != after:
            found.append(f"{name} was {before}, now {after}")
    if stored.encodes != again.encodes:
        found.append(
            f"it encoded {stored.encodes:,} inputs and took the rest from the cache of earlier audits; now "
            f"{again.encodes:,} were encoded, in other batches"
        )
    if not found:
        found.append(
            "device and versions are the same; another processor or number of threads can reorder a sum"
        )
    return tuple(found)


def _changed(stored: Audit, again: Audit) -> str:
    """What is not what it was, as far as the stored audit shows."""
    if stored.plan is None or again.plan is None:
        return "reference, plan, probe set, pools or an extension are not what they were"
    parts = []
    for name, words in _PLANNED.items():
        if getattr(stored.plan, name) != getattr(again.plan, name):
            parts.append(words)
    if not parts:
        return "the reference or a file next to the weights has changed"
    return f"the request differs from the stored one in {_listed(parts)}"


def _listed(parts: Sequence[str]) -> str:
    """`the budget, the seed and an extension`."""
    *others, last = parts
    if not others:
        return last
    return f"{', '.join(others)} and {last}"


def render(stored: Audit, found: Comparison) -> RenderableType:
    """What a person reads: identical, or what differs and why it may."""
    about = f"audit {stored.id} of {stored.ref}"
    values = count(found.compared, "value")
    notes = [Text(note, "dim") for note in found.notes]
    if found.identical:
        return Group(safe(f"{about}: identical, {values} compared bit for bit", 400), *notes)
    title = f"{about}: {count(len(found.differences), 'difference')} in {values}"
    table = columns("value", "stored", "again")
    for one in found.differences[:SHOWN]:
        table.add_row(safe(one.where, 120), safe(one.stored, 120), safe(one.again, 120))
    parts: list[RenderableType] = [safe(title, 400, "bold"), table]
    left = len(found.differences) - SHOWN
    if left > 0:
        parts.append(Text(f"and {left} more; --json has them all", "dim"))
    parts += [safe(f"may be because {reason}", 300) for reason in found.reasons]
    return Group(*parts, *notes)
