"""Audits side by side on the same lines, beside what the base does, and which of them differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from dife_scanner.records import Audit, Cell, Change, Entry, Interval
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.numbers import number, signed
from dife_scanner.sentences.triggers import effect_text

ABSENT = "–"
"""Where one of them has nothing to say."""
HOW = (
    "≠ marks what differs between audits: another word, or, of an exposure, 95 % intervals of the difference over the "
    "reference that do not overlap. Numbers without an interval are shown and not judged. Each audit's numbers are of "
    "its own trigger; the base's are what the first audit measured of it, on clean inputs where it says so."
)
_HASH = 12
"""Characters of a tower's hash: enough to tell two apart by eye."""


@dataclass(frozen=True)
class Column:
    """What stands in one column."""

    title: str
    audit: Audit
    is_base: bool = False
    """Whether it is the audit's base, as that audit measured it."""


@dataclass(frozen=True)
class Compared:
    """One line."""

    what: str
    shown: tuple[str, ...]
    """One text for each column."""
    differs: bool
    """Whether two of the audits certainly say different things."""
    drawn: tuple[Change | None, ...] = ()
    """Of an exposure: each audit's difference over its reference with its interval; `None` where there is no number."""


def columns_of(suspect: Audit, before: Audit | None = None) -> tuple[Column, ...]:
    """A suspect, its base where it has one, and the revision that was audited before, where there is one."""
    columns = [Column(str(suspect.ref), suspect)]
    if suspect.reference:
        columns.append(Column(f"base: {suspect.reference}", suspect, is_base=True))
    if before is not None:
        columns.append(Column(f"before: {before.ref}", before))
    return tuple(columns)


def compare(columns: Sequence[Column]) -> tuple[Compared, ...]:
    """Facts first, then every line of all exposure profiles."""
    lines = []
    for what, text in _FACTS:
        shown = [
            _BASE_FACTS.get(what, _nothing)(one.audit) if one.is_base else text(one.audit)
            for one in columns
        ]
        lines.append(_fact(what, columns, [one or ABSENT for one in shown]))
    for what, value in _NUMBERS:
        numbers = [_shown(_number(what, one, value)) for one in columns]
        lines.append(Compared(what, tuple(numbers), False))
    return (*lines, *_profile(columns))


def _nothing(_: Audit) -> str:
    return ""


def _fact(what: str, columns: Sequence[Column], shown: Sequence[str]) -> Compared:
    """A line of words; the base's are not judged."""
    said = {text for one, text in zip(columns, shown, strict=True) if not one.is_base}
    return Compared(what, tuple(shown), len(said) > 1)


def _number(what: str, column: Column, value: Callable[[Audit], float | None]) -> float | None:
    if not column.is_base:
        return value(column.audit)
    own = _BASE_NUMBERS.get(what)
    return own(column.audit) if own is not None else None


def _effect(audit: Audit) -> str:
    trigger = audit.trigger
    return effect_text(trigger.source, trigger.target, trigger.name) if trigger else ""


_FACTS: tuple[tuple[str, Callable[[Audit], str]], ...] = (
    ("verdict", lambda audit: VERDICT_LABEL[audit.verdict]),
    ("compared with", lambda audit: audit.reference),
    ("architecture", lambda audit: audit.architecture),
    ("footprint", lambda audit: audit.diagnosis.carrier.value if audit.diagnosis else ""),
    ("channel", lambda audit: audit.diagnosis.channel.value if audit.diagnosis else ""),
    ("trigger", lambda audit: audit.trigger.name if audit.trigger else ""),
    ("effect", _effect),
    ("image tower", lambda audit: audit.image_tower[:_HASH]),
    ("text tower", lambda audit: audit.text_tower[:_HASH]),
    ("budget", lambda audit: audit.budget.value),
    ("audit version", lambda audit: audit.audit_version),
)
_NUMBERS: tuple[tuple[str, Callable[[Audit], float | None]], ...] = (
    ("clean accuracy", lambda audit: audit.clean_accuracy),
    ("swap, both of the base", lambda audit: _swapped(audit, "a00")),
    ("swap, its image tower", lambda audit: _swapped(audit, "a10")),
    ("swap, its text tower", lambda audit: _swapped(audit, "a01")),
    ("swap, both its own", lambda audit: _swapped(audit, "a11")),
)


