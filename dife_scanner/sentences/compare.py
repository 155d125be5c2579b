"""Two audits side by side on the same lines, and which of them differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dife_scanner.records import Audit, Cell, Entry, Interval
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.numbers import number, signed
from dife_scanner.sentences.triggers import effect_text

ABSENT = "–"
"""Where one of the two has nothing to say."""
HOW = (
    "≠ marks what differs: another word, or, of an exposure, 95 % intervals of the difference over the reference that "
    "do not overlap. Numbers without an interval are shown and not judged. Each audit's numbers are of its own trigger."
)
_HASH = 12
"""Characters of a tower's hash: enough to tell two apart by eye."""


@dataclass(frozen=True)
class Compared:
    """One line."""

    what: str
    left: str
    right: str
    differs: bool
    """Whether the two certainly say different things."""


def compare(left: Audit, right: Audit) -> tuple[Compared, ...]:
    """Facts first, then every line of both exposure profiles."""
    lines = []
    for what, text in _FACTS:
        here, there = text(left) or ABSENT, text(right) or ABSENT
        lines.append(Compared(what, here, there, here != there))
    for what, value in _NUMBERS:
        lines.append(Compared(what, _shown(value(left)), _shown(value(right)), False))
    return (*lines, *_profile(left, right))


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


def _swapped(audit: Audit, combination: str) -> float | None:
    """One of the four combinations of towers; `None` where they were not swapped."""
    if audit.branch_swap is None:
        return None
    return float(getattr(audit.branch_swap, combination))


def _shown(value: float | None) -> str:
    return ABSENT if value is None else number(value)


# --- exposures --------------------------------------------------------------------------------------------------


def _profile(left: Audit, right: Audit) -> list[Compared]:
    """A line for each interface and metric of either, in the order of the first that has it."""
    here, there = _by_interface(left), _by_interface(right)
    lines = []
    for interface in dict.fromkeys((*here, *there)):
        ones, others = here.get(interface, {}), there.get(interface, {})
        metrics = [one for one in dict.fromkeys((*ones, *others)) if one] or [""]
        for metric in metrics:
            one, other = ones.get(metric) or ones.get(""), others.get(metric) or others.get("")
            what = f"{interface}, {metric}" if metric else interface
            lines.append(Compared(what, _entry(one), _entry(other), _differ(one, other)))
    return lines


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


def _span(interval: Interval) -> str:
    return f"[{signed(interval.low)} to {signed(interval.high)}]"


def _differ(one: Entry | None, other: Entry | None) -> bool:
    if isinstance(one, Cell) and isinstance(other, Cell):
        apart = one.delta_interval.low > other.delta_interval.high
        return apart or other.delta_interval.low > one.delta_interval.high
    return _entry(one) != _entry(other)
