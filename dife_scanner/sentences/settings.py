"""How a checkpoint's settings deviate from its base's, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import Audit, Deviation, SettingsOf, UnderOtherSettings

NAMED = 5
"""Settings that a note names; of more it says how many."""
_WHOSE = {SettingsOf.SUSPECT: "its own settings", SettingsOf.BASE: "the base's settings"}


def deviation_note(deviations: Sequence[Deviation], base: str) -> str:
    """`its settings deviate from vit's: quick_gelu true (vit: false)`."""
    told = [f"{one.setting} {one.suspect} ({base}: {one.base})" for one in deviations[:NAMED]]
    if len(deviations) > NAMED:
        told.append(f"{len(deviations) - NAMED} more")
    return f"its settings deviate from {base}'s: {', '.join(told)}"


def problem_note(problem: str, base: str) -> str:
    """Why a checkpoint ran under its base's settings alone."""
    return f"its own settings cannot be run, so {base}'s were used: {problem}"


def whose(settings: SettingsOf) -> str:
    """`its own settings` or `the base's settings`."""
    return _WHOSE[settings]


def other_text(other: UnderOtherSettings) -> str:
    """What the audit under the settings that did not decide came to."""
    if other.verdict is None:
        return f"under {whose(other.settings)} nothing could be measured: {other.reason}"
    accuracy = ""
    if other.clean_accuracy is not None:
        accuracy = f", clean accuracy {other.clean_accuracy:.3f}"
    return f"under {whose(other.settings)} the verdict is {other.verdict.value}{accuracy}"


def deviation_lines(audit: Audit) -> tuple[str, ...]:
    """Every setting that deviates, under whose settings the audit decided, and what the other audit came to."""
    if not audit.deviations:
        return ()
    lines = [f"Measured under {whose(audit.settings)}"]
    for one in audit.deviations:
        base = audit.reference or audit.turned_down
        lines.append(f"setting {one.setting}: {one.suspect}, in {base} {one.base}")
    if audit.under_other is not None:
        lines.append(f"{other_text(audit.under_other)} ({audit.under_other.reason})")
    return tuple(lines)