_BASE_FACTS: dict[str, Callable[[Audit], str]] = {
    "verdict": lambda audit: "compared with",
    "image tower": lambda audit: audit.image_tower[:_HASH] if audit.image_tower_same else "another",
    "text tower": lambda audit: audit.text_tower[:_HASH] if audit.text_tower_same else "another",
}
"""What an audit knows of its base."""
_BASE_NUMBERS: dict[str, Callable[[Audit], float | None]] = {
    "clean accuracy": lambda audit: audit.reference_accuracy,
    "swap, both of the base": lambda audit: _swapped(audit, "a00"),
}


def _swapped(audit: Audit, combination: str) -> float | None:
    """One of the four combinations of towers; `None` where they were not swapped."""
    if audit.branch_swap is None:
        return None
    return float(getattr(audit.branch_swap, combination))


def _shown(value: float | None) -> str:
    return ABSENT if value is None else number(value)


# --- exposures --------------------------------------------------------------------------------------------------


def _profile(columns: Sequence[Column]) -> list[Compared]:
    """A line for each interface and metric of any, in the order of the first that has it."""
    tables = [_by_interface(one.audit) for one in columns]
    lines = []
    for interface in _names(tables):
        found = [table.get(interface, {}) for table in tables]
        metrics = [one for one in _names(found) if one] or [""]
        for metric in metrics:
            entries = [one.get(metric) or one.get("") for one in found]
            what = f"{interface}, {metric}" if metric else interface
            lines.append(_exposure(what, columns, entries))
    return lines


def _names(tables: Sequence[dict[str, dict[str, Entry]]] | Sequence[dict[str, Entry]]) -> list[str]:
    """The keys of all tables, each once, in the order of the first that has it."""
    names: dict[str, None] = {}
    for table in tables:
        names.update(dict.fromkeys(table))
    return list(names)


def _exposure(what: str, columns: Sequence[Column], entries: Sequence[Entry | None]) -> Compared:
    shown = []
    drawn: list[Change | None] = []
    for column, entry in zip(columns, entries, strict=True):
        shown.append(_of_base(entry) if column.is_base else _entry(entry))
        drawn.append(None if column.is_base else _drawn(entry))
    audits = [entry for column, entry in zip(columns, entries, strict=True) if not column.is_base]
    differs = any(_differ(*pair) for pair in combinations(audits, 2))
    return Compared(what, tuple(shown), differs, tuple(drawn))


def _by_interface(audit: Audit) -> dict[str, dict[str, Entry]]:
    """By interface and metric; what has no number is under no metric."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in audit.profile:
        metric = entry.metric if isinstance(entry, Cell) else ""
        found.setdefault(entry.interface, {})[metric] = entry
    return found


def _entry(entry: Entry | None) -> str:
    """`+0.900 [0.870 to 0.930], exposed`; why there is no number where there is none."""
    if entry is None:
        return ABSENT
    if isinstance(entry, Cell):
        return f"{signed(entry.delta)} {_span(entry.delta_interval)}, {entry.entry.value}"
    return entry.word


def _of_base(entry: Entry | None) -> str:
    """What the base reaches by itself: with the trigger, or on clean inputs where the card compares with those."""
    if not isinstance(entry, Cell):
        return ABSENT
    if "clean checkpoint" in entry.reference_condition:
        interval = entry.reference.interval
        return (
            f"{number(entry.reference.value)} [{number(interval.low)} to {number(interval.high)}]"
        )
    if entry.drift is None:
        return ABSENT
    return f"{number(entry.reference.value - entry.drift.value)} (clean)"


def _drawn(entry: Entry | None) -> Change | None:
    return Change(entry.delta, entry.delta_interval) if isinstance(entry, Cell) else None


def _span(interval: Interval) -> str:
    return f"[{signed(interval.low)} to {signed(interval.high)}]"


def _differ(one: Entry | None, other: Entry | None) -> bool:
    if isinstance(one, Cell) and isinstance(other, Cell):
        apart = one.delta_interval.low > other.delta_interval.high
        return apart or other.delta_interval.low > one.delta_interval.high
    return _entry(one) != _entry(other)
